"""From samples and scores to the figures of a report: metrics by arm and group, paired differences, histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evals.schema import Arm, Comparison, Example, Histogram, Metric, Record
from evals.stats import Estimate, Observations, paired_difference
from evals.values import ModelValues, Series, Value

__all__ = [
    "Figures",
    "Measure",
    "Row",
    "histogram",
    "judged_text",
    "measure",
    "measure_slice",
    "model_values",
    "worst",
]

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
    sample_id : str, default ""
        Of the sample, by which two runs are compared sample by sample; empty where it has none.
    """

    prompt_id: str
    group: str
    arm: Arm
    value: float | None
    sample_id: str = ""


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
    """What a task contributes to the report of a model, and the values behind it."""

    metrics: list[Metric] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    values: list[Series] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Append the figures of `other`."""
        self.metrics += other.metrics
        self.comparisons += other.comparisons
        self.histograms += other.histograms
        self.examples += other.examples
        self.values += other.values


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
    if group == "all":  # a slice has the same values
        figures.values += [_series(task, how, arm, rows) for arm in arms]
    return figures


def model_values(name: str, digest: str, figures: Figures) -> ModelValues:
    """Return the values of a model with the slices that its report gives, ready for :func:`evals.values.write_values`.

    Parameters
    ----------
    name, digest : str
        Of the model, as in the report.
    figures : Figures
        Of all its tasks.
    """
    slices: dict[tuple[str, str, Arm], list[str]] = {}
    for metric in figures.metrics:
        found = slices.setdefault((metric.task, metric.name, metric.arm), [])
        found += [metric.group] if metric.group != "all" else []
    series = [replace(s, groups=tuple(slices.get((s.task, s.metric, s.arm), ()))) for s in figures.values]
    known = {(s.task, s.metric, s.arm) for s in series}
    unpaired = dict.fromkeys(f"{task}/{metric}" for task, metric, arm in slices if (task, metric, arm) not in known)
    return ModelValues(name, digest, tuple(series), tuple(unpaired))


def _series(task: str, how: Measure, arm: Arm, rows: Sequence[Row]) -> Series:
    """Return the values that are paired between two runs: those of samples, or of prompts where `how` reduces them."""
    here = [row for row in rows if row.arm == arm]
    if how.statistic is None:
        values = [Value(r.prompt_id, r.sample_id, r.group, r.value, 1, int(r.value is None)) for r in here]
        return Series(task, how.name, arm, how.bounds, tuple(values))
    observed, groups = _observations(here, arm), {row.prompt_id: row.group for row in here}
    reduced = [
        Value(prompt, "", groups[prompt], value, len(observed[prompt]), observed[prompt].count(None))
        for prompt, values in how.statistic(observed).items()
        for value in values
    ]
    return Series(task, how.name, arm, how.bounds, tuple(reduced))


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
