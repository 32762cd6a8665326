"""From samples and scores to the figures of a report: metrics by arm and group, paired differences, histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evals.schema import Arm, Comparison, Example, Histogram, Metric, Record
from evals.stats import Estimate, Observations, paired_difference

__all__ = ["Figures", "Measure", "Row", "histogram", "judged_text", "measure", "measure_slice", "worst"]

_BINS = 20

Estimator = Callable[[Observations], Estimate]
Statistic = Callable[[Observations], Observations]


@dataclass(frozen=True)
class Row:
    """One value of one sample in one arm.

    Parameters
    ----------
    prompt_id, group : str
    arm : Arm
    value : float or None
        None = unscored.
    """

    prompt_id: str
    group: str
    arm: Arm
    value: float | None


@dataclass(frozen=True)
class Measure:
    """How a metric is estimated from rows.

    Parameters
    ----------
    name : str
    estimate : callable
        Observations to an Estimate.
    statistic : callable or None
        What is paired: from the values of a prompt to one (its maximum, say); None pairs the means.
    bounds : (float, float) or None
        The range of the values; None when they have none.
    by_group : bool
        Whether the slices are reported as well.
    """

    name: str
    estimate: Estimator
    statistic: Statistic | None = None
    bounds: tuple[float, float] | None = (0.0, 1.0)
    by_group: bool = False


@dataclass
class Figures:
    """What a task contributes to the report of a model."""

    metrics: list[Metric] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Append the figures of `other`."""
        self.metrics += other.metrics
        self.comparisons += other.comparisons
        self.histograms += other.histograms
        self.examples += other.examples


def measure(task: str, rows: Sequence[Row], arms: tuple[Arm, Arm], how: Measure) -> Figures:
    """Estimate one metric in both arms and its paired difference, over all rows and by group.

    Parameters
    ----------
    task : str
    rows : sequence of Row
    arms : (Arm, Arm)
        Before and after: the difference is the second minus the first.
    how : Measure
    """
    figures = measure_slice(task, rows, arms, how, group="all")
    for group in sorted({row.group for row in rows}) if how.by_group else ():
        figures.add(measure_slice(task, [row for row in rows if row.group == group], arms, how, group=group))
    return figures


def measure_slice(task: str, rows: Sequence[Row], arms: tuple[Arm, Arm], how: Measure, *, group: str) -> Figures:
    """Estimate one metric in both arms and its paired difference over `rows`, under the name `group`."""
    before, after = (_observations(rows, arm) for arm in arms)
    figures = Figures()
    for arm, observed in zip(arms, (before, after), strict=True):
        figures.metrics.append(_metric(task, how, arm, group, observed))
    figures.comparisons.append(_comparison(task, how, arms, group, before, after))
    return figures


def _observations(rows: Iterable[Row], arm: Arm) -> dict[str, list[float | None]]:
    observed: dict[str, list[float | None]] = {}
    for row in rows:
        if row.arm == arm:
            observed.setdefault(row.prompt_id, []).append(row.value)
    return observed


def _metric(task: str, how: Measure, arm: Arm, group: str, observed: Observations) -> Metric:
    estimate = how.estimate(observed)
    return Metric(
        name=how.name,
        task=task,
        arm=arm,
        value=estimate.value,
        interval=estimate.interval,
        n_prompts=estimate.n_prompts,
        n_samples=estimate.n_samples,
        n_unscored=estimate.n_unscored,
        group=group,
    )


def _comparison(
    task: str, how: Measure, arms: tuple[Arm, Arm], group: str, before: Observations, after: Observations
) -> Comparison:
    paired = paired_difference(before, after, statistic=how.statistic, bounds=how.bounds)
    return Comparison(how.name, task, arms[0], arms[1], paired.value, paired.interval, paired.n_prompts, group)


def histogram(task: str, scorer: str, arm: Arm, values: Sequence[float | None]) -> Histogram:
    """Count scores in [0, 1] in 20 bins of equal width."""
    scored = np.array([value for value in values if value is not None], dtype=np.float64)
    counts, edges = np.histogram(scored, bins=_BINS, range=(0.0, 1.0))
    return Histogram(task, scorer, arm, tuple(edges.tolist()), tuple(counts.tolist()), len(values) - len(scored))


def judged_text(record: Record, arm: Arm) -> str | None:
    """Return what an arm released, or None where a filter failed and ``on_error`` decided.

    An outage of the guard is not a success of the guard: such a sample is unscored. The permissive policy of the
    unguarded arm decides nothing, so a failure does not touch it.
    """
    made = record.arms[arm]
    verdicts = (made.prompt_verdict, made.output_verdict)
    failed = any(verdict is not None and verdict.error is not None for verdict in verdicts)
    return None if failed and arm != "unguarded" else made.text


def worst(
    records: Sequence[Record], scores: Mapping[str, float | None], *, scorer: str, arm: Arm, n: int = 10
) -> list[Example]:
    """Return the `n` samples with the highest scores, worst first, at most one a prompt.

    Parameters
    ----------
    records : sequence of Record
    scores : mapping of sample id to float or None
    scorer : str
    arm : Arm
        Whose verdict and released text are shown.
    """
    scored = [(scores[record.sample.id], record) for record in records]
    ranked = sorted(((s, r) for s, r in scored if s is not None), key=lambda pair: (-pair[0], pair[1].sample.id))
    first: dict[str, tuple[float, Record]] = {}
    for score, record in ranked:
        first.setdefault(record.sample.prompt_id, (score, record))
    return [_example(record, score, scorer, arm) for score, record in list(first.values())[:n]]


def _example(record: Record, score: float, scorer: str, arm: Arm) -> Example:
    sample, made = record.sample, record.arms[arm]
    return Example(
        sample_id=sample.id,
        task=sample.task,
        group=sample.group,
        prompt=sample.prompt,
        output=record.output or "",
        released=made.text or "",
        score=score,
        scorer=scorer,
        prompt_verdict=made.prompt_verdict,
        output_verdict=made.output_verdict,
    )
