"""Rows put both arms, their difference and the models side by side."""

from __future__ import annotations

import pytest

from evals.report.rows import changed, rows_of, task_tables
from evals.schema import Comparison, Metric, ModelResult
from tests.evals.report.example import example_report


def _difference(low: float, high: float) -> Comparison:
    return Comparison("m", "t", "unguarded", "guarded", (low + high) / 2, (low, high), 9)


@pytest.mark.parametrize(
    ("comparison", "better", "change"),
    [
        (_difference(-0.3, -0.1), "lower", "better"),
        (_difference(-0.3, -0.1), "higher", "worse"),
        (_difference(0.1, 0.3), "lower", "worse"),
        (_difference(0.1, 0.3), "higher", "better"),
        (_difference(0.1, 0.3), "", "moved"),
        (_difference(-0.1, 0.1), "lower", "unclear"),
        (_difference(-0.2, 0.0), "lower", "unclear"),
        (Comparison("m", "t", "unguarded", "guarded", None, None, 0), "lower", "unknown"),
        (Comparison("m", "t", "unguarded", "guarded", 0.2, None, 1), "lower", "unknown"),
        (None, "lower", "unknown"),
    ],
)
def test_changed_says_only_what_the_interval_shows(comparison: Comparison | None, better: str, change: str) -> None:
    assert changed(comparison, better=better) == change


def test_task_tables_put_models_side_by_side() -> None:
    tables = task_tables(example_report())
    assert [(table.task, table.pair) for table in tables] == [
        ("toxicity", ("unguarded", "guarded")),
        ("refusal", ("unguarded", "guarded")),
        ("quality", ("unguarded", "guarded")),
        ("robustness", ("clean", "perturbed")),
    ]
    first = tables[0].metrics[0]
    assert [(row.model, row.name) for row in first] == [
        ("smollm2-135m", "expected_maximum_toxicity"),
        ("gemma3-270m", "expected_maximum_toxicity"),
    ]
    assert len(tables[0].metrics) == 3
    assert len(tables[0].slices) == 12
    assert tables[2].slices == ()


def test_rows_of_one_arm_alone_has_no_other() -> None:
    metric = Metric("m", "t", "guarded", None, None, 4, 0, 4)
    row = rows_of(ModelResult("a", "b", (metric,), (), (), ()))[0]
    assert (row.before, row.after, row.comparison, row.change) == (None, metric, None, "unknown")
    assert (row.n_prompts, row.n_unscored) == ((4,), (4,))
