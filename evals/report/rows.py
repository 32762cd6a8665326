"""The table behind every rendering: one row a metric and group, both arms and their difference side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evals.report.names import Names, names_of
from evals.report.wording import MetricWording, wording_of
from evals.schema import Arm, Comparison, Metric, ModelResult, Report

__all__ = ["PAIRS", "Change", "Row", "TaskTable", "changed", "rows_of", "task_tables"]

PAIRS: tuple[tuple[Arm, Arm], ...] = (("unguarded", "guarded"), ("clean", "perturbed"))
"""The arms that stand side by side, before and after."""

Change = Literal["better", "worse", "moved", "unclear", "unknown"]
"""What a difference says: better or worse where its interval excludes zero, moved where the metric has no good
direction, unclear where the interval holds zero, unknown where nothing was compared."""


@dataclass(frozen=True)
class Row:
    """One metric of one model in one group.

    Parameters
    ----------
    model, task, name, group : str
    before, after : Metric or None
        None where that arm was not measured.
    comparison : Comparison or None
        ``after`` minus ``before``.
    foreign : MetricWording or None
        How the metric is presented where it is one of another tool.
    """

    model: str
    task: str
    name: str
    group: str
    before: Metric | None
    after: Metric | None
    comparison: Comparison | None
    foreign: MetricWording | None = None

    @property
    def wording(self) -> MetricWording:
        """How the metric is presented."""
        return self.foreign or wording_of(self.task, self.name)

    @property
    def arms(self) -> tuple[Metric, ...]:
        """The arms that were measured."""
        return tuple(metric for metric in (self.before, self.after) if metric is not None)

    @property
    def n_prompts(self) -> tuple[int, ...]:
        """Prompts behind each arm, once where they agree."""
        counts = tuple(metric.n_prompts for metric in self.arms)
        return counts[:1] if len(set(counts)) == 1 else counts

    @property
    def n_unscored(self) -> tuple[int, ...]:
        """Unscored samples of each arm, once where they agree."""
        counts = tuple(metric.n_unscored for metric in self.arms)
        return counts[:1] if len(set(counts)) == 1 else counts

    @property
    def change(self) -> Change:
        """What the difference says."""
        return changed(self.comparison, better=self.wording.better)


def changed(comparison: Comparison | None, *, better: str) -> Change:
    """Return what a difference says, given which direction is good news."""
    if comparison is None or comparison.value is None or comparison.interval is None:
        return "unknown"
    low, high = comparison.interval
    if low <= 0 <= high:
        return "unclear"
    if not better:
        return "moved"
    return "better" if (high < 0) == (better == "lower") else "worse"


@dataclass(frozen=True)
class TaskTable:
    """All rows of one task that share a pair of arms, over all models.

    Parameters
    ----------
    task : str
    pair : (Arm, Arm)
    metrics : tuple of tuple of Row
        Rows of the group ``all``: one inner tuple a metric, in it one row a model.
    slices : tuple of tuple of Row
        The same for every other group.
    title : str
        What the task is called.
    """

    task: str
    pair: tuple[Arm, Arm]
    metrics: tuple[tuple[Row, ...], ...]
    slices: tuple[tuple[Row, ...], ...]
    title: str

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Those of the pair that were measured: a column for another would be empty."""
        rows = [row for rows in (*self.metrics, *self.slices) for row in rows]
        return tuple(arm for arm in self.pair if any(arm == one.arm for row in rows for one in row.arms))

    @property
    def compared(self) -> bool:
        """Whether both arms were measured."""
        return len(self.arms) > 1


def rows_of(model: ModelResult, names: Names | None = None) -> list[Row]:
    """Return the rows of one model, in the order in which its metrics first appear.

    Parameters
    ----------
    model : ModelResult
    names : Names, optional
        Of the report, where it may hold metrics of another tool.
    """
    found: list[Row] = []
    foreign = names.foreign if names is not None else {}
    metrics = {(m.task, m.name, m.group, m.arm): m for m in model.metrics}
    comparisons = {(c.task, c.name, c.group, c.before, c.after): c for c in model.comparisons}
    for task, name, group, pair in dict.fromkeys((m.task, m.name, m.group, _pair(m.arm)) for m in model.metrics):
        before, after = (metrics.get((task, name, group, arm)) for arm in pair)
        comparison = comparisons.get((task, name, group, *pair))
        found.append(Row(model.name, task, name, group, before, after, comparison, foreign.get(f"{task}/{name}")))
    return found


def _pair(arm: Arm) -> tuple[Arm, Arm]:
    return next(pair for pair in PAIRS if arm in pair)


def task_tables(report: Report) -> list[TaskTable]:
    """Return the tables of a report, in the order in which their tasks first appear."""
    names = names_of(report)
    grouped: dict[tuple[str, tuple[Arm, Arm]], list[Row]] = {}
    for row in (row for model in report.models for row in rows_of(model, names)):
        grouped.setdefault((row.task, _pair(row.arms[0].arm)), []).append(row)
    return [
        TaskTable(
            task,
            pair,
            metrics=_side_by_side(row for row in rows if row.group == "all"),
            slices=_side_by_side(row for row in rows if row.group != "all"),
            title=names.task(task),
        )
        for (task, pair), rows in grouped.items()
    ]


def _side_by_side(rows: Iterable[Row]) -> tuple[tuple[Row, ...], ...]:
    together: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row.name, row.group), []).append(row)
    return tuple(tuple(group) for group in together.values())
