"""A baseline: read from a run or a TOML file, refused before it costs anything, and joined with the gate's verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.baseline import Baseline, joined
from evals.comparison.drops import Drop
from evals.schema import Check, Outcome
from evals.values import FILE, ModelValues, write_values
from guard.errors import ConfigError, DataError
from tests.evals.two_runs import IDENTITY, MISSED, binary, series


def _run(folder: Path, *models: ModelValues) -> Path:
    folder.mkdir()
    write_values(folder / FILE, IDENTITY, models)
    return folder


def _model(hits: str, name: str = "old") -> ModelValues:
    return ModelValues(name, f"scripted@{name}", (series(binary(hits)),))


TOML = f"""
run = "old"

[[drop]]
metric = "{MISSED}"
arm = "guarded"
max = 0.03
"""


def test_a_folder_a_file_and_a_toml_file_say_the_same(tmp_path: Path) -> None:
    run = _run(tmp_path / "old", _model("0" * 200))
    (tmp_path / "baseline.toml").write_text(TOML, encoding="utf-8")
    inline = [f"{MISSED}@guarded=0.03"]
    loaded = [
        Baseline.load(run, max_drops=inline),
        Baseline.load(run / FILE, max_drops=inline),
        Baseline.load(tmp_path / "baseline.toml"),
    ]
    assert {one.drops for one in loaded} == {(Drop(MISSED, 0.03, "guarded"),)}
    checks = [one.checks([_model("0" * 200, "new")], IDENTITY, folder=tmp_path) for one in loaded]
    assert [[check.outcome for check in found] for found in checks] == [[Outcome.PASS]] * 3


@pytest.mark.parametrize(
    ("hits", "outcome"),
    [("0" * 200, Outcome.PASS), ("1" * 60 + "0" * 140, Outcome.FAIL), ("1" * 6 + "0" * 194, Outcome.INCONCLUSIVE)],
)
def test_a_new_run_is_held_against_the_old_one(tmp_path: Path, hits: str, outcome: Outcome) -> None:
    baseline = Baseline.load(_run(tmp_path / "old", _model("0" * 200)), max_drops=[f"{MISSED}=0.03"])
    (check,) = baseline.checks([_model(hits, "new")], IDENTITY, folder=tmp_path)
    assert (check.outcome, check.model, check.metric) == (outcome, "new", f"{MISSED} vs baseline")
    assert (check.bound, check.limit) == ("max", 0.03)
    assert check.context["baseline"] == f"old in {tmp_path / 'old'}"


def test_several_models_are_compared_by_name(tmp_path: Path) -> None:
    run = _run(tmp_path / "old", _model("0" * 200, "a"), _model("1" * 200, "b"))
    baseline = Baseline.load(run, max_drops=[f"{MISSED}=0.03"])
    checks = baseline.checks([_model("1" * 200, "a"), _model("1" * 200, "b")], IDENTITY, folder=tmp_path)
    assert [check.outcome for check in checks] == [Outcome.FAIL, Outcome.PASS]
    with pytest.raises(DataError, match="has no model 'c'; it has a, b"):
        baseline.require({MISSED: ["guarded"]}, ["c"])


def test_one_model_stands_for_any_and_a_file_may_name_it(tmp_path: Path) -> None:
    run = _run(tmp_path / "old", _model("0" * 200, "a"), _model("1" * 200, "b"))
    (tmp_path / "b.toml").write_text(f'model = "b"\n{TOML}', encoding="utf-8")
    assert Baseline.load(tmp_path / "b.toml").checks([_model("1" * 200, "x")], IDENTITY, folder=run)[0].value == 0
    alone = Baseline.load(_run(tmp_path / "alone", _model("0" * 200, "a")), max_drops=[f"{MISSED}=0.03"])
    alone.require({MISSED: ["guarded"]}, ["anything"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run = ", "not TOML"),
        ('[[drop]]\nmetric = "a/b"\nmax = 1', "run must be a text, not missing"),
        ('run = "old"', "no allowed drop"),
        ('run = "old"\ncolour = "red"', "unknown key 'colour'"),
        ('run = "old"\ndrop = 1', r"must be written as \[\[drop\]\]"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"', "max must be a number, not missing"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"\nmax = true', "max must be a number, not True"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"\nmax = -1', "not negative"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"\nmax = 1\narm = "mars"', "arm 'mars' is none of"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"\nmax = 1\nmax_unscored = 2', r"must lie in \[0, 1\]"),
        ('run = "old"\n[[drop]]\nmetric = "a/b"\nmax = 1\n[[drop]]\nmetric = "a/b"\nmax = 2', "two allowed drops"),
    ],
)
def test_a_file_that_says_something_impossible_is_refused(tmp_path: Path, text: str, message: str) -> None:
    _run(tmp_path / "old", _model("01"))
    path = tmp_path / "baseline.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Baseline.load(path)


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=FILE):
        Baseline.load(tmp_path / "nowhere", max_drops=[f"{MISSED}=0.03"])
    with pytest.raises(ConfigError, match="No such file"):
        Baseline.load(tmp_path / "nowhere.toml")


def test_what_the_run_or_the_baseline_lacks_is_refused_before_it_runs(tmp_path: Path) -> None:
    run = _run(tmp_path / "old", _model("01"))
    baseline = Baseline.load(run, max_drops=["refusal/over_refusal=0.03"])
    with pytest.raises(ConfigError, match="no metric refusal/over_refusal to compare"):
        baseline.require({MISSED: ["guarded"]}, ["new"])
    with pytest.raises(ConfigError, match="no metric refusal/over_refusal to compare"):
        baseline.require({"refusal/over_refusal": ["guarded"]}, ["new"])  # the new run has it, the old one does not


def test_a_run_that_shares_nothing_is_open_and_not_lost(tmp_path: Path) -> None:
    baseline = Baseline.load(_run(tmp_path / "old", _model("0" * 9)), max_drops=[f"{MISSED}=0.03"])
    other = ModelValues("new", "scripted@new", (series({"elsewhere": [0.0]}),))
    (check,) = baseline.checks([other], IDENTITY, folder=tmp_path)
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "share no prompt" in check.reason


def test_the_digest_tells_runs_and_drops_apart(tmp_path: Path) -> None:
    run = _run(tmp_path / "old", _model("01"))
    digests = [Baseline.load(run, max_drops=[f"{MISSED}={drop}"]).digest for drop in ("0.03", "0.03", "0.04")]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0].startswith("old@")


def _check(outcome: Outcome, reason: str = "it is so") -> Check:
    return Check("m", "a/b vs baseline", "guarded", "max", 0.1, outcome, reason)


@pytest.mark.parametrize(
    ("gate", "drop", "together"),
    [
        (Outcome.PASS, Outcome.PASS, Outcome.PASS),
        (Outcome.PASS, Outcome.FAIL, Outcome.FAIL),
        (Outcome.FAIL, Outcome.PASS, Outcome.FAIL),
        (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        (Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.FAIL),
    ],
)
def test_the_worse_of_gate_and_baseline_counts(gate: Outcome, drop: Outcome, together: Outcome) -> None:
    words = {Outcome.PASS: "Pass", Outcome.FAIL: "Fail", Outcome.INCONCLUSIVE: "Inconclusive"}
    own = _check(gate)
    outcome, sentence, checks = joined((gate, f"{words[gate]}: the figures.", (own,)), (_check(drop, "worse by 0.2"),))
    assert outcome is together
    assert sentence.startswith(f"{words[together]}: against the baseline")
    assert sentence.endswith(f"the gate: {words[gate].lower()}, the figures.")
    assert ("worse by 0.2" in sentence) is (drop is not Outcome.PASS)
    assert len(checks) == 2


def test_without_drops_the_gate_alone_speaks() -> None:
    verdict = (Outcome.PASS, "Pass: all is well.", (_check(Outcome.PASS),))
    assert joined(verdict, ()) is verdict
