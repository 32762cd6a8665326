from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import main
from evals.commands.finetune_generator import request_of
from evals.finetuning import finetuning
from evals.finetuning.request import FinetuneRequest
from evals.finetuning.run_folder import RunFolder
from guard.errors import ConfigError
from tests.evals.finetuning.small import CLEAN, ScriptedScreen


@pytest.fixture
def said(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs the command on small data and a tiny model."""
    monkeypatch.setattr(finetuning, "FilterScreen", ScriptedScreen)
    data = tmp_path / "data.csv"
    data.write_text("body\n" + "\n".join(CLEAN) + "\n", encoding="utf-8")

    def run(*more: str, begun: bool = True) -> Result:
        fixed = ["--data", str(data), "--text-column", "body", "--model", str(tiny_llama), "--validation", "0.4"]
        fixed += ["--steps", "8", "--step-tokens", "400", "--rate", "0.02", "--track", "none", "--dtype", "float32"]
        out = ["--out", str(tmp_path / "run")]
        return CliRunner().invoke(main, ["finetune", *(fixed if begun else []), *out, *more])

    return run


def test_it_shows_the_data_then_the_figures_and_exits_by_the_verdict(said: Any, tmp_path: Path) -> None:
    done = said()
    assert done.exit_code == 0, done.output
    data, figures = done.output.index("rows to learn from"), done.output.index("perplexity")
    assert data < figures
    assert "Pass: perplexity on held-out rows went from" in done.output
    assert (tmp_path / "run" / "model" / "config.json").exists()
    again = said()
    assert again.exit_code == 2
    assert "name a folder that is new or empty" in again.output


def test_json_is_all_that_a_machine_reads(said: Any) -> None:
    done = said("--json", "--method", "full", "--rate", "0.002")
    found = json.loads(done.stdout)
    assert done.exit_code == {"pass": 0, "fail": 1, "inconclusive": 3}[found["outcome"]]
    assert found["steps"] == 8
    assert found["perplexity"]["n_rows"] == found["rows"]["held_out"]


def test_a_run_goes_on_by_its_folder_alone(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def no_room(self: RunFolder, *arguments: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr(RunFolder, "finish", no_room)
        stopped = said()
    assert stopped.exit_code == 130
    assert "it goes on with --resume" in stopped.output
    other = said("--resume", "--rank", "3", begun=False)
    assert other.exit_code == 2
    assert "--rank differs" in other.output
    done = said("--resume", "--rate", "0.01", "--patience", "5", begun=False)
    assert done.exit_code == 0, done.output
    ended = said("--resume", begun=False)
    assert ended.exit_code == 2
    assert "has ended" in ended.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "name it with --out"),
        (["--data", "x.csv", "--from-scratch", "huge"], "is no size"),
        (["--data", "x.csv", "--from-scratch", "tiny", "--method", "lora"], "--method full"),
        (["--data", "x.csv", "--prompt-column", "q"], "name one of"),
        (["--data", "x.csv", "--validation", "0.7"], "0.7 is not in the range"),
        (["--data", "missing.csv"], "cannot read missing.csv"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["finetune", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not list(tmp_path.rglob("*"))


OPTIONS: dict[str, Any] = {
    **{f"{role}_column": None for role in ("text", "prompt", "answer", "messages", "group")},
    **dict.fromkeys(("out", "validation_data", "limit", "method", "from_scratch", "steps", "minutes", "rate")),
    **{"data": "x.csv", "model": "org/name", "validation": 0.1, "on_pii": "mask", "on_toxic": "drop", "seed": 3},
    **{"on_duplicate": "drop", "rank": 8, "prompt_tokens": 20, "form": "plain", "whole_dialogues": True},
    **{"epochs": 2.0, "step_tokens": 512, "batch_tokens": 256, "max_tokens": 128, "packing": True},
    **{"checkpointing": True, "patience": 2, "track": ("none",), "device": "cpu", "dtype": "auto"},
}


def test_options_reach_what_they_are_for() -> None:
    asked = request_of(OPTIONS)
    assert isinstance(asked, FinetuneRequest)
    assert (asked.check.on_pii, asked.check.on_toxic, asked.check.seed, asked.fit.seed) == ("mask", "drop", 3, 3)
    assert (asked.tuning.method, asked.tuning.rank, asked.tuning.alpha, asked.tuning.checkpointing) == (
        "lora",
        8,
        16.0,
        True,
    )
    assert (asked.fit.packing, asked.fit.width, asked.fit.budget, asked.fit.rate) == (True, 128, 256, 1e-3)
    assert (asked.answers_only, asked.track, asked.out.parts[0]) == (False, [], "runs")
    scratch = request_of({**OPTIONS, "from_scratch": "tiny"})
    assert (scratch.tuning.method, scratch.dtype, scratch.fit.rate) == ("full", "float32", 2e-3)
    with pytest.raises(ConfigError, match="--data"):
        request_of({**OPTIONS, "data": None})
