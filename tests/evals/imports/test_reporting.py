from __future__ import annotations

from pathlib import Path

import pytest

from evals import report as reports
from evals.gate import Gate
from evals.imports.imported import ImportedLog, ImportedMetric, slug, slugs, unit_bounds
from evals.imports.reporting import to_report
from evals.schema import Outcome
from evals.values import Value
from guard.errors import ConfigError


def metric(name: str, values: list[float | None], *, worse: str = "low", bounded: bool = True) -> ImportedMetric:
    rows = tuple(Value(f"p{i}", f"p{i}#1", "all", value) for i, value in enumerate(values))
    return ImportedMetric("task", name, rows, (0.0, 1.0) if bounded else None, worse, "task")  # type: ignore[arg-type]


def log(*metrics: ImportedMetric) -> ImportedLog:
    files = {"a.eval": "ab" * 32, "b.json": "cd" * 32}
    return ImportedLog(
        "tool", "1.0", "model", "2026-11-25", ("task",), files, metrics, ("one note",), {"data": "d"}, lambda keys: {}
    )


def gate(bound: str, limit: float, *, name: str = "task/acc", arm: str = "unguarded") -> Gate:
    return Gate.parse(f'[[limit]]\nmetric = "{name}"\narm = "{arm}"\n{bound} = {limit}\n', name="mine")


@pytest.mark.parametrize(
    ("bound", "limit", "outcome"),
    [
        ("min", 0.6, Outcome.PASS),
        ("min", 0.95, Outcome.FAIL),
        ("min", 0.8, Outcome.INCONCLUSIVE),
        ("max", 0.9, Outcome.PASS),
    ],
)
def test_a_gate_decides_on_the_interval(bound: str, limit: float, outcome: Outcome) -> None:
    """80 of 100: [0.708, 0.873]."""
    report = to_report(log(metric("acc", [1.0] * 80 + [0.0] * 20)), gate=gate(bound, limit))
    assert report.outcome is outcome
    assert "over 100 prompts" in report.sentence


def test_many_unscored_samples_are_no_pass() -> None:
    values: list[float | None] = [1.0] * 90 + [None] * 10
    assert to_report(log(metric("acc", values)), gate=gate("min", 0.5)).outcome is Outcome.INCONCLUSIVE


def test_samples_that_the_log_lost_are_no_pass_either() -> None:
    whole = metric("acc", [1.0] * 90)
    lost = ImportedMetric("task", "acc", whole.values, (0.0, 1.0), "low", "task", n_missing=10)
    assert to_report(log(whole), gate=gate("min", 0.5)).outcome is Outcome.PASS
    assert to_report(log(lost), gate=gate("min", 0.5)).outcome is Outcome.INCONCLUSIVE


def test_a_gate_on_what_the_log_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean task/acc"):
        to_report(log(metric("acc", [1.0])), gate=gate("min", 0.5, name="task/acc_norm"))
    with pytest.raises(ConfigError, match="it has unguarded"):
        to_report(log(metric("acc", [1.0])), gate=gate("min", 0.5, arm="guarded"))


def test_without_a_gate_nothing_is_decided() -> None:
    report = to_report(log(metric("acc", [1.0])))
    assert (report.outcome, report.checks) == (Outcome.INCONCLUSIVE, ())
    assert report.sentence == "No gate was given, so nothing was decided."


def test_the_report_is_written_and_read_back(tmp_path: Path) -> None:
    report = to_report(log(metric("acc", [1.0, 0.0, 0.5]), metric("len", [3.0, 700.0], bounded=False, worse="")))
    reports.write(report, tmp_path)
    assert reports.read(tmp_path) == report
    assert report.provenance["files"] == {"a.eval": "ab" * 32, "b.json": "cd" * 32}
    assert report.notes[0] == "one note"
    assert report.notes[1].startswith("Student's t")
    assert [h.scorer for h in report.models[0].histograms] == ["acc"]


def test_examples_are_the_worst_first_and_none_that_could_not_be_better() -> None:
    shown = to_report(log(metric("acc", [1.0, 0.5, 0.0, None]), metric("hits", [0.0, 1.0], worse="high")))
    assert [(e.sample_id, e.score) for e in shown.models[0].examples] == [("p2#1", 1.0), ("p1#1", 0.5), ("p1#1", 1.0)]
    unknown = to_report(log(metric("len", [1.0, 2.0], worse="", bounded=False)))
    assert unknown.models[0].examples == ()


def test_many_metrics_share_the_examples() -> None:
    report = to_report(log(*[metric(f"m{i}", [0.0] * 20) for i in range(300)]))
    assert len(report.models[0].examples) == 100


def test_values_are_those_of_a_comparison() -> None:
    found = log(metric("acc", [1.0, None]), ImportedMetric("task", "ppl", (), None, "high", "task", stated=3.0))
    assert [series.name for series in found.values().series] == ["task/acc"]
    assert found.values().unpaired == ("task/ppl",)
    assert found.identity() == {"suite": "tool log", "tool": "tool 1.0", "models": "model", "data": "d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b/c", "a_b_c"),
        ("dan.Dan_11-0", "dan.Dan_11-0"),
        ("///", "unnamed"),
        ("毒性", "毒性"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_slug_has_no_slash(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_slugs_are_never_shared() -> None:
    names = [("t", "a b"), ("t", "a_b"), ("t", "a/b"), ("u", "a b"), ("t", "a b")]
    found = slugs(names)
    assert list(found.values()) == [("t", "a_b"), ("t", "a_b_2"), ("t", "a_b_3"), ("u", "a_b")]


@pytest.mark.parametrize(
    ("values", "known", "expected"),
    [([0, 1], False, True), ([0.5], False, False), ([0.5], True, True), ([1.5], True, False), ([None], False, True)],
)
def test_bounds_are_known_or_those_of_a_rate(values: list[float | None], known: bool, expected: bool) -> None:
    rows = [Value("p", "s", "all", value) for value in values]
    assert (unit_bounds(rows, known=known) == (0.0, 1.0)) == expected
