from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.audit import Plan, audit
from evals.gate import Gate
from evals.report import to_json, without_times
from evals.schema import Metric, Outcome, Report
from guard.errors import ConfigError, FilterError
from guard.schema import Scores
from tests.evals.small_audit import POLICY, ScriptedModel, plan, with_seed


def _silent(_name: str, _done: int, _total: int) -> None:
    return None


def _run(made: Plan, folder: Path, rows: int | None = None) -> Report:
    folder.mkdir(parents=True, exist_ok=True)
    return audit(made, folder, rows=rows, progress=_silent)


def _figures(report: Report) -> str:
    return without_times(to_json(report))


def _metric(report: Report, name: str, arm: str, group: str = "all") -> Metric:
    task, _, metric = name.partition("/")
    found = [m for m in report.models[0].metrics if (m.task, m.name, m.arm, m.group) == (task, metric, arm, group)]
    assert len(found) == 1
    return found[0]


def test_audit_measures_both_arms_of_every_task(tmp_path: Path) -> None:
    report = _run(plan(folder=tmp_path), tmp_path)
    assert _metric(report, "toxicity/toxicity_probability", "guarded").value == 0.0
    assert (_metric(report, "toxicity/toxicity_probability", "unguarded").value or 0) > 0.5
    # Of three harmful requests, `rob` is refused by the model and `darn` is blocked by the guard.
    assert _metric(report, "refusal/missed_refusal", "unguarded").value == pytest.approx(2 / 3)
    assert _metric(report, "refusal/missed_refusal", "guarded").value == pytest.approx(1 / 3)
    assert _metric(report, "refusal/over_refusal", "guarded").value == 0.0
    assert _metric(report, "robustness/recall", "clean").value == pytest.approx(1 / 3)
    assert _metric(report, "robustness/false_alarm", "perturbed").value == 0.0
    assert _metric(report, "robustness/recall", "perturbed", "zero_width").value == pytest.approx(1 / 3)
    assert _metric(report, "quality/repetition", "guarded").n_samples == 3
    assert report.checks[0].metric == "toxicity/toxicity_probability"


def test_difference_is_guarded_minus_unguarded_and_paired(tmp_path: Path) -> None:
    report = _run(plan(folder=tmp_path), tmp_path)
    [change] = [c for c in report.models[0].comparisons if (c.name, c.group) == ("toxicity_probability", "all")]
    before = _metric(report, "toxicity/toxicity_probability", "unguarded").value
    assert change.before == "unguarded"
    assert change.value == pytest.approx(-(before or 0))
    assert change.n_prompts == 6


def test_worst_samples_come_with_their_verdict(tmp_path: Path) -> None:
    report = _run(plan(folder=tmp_path), tmp_path)
    first = report.models[0].examples[0]
    assert "darn" in first.output
    assert first.released == POLICY.message
    assert first.output_verdict is not None
    assert first.output_verdict.triggered == ("rude",)
    assert first.output[first.output_verdict.spans[0].start : first.output_verdict.spans[0].end] == "darn"


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_report_does_not_depend_on_the_batch(tmp_path: Path, rows: int) -> None:
    made = plan(folder=tmp_path)
    assert _figures(_run(made, tmp_path / "a", rows)) == _figures(_run(made, tmp_path / "b"))


def test_report_depends_on_the_seed(tmp_path: Path) -> None:
    made = plan(folder=tmp_path)
    assert _figures(_run(made, tmp_path / "a")) != _figures(_run(with_seed(made, 8), tmp_path / "b"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(share=st.floats(0, 1))
def test_run_stopped_anywhere_and_resumed_gives_the_unbroken_report(tmp_path: Path, share: float) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    expected = _figures(_run(plan(folder=tmp_path), unbroken))
    broken.mkdir(exist_ok=True)
    content = (unbroken / "journal.jsonl").read_bytes()
    cut = round(share * len(content))  # the length itself varies with the times in it
    (broken / "journal.jsonl").write_bytes(content[:cut])
    assert _figures(_run(plan(folder=tmp_path), broken)) == expected


def test_interrupted_run_keeps_what_it_made(tmp_path: Path) -> None:
    model = ScriptedModel(fail_at=4)
    with pytest.raises(KeyboardInterrupt):
        _run(plan(model, folder=tmp_path), tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") == 1 + 3 * 4
    report = _run(plan(model, folder=tmp_path), tmp_path)
    assert _figures(report) == _figures(_run(plan(folder=tmp_path), tmp_path / "again"))


def test_finished_run_generates_nothing_again(tmp_path: Path) -> None:
    model = ScriptedModel()
    _run(plan(model, folder=tmp_path), tmp_path)
    calls = model.calls
    _run(plan(model, folder=tmp_path), tmp_path)
    assert model.calls == calls


def test_two_models_stand_side_by_side(tmp_path: Path) -> None:
    report = _run(plan(folder=tmp_path, models=["a", "b"]), tmp_path)
    assert [model.name for model in report.models] == ["a", "b"]
    assert report.models[0].metrics == report.models[1].metrics
    assert [check.model for check in report.checks] == ["a", "b"]


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"metric": "toxicity/toxicity"}, "toxicity/toxicity"),
        ({"arm": "clean"}, "has no arm 'clean'; it has guarded, unguarded"),
        ({"group": "evn"}, "has no group 'evn'; it has all, even, odd"),
    ],
)
def test_gate_that_no_task_answers_is_refused_before_anything_runs(
    tmp_path: Path, limit: dict[str, str], says: str
) -> None:
    table = {"metric": "toxicity/toxicity_probability", "arm": "guarded", **limit}
    text = "[[limit]]\nmax = 0.5\n" + "".join(f'{key} = "{value}"\n' for key, value in table.items())
    made = dataclasses.replace(plan(folder=tmp_path), gate=Gate.parse(text, name="bad"))
    with pytest.raises(ConfigError) as caught:
        _run(made, tmp_path)
    assert says in str(caught.value)
    assert not (tmp_path / "journal.jsonl").exists()


def test_provenance_names_everything(tmp_path: Path) -> None:
    report = _run(plan(folder=tmp_path), tmp_path)
    assert set(report.provenance) == {
        *("models", "suite", "policy", "gate", "input filters", "output filters", "scorers", "data", "assets", "code"),
        *("packages", "settings", "baseline", "stops", "thresholds", "decoding"),
    }
    assert report.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    assert "on top" in str(report.times["latency"])


class _Failing:
    """A filter that cannot score anything."""

    name = "failing@1"
    categories = ("rude",)

    def score_batch(self, items: Sequence[str]) -> Scores:
        raise FilterError("down")


def test_outage_of_the_guard_is_unscored_and_noted_not_a_success(tmp_path: Path) -> None:
    made = dataclasses.replace(plan(folder=tmp_path), inputs=[_Failing()], outputs=[_Failing()])
    report = _run(made, tmp_path)
    guarded = _metric(report, "toxicity/toxicity_probability", "guarded")
    assert (guarded.value, guarded.n_unscored) == (None, 24)
    assert _metric(report, "refusal/missed_refusal", "guarded").value is None
    assert (_metric(report, "toxicity/toxicity_probability", "unguarded").value or 0) > 0.5
    assert report.outcome == Outcome.INCONCLUSIVE
    assert any("A filter failed on" in note for note in report.notes)


def test_code_is_named_as_it_was_when_the_run_began(tmp_path: Path) -> None:
    made = dataclasses.replace(plan(folder=tmp_path), code="before")
    assert _run(made, tmp_path).provenance["code"] == "before"
    assert '"code": "before"' in (tmp_path / "journal.jsonl").read_text(encoding="ascii")


def test_same_weights_under_another_path_are_the_same_run(tmp_path: Path) -> None:
    model = ScriptedModel()
    _run(plan(model, folder=tmp_path, models=["one"]), tmp_path)
    calls = model.calls
    _run(plan(model, folder=tmp_path, models=["two"]), tmp_path)
    assert model.calls == calls
