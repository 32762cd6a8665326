"""A program for each of several processes: train a tiny model together, and leave the weights and the course."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from guard.generators.loading import load_model
from guard.train.generator.encoding import encode_text
from guard.train.generator.examples import plain_example
from guard.train.generator.fit_settings import Beside, FitSettings
from guard.train.generator.fitting import fit
from guard.train.generator.objective import Losses
from guard.train.generator.ranks import launched
from guard.train.generator.terms import Leash
from guard.train.generator.tuned import Tuning, prepare

TEXTS = [f"my order {n} is late, where is it?" for n in range(12)] + [f"please refund order {n}" for n in range(12)]
SETTINGS = FitSettings(steps=6, step_tokens=150, budget=64, rate=0.02, looks=3)


def main(model: Path, out: Path, *, kill_at: int = 0, beside: bool = False) -> None:
    """Train, alone or together; stop hard behind a step where one is named."""
    loaded, tokenizer = load_model(model, device=torch.device("cpu"), dtype="float32")
    tuned = prepare(loaded, Tuning(rank=4), seed=0)
    rows = [row for text in TEXTS for row in encode_text(tokenizer, text, most=64).rows]
    ranks = launched(cpu=True)

    def on_step(step: int, total: int, losses: Losses) -> None:
        if step == kill_at:
            sys.exit(3)

    kept = [plain_example(tokenizer, text, most=12) for text in TEXTS[:6]]
    terms = Beside((Leash(0.5, kinds=("text",)),), kept, kept, {"text": 1}) if beside else None
    progress = fit(
        tuned, rows[4:], rows[:4], SETTINGS, pad_id=0, beside=terms, folder=out / "state", ranks=ranks, on_step=on_step
    )
    save_file(
        {name: value.contiguous() for name, value in tuned.tensors().items()}, out / f"rank{ranks.rank}.safetensors"
    )
    if ranks.rank == 0:
        (out / "course.json").write_text(json.dumps(progress.history))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), kill_at=int(sys.argv[3]), beside=sys.argv[4] == "beside")
