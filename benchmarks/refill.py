"""What a batch that waits for its longest row wastes, and what letting rows leave and join gives back.

The same prompts and seeds three ways on one model: ``model.generate`` batch by batch; batches which rows leave as they
end; and the same with waiting prompts in the places of those. All three must give the same texts. Rounds alternate.

Run: ``python -m benchmarks.refill [--new-tokens 48 160] [--prompts 96] [--batch 32] [--rounds 1]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import torch

from benchmarks.kept import keep
from evals.datasets import real_toxicity_prompts, sample_prompts
from evals.seeds import sample_seed
from guard import assets
from guard.generators.batching import batches
from guard.generators.continuous import seeded_draw, write_all
from guard.generators.decoding_loop import padded, read_prompts
from guard.generators.seeding import SeededSampler
from guard.generators.source import resolve
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding

RESULTS = Path(__file__).with_name("results") / "refill.json"


class Ways:
    """The same prompts, written in different ways."""

    def __init__(self, model: TransformersGenerator, texts: list[str], decoding: Decoding, rows: int) -> None:
        self._model, self._decoding, self._rows = model.with_decoding(decoding), decoding, rows
        encoded = [self._model.encode(text) for text in texts]
        n_steps = decoding.max_new_tokens
        [order] = batches([len(ids) for ids in encoded], rows=len(texts), max_new_tokens=n_steps)
        self._prompts = [encoded[i] for i in order]
        self._seeds = [sample_seed(0, str(i)) for i in order]
        self.ways: dict[str, Callable[[], list[list[int]]]] = {
            "generate": self._generate,
            "rows leave": lambda: self._written(refill=False),
            "rows leave and join": lambda: self._written(refill=True),
        }

    def _generate(self) -> list[list[int]]:
        """Write batch by batch with the library's own loop, each prompt read ahead as the others do."""
        new: list[list[int]] = []
        model, decoding = self._model.model, self._decoding
        for start in range(0, len(self._prompts), self._rows):
            prompts, seeds = (part[start : start + self._rows] for part in (self._prompts, self._seeds))
            ids, mask = padded(prompts, pad_id=self._model.pad_id, new_tokens=decoding.max_new_tokens)
            ids, mask = ids.to(model.device), mask.to(model.device)
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                out = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    past_key_values=read_prompts(model, prompts, ids, mask),
                    generation_config=self._model._generation_config(),
                    logits_processor=[SeededSampler(seeds, decoding)],
                )
            new += out[:, ids.shape[1] :].tolist()
        return new

    def _written(self, *, refill: bool) -> list[list[int]]:
        return write_all(
            self._model.model,
            self._prompts,
            seeded_draw(self._seeds, self._decoding),
            pad_id=self._model.pad_id,
            end_ids=self._model.end_ids,
            n_steps=self._decoding.max_new_tokens,
            most_rows=self._rows,
            refill=refill,
        )

    def timed(self, name: str) -> tuple[list[str], dict[str, float]]:
        """Write in one way; the texts, and what it took."""
        shapes: list[torch.Size] = []

        def look(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
            if inputs["input_ids"].shape[1] == 1:
                shapes.append(inputs["input_ids"].shape)

        hook = self._model.model.register_forward_pre_hook(look, with_kwargs=True)
        start = time.perf_counter()
        new = self.ways[name]()
        seconds = time.perf_counter() - start
        hook.remove()
        ends = self._model.end_ids
        cut = [tokens[: next((i + 1 for i, t in enumerate(tokens) if t in ends), None)] for tokens in new]
        n_tokens, row_steps = sum(map(len, cut)), sum(shape[0] for shape in shapes)
        texts = self._model.tokenizer.batch_decode(cut, skip_special_tokens=True)
        return texts, {
            "seconds": seconds,
            "steps": len(shapes),
            "row steps": row_steps,
            "tokens": n_tokens,
            "share of row steps on ended rows": 1 - n_tokens / row_steps,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new-tokens", type=int, nargs="+", default=[48, 160])
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    model = TransformersGenerator.load(resolve(options.model).folder, batch_size=options.batch)
    prompts = sample_prompts(real_toxicity_prompts(folder=assets.path("rtp-prompts")), options.prompts, seed=0)
    chosen = [prompt.text for prompt in prompts[: options.prompts]]
    found: dict[str, object] = {}
    for new_tokens in options.new_tokens:
        decoding = Decoding(max_new_tokens=new_tokens, temperature=1.0, top_p=0.9, chat=True)
        found[f"{new_tokens} new tokens"] = compared(Ways(model, chosen, decoding, options.batch), options.rounds)
        print(json.dumps(found, indent=2), flush=True)
    settings = {**vars(options), "dtype": str(model.dtype), "device": str(model.device)}
    keep({"settings": settings | {"threads": torch.get_num_threads()}, "figures": found}, RESULTS)


def compared(ways: Ways, rounds: int) -> dict[str, dict[str, float]]:
    """Time all ways in turn, and make sure that they write the same."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways.ways}
    for _ in range(rounds):
        texts = {}
        for name in ways.ways:
            texts[name], timed = ways.timed(name)
            figures[name].append(timed)
        first, *others = texts.values()
        differing = sum(a != b for other in others for a, b in zip(first, other, strict=True))
        if differing:
            raise SystemExit(f"{differing} texts differ")
    return {
        name: {key: round(statistics.median(one[key] for one in timed), 3) for key in timed[0]}
        for name, timed in figures.items()
    }


if __name__ == "__main__":
    main()
