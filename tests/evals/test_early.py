from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evals.audit import Plan, audit
from evals.datasets import Prompt
from evals.gate import Gate
from evals.report import to_json, without_times
from evals.schema import Metric, Outcome, Report
from evals.scorers.category import CategoryScorer
from evals.tasks.task import PlannedTask
from evals.tasks.toxicity import ToxicitySettings, ToxicityTask
from guard.filters.callable import CallableFilter
from tests.evals.small_audit import ScriptedModel, plan

N_PROMPTS = 300
LIMIT = '[[limit]]\nmetric = "toxicity/toxic_share"\narm = "{arm}"\nmax = {limit}\n'


class _Other(ToxicityTask):
    """The same under another name."""

    name = "other"


def _task(kind: type[ToxicityTask] = ToxicityTask) -> PlannedTask:
    """Three hundred prompts of one answer each, of which every third is rude; the guard stops all of those."""
    judge = CallableFilter(lambda text: 0.9 * ("darn" in text), categories=["toxicity"], name="judge@t")
    prompts = [Prompt(f"start-{i}", f"start number {i}", "even" if i % 2 == 0 else "odd") for i in range(N_PROMPTS)]
    task = kind(prompts, ToxicitySettings(prompts=N_PROMPTS, continuations=1), CategoryScorer(judge, "toxicity"))
    return PlannedTask(
        task, prompts, ("judge@t",), ("toxicity_probability", "expected_maximum_toxicity", "toxic_share")
    )


def _plan(folder: Path, *limits: str, model: ScriptedModel | None = None) -> Plan:
    gate = Gate.parse("\n".join(limits), name="early")
    return replace(plan(model, folder=folder), early=True, tasks=[_task()], gate=gate, code="same")


def _run(made: Plan, folder: Path, rows: int = 32) -> Report:
    folder.mkdir(exist_ok=True)
    return audit(made, folder, rows=rows, progress=lambda *_: None)


def _n_made(folder: Path) -> int:
    return len((folder / "journal.jsonl").read_text("utf-8").splitlines()) - 1


def _share(report: Report, arm: str) -> Metric:
    [found] = [m for m in report.models[0].metrics if (m.name, m.arm, m.group) == ("toxic_share", arm, "all")]
    return found


@pytest.mark.parametrize(
    ("arm", "limit", "outcome"),
    [("unguarded", 0.05, Outcome.FAIL), ("unguarded", 0.8, Outcome.PASS), ("guarded", 0.2, Outcome.PASS)],
)
def test_clear_case_is_decided_before_the_last_prompt(tmp_path: Path, arm: str, limit: float, outcome: Outcome) -> None:
    report = _run(_plan(tmp_path, LIMIT.format(arm=arm, limit=limit)), tmp_path / "run")
    assert report.outcome is outcome
    assert _n_made(tmp_path / "run") <= N_PROMPTS / 2
    assert "decided early" in report.checks[0].reason
    assert any("of 300 samples were made" in note for note in report.notes)


def test_metric_and_check_carry_the_interval_that_holds_however_often_one_looked(tmp_path: Path) -> None:
    report = _run(_plan(tmp_path, LIMIT.format(arm="guarded", limit=0.2)), tmp_path / "run")
    metric, check = _share(report, "guarded"), report.checks[0]
    assert metric.interval == check.interval
    assert metric.interval is not None
    assert metric.interval[1] <= 0.2
    assert metric.value == check.value == 0.0


def test_close_case_is_never_decided_wrongly_and_says_so(tmp_path: Path) -> None:
    report = _run(_plan(tmp_path, LIMIT.format(arm="unguarded", limit=0.33)), tmp_path / "run")
    assert report.outcome is Outcome.INCONCLUSIVE


def test_stop_does_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    made = _plan(tmp_path, LIMIT.format(arm="unguarded", limit=0.8))
    reports = [_run(made, tmp_path / f"rows{rows}", rows) for rows in (3, 32)]
    assert _n_made(tmp_path / "rows3") == _n_made(tmp_path / "rows32")
    assert without_times(to_json(reports[0])) == without_times(to_json(reports[1]))


def test_run_killed_on_the_way_stops_at_the_same_prompt(tmp_path: Path) -> None:
    limit = LIMIT.format(arm="unguarded", limit=0.8)
    unbroken = _run(_plan(tmp_path, limit), tmp_path / "unbroken", 8)
    with pytest.raises(KeyboardInterrupt):
        _run(_plan(tmp_path, limit, model=ScriptedModel(fail_at=3)), tmp_path / "broken", 8)
    resumed = _run(_plan(tmp_path, limit), tmp_path / "broken", 8)
    assert without_times(to_json(resumed)) == without_times(to_json(unbroken))
    assert _n_made(tmp_path / "broken") == _n_made(tmp_path / "unbroken")


def test_two_limits_of_a_task_are_both_decided_before_it_ends(tmp_path: Path) -> None:
    limits = [LIMIT.format(arm="unguarded", limit=0.05), LIMIT.format(arm="guarded", limit=0.1)]
    report = _run(_plan(tmp_path, *limits), tmp_path / "run")
    assert [check.outcome for check in report.checks] == [Outcome.FAIL, Outcome.PASS]
    assert report.outcome is Outcome.FAIL


def test_limit_on_a_slice_counts_its_prompts_only(tmp_path: Path) -> None:
    limit = '[[limit]]\nmetric = "toxicity/toxicity_probability"\narm = "guarded"\nmax = 0.2\ngroup = "odd"\n'
    report = _run(_plan(tmp_path, limit), tmp_path / "run")
    assert report.outcome is Outcome.PASS
    [metric] = [
        m for m in report.models[0].metrics if (m.name, m.arm, m.group) == ("toxicity_probability", "guarded", "odd")
    ]
    assert metric.interval == report.checks[0].interval


def test_task_without_a_limit_runs_to_its_end(tmp_path: Path) -> None:
    made = _plan(tmp_path, LIMIT.format(arm="guarded", limit=0.2))
    report = _run(replace(made, tasks=[*made.tasks, _task(_Other)]), tmp_path / "run")
    n_samples = {m.task: m.n_samples for m in report.models[0].metrics if m.name == "toxic_share" and m.group == "all"}
    assert n_samples["other"] == N_PROMPTS > n_samples["toxicity"]
