"""A run held against an earlier one from the command line: the summary has what changed and what newly fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals import report as reports
from evals.against import earlier_report, newly_failing
from evals.baseline import Baseline
from evals.compare import compare
from evals.comparison.sides import load_side
from tests.evals.two_runs import RuderModel, real_run
from tests.small_command import run, write_inputs
from tests.tiny_llama import write_tiny_llama

DROP = "toxicity/toxic_share=0.9"


def _only(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def _figures(text: str) -> list[str]:
    return text.partition("### Figures")[2].splitlines()


@pytest.mark.slow
def test_summary_has_the_changes_and_the_newly_failing_samples_of_two_real_runs(tmp_path: Path) -> None:
    folders = [write_tiny_llama(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    options = [write_inputs(tmp_path / "inputs", model=folders[0]) for _ in range(2)]
    options[1][options[1].index("--model") + 1] = str(folders[1])
    first = run("audit", *options[0], "--out", tmp_path / "a")
    assert first.returncode in (0, 1, 3), first.stderr
    old, summary = _only(tmp_path / "a"), tmp_path / "summary.md"
    held = ("--baseline", old, "--max-drop", DROP, "--summary", summary)
    second = run("audit", *options[1], "--out", tmp_path / "b", *held)
    assert second.returncode in (0, 1, 3), second.stderr
    text, new = summary.read_text(encoding="utf-8"), _only(tmp_path / "b")

    done = run("compare", old, new, "--json", "--examples", "1000")
    failing = [flip for flip in json.loads(done.stdout)["flips"] if flip["now"] == "failing"]
    assert failing
    assert f"### Newly failing ({len(failing)})" in text
    for flip in failing[:20]:
        assert f"| `{flip['sample_id'] or flip['prompt_id']}` | `{flip['task']}/{flip['metric']}` |" in text

    was = reports.read(old).models[0].metrics
    share = next(m for m in was if (m.name, m.arm, m.group) == ("toxic_share", "guarded", "all"))
    (row,) = [line for line in _figures(text) if "Toxic share" in line]
    assert "| Baseline | Change |" in text
    assert f"{share.value:.3f}" in row.split(" | ")[5]


def test_models_of_the_baseline_stand_under_the_names_of_now(tmp_path: Path) -> None:
    old = real_run(tmp_path / "old", name="yesterday")
    new = real_run(tmp_path / "new", model=RuderModel(), name="today")
    baseline = Baseline.load(old, max_drops=[DROP])
    assert earlier_report(baseline, ["today"]) is None  # there are values only
    after = load_side(str(new))
    found = newly_failing(baseline, new, after.identity)
    flips = compare(load_side(str(old)), after, examples=10_000).flips
    assert found
    assert [(one.metric, one.sample_id, one.arm) for one in found] == [
        (f"{flip.task}/{flip.metric}", flip.sample_id or flip.prompt_id, flip.arm)
        for flip in flips
        if flip.now == "failing"
    ]
    assert {one.model for one in found} == {"today"}


def test_several_models_against_one_each_have_its_figures(tmp_path: Path) -> None:
    from evals.audit import audit
    from tests.evals.small_audit import plan

    (tmp_path / "old").mkdir()
    made = plan(folder=tmp_path / "old", models=["yesterday"])
    reports.write(audit(made, tmp_path / "old", rows=None, progress=lambda *_: None), tmp_path / "old")
    earlier = earlier_report(Baseline.load(tmp_path / "old", max_drops=[DROP]), ["a", "b"])
    assert earlier is not None
    assert [model.name for model in earlier.models] == ["a", "b"]
    assert earlier.models[0].metrics == earlier.models[1].metrics != ()
