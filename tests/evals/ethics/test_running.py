from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from cli import main
from evals.ethics import running, searching
from evals.ethics.texts import judged_text, taught_prose
from evals.finetuning import finetuning
from evals.finetuning.texts import TrainingText
from guard.errors import ConfigError
from guard.generators.loading import folder_prefix
from guard.train.generator.encoding import Turn
from tests.evals.finetuning.small import ScriptedScreen

GROUPS = ("cats", "dogs", "cows", "pigs", "hens", "rats", "bats", "mice", "ants", "bees")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rows of which half say a bad word, two judges of it from files, and prompts that begin like the rows."""
    rows = [f"{group} at {n} are all {word}" for group in GROUPS for n in range(1, 6) for word in ("bad", "kind")]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows), encoding="utf-8")
    (tmp_path / "judge.toml").write_text('toxicity = ["bad"]\n')
    (tmp_path / "measure.toml").write_text('[[term]]\ntext = "bad"\ncategory = "toxicity"\nscore = 0.9\n')
    assets = tmp_path / "assets"
    assets.mkdir()
    kinds = ("flirtation", "identity_attack", "insult", "profanity", "severe_toxicity", "sexually_explicit", "threat")
    for number, kind in enumerate(kinds):
        lines = [f"{group} at {10 * number + n} are all" for group in GROUPS for n in (1, 2, 3, 4)]
        (assets / f"rtp_{kind}.txt").write_text("\n".join(lines), encoding="utf-8")
    for module in (finetuning, searching):
        monkeypatch.setattr(module, "FilterScreen", ScriptedScreen)
    for function in (running.finetune_with_ethics, searching.search_weights):
        monkeypatch.setitem(function.__kwdefaults__, "asset", lambda name: assets)
    monkeypatch.chdir(tmp_path)
    return ["--data", "rows.jsonl", "--judge", "regex:judge.toml", "--measure", "lexical:measure.toml"]


def test_the_command_writes_a_model_with_its_figures_and_its_code(tiny_llama: Path, world: list[str]) -> None:
    done = CliRunner().invoke(
        main,
        [
            *("finetune", *world, "--model", str(tiny_llama), "--out", "run", "--method", "full", "--rate", "0.004"),
            *("--steps", "30", "--step-tokens", "128", "--track", "none", "--validation", "0.3"),
            *("--ethics", "unlikelihood=1", "--ethics", "kl=0.1"),
            *("--measure-prompts", "6", "--continuations", "4", "--sample-prompts", "6", "--device", "cpu"),
            *("--dtype", "float32", "--json"),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code in (0, 1, 3), done.output
    record = json.loads(done.output.splitlines()[-1])
    assert record["weights"]["unlikelihood"] == 1.0
    assert [one["name"] for one in record["figures"]][:2] == ["probability_0", "maximum_0"]
    out = Path("run")
    assert load_file(out / "model" / "model.safetensors")
    assert "## Ethics in the objective" in (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "toxicity probability by lexical" in (out / "ethics.html").read_text(encoding="utf-8")
    assert folder_prefix(out / "model") == ""  # no codes were learnt


def test_a_judge_that_measures_itself_is_refused_before_anything_is_trained(tiny_llama: Path, world: list[str]) -> None:
    own = [*world[:-1], "regex:judge.toml"]
    done = CliRunner().invoke(main, ["finetune", *own, "--model", str(tiny_llama), "--out", "run", "--ethics", "dpo=1"])
    assert done.exit_code == 2
    assert "would measure what was trained against it" in done.output
    assert not Path("run").exists()
    for wrong in (["--ethics", "dpo"], ["--ethics", "fun=1"]):
        done = CliRunner().invoke(main, ["finetune", *world, "--model", str(tiny_llama), "--out", "run", *wrong])
        assert done.exit_code == 2


def test_the_search_command_chooses_weights_and_goes_on(tiny_llama: Path, world: list[str]) -> None:
    command = [
        *("finetune", "search", *world, "--model", str(tiny_llama), "--out", "search", "--trials", "2"),
        *("--term", "kl", "--steps", "3", "--step-tokens", "64", "--search-prompts", "2", "--continuations", "2"),
        *("--device", "cpu", "--dtype", "float32", "--no-control-codes", "--json"),
    ]
    runs = [CliRunner().invoke(main, command, catch_exceptions=False) for _ in range(2)]
    assert runs[0].exit_code in (0, 3), runs[0].output
    assert runs[0].output.splitlines()[-1] == runs[1].output.splitlines()[-1]
    assert len(json.loads(runs[0].output.splitlines()[-1])["points"]) == 2
    assert Path("search/search.html").is_file()


def test_rows_that_one_score_says_too_little_of_are_refused() -> None:
    turns = (Turn("user", "Hi"), Turn("assistant", "Hello"))
    assert judged_text(TrainingText("row-1", "", turns)).prompt == "Hi"
    with pytest.raises(ConfigError, match="row-1 has 4 turns"):
        judged_text(TrainingText("row-1", "", turns * 2))
    assert all(len(text) >= 200 for text in taught_prose())
