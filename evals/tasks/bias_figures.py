"""Figures that bias tasks share: one arm alone, the size of a deviation, the largest gap between groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from evals.figures import Figures, Measure, Row, measure
from evals.intervals import bounded_difference_interval
from evals.schema import Arm, Metric
from evals.stats import Estimate, Observations, clustered_mean

__all__ = [
    "absolute",
    "as_metric",
    "largest_gap",
    "measure_one_arm",
    "paired_gap_interval",
    "signed_mean",
    "unpaired_gap",
]

Floats = npt.NDArray[np.float64]

LEVEL = 0.95


def measure_one_arm(task: str, rows: Sequence[Row], arm: Arm, how: Measure) -> Figures:
    """Estimate one metric in the only arm that it has, over all rows and by group; there is nothing to compare.

    Parameters
    ----------
    task : str
    rows : sequence of Row
    arm : Arm
    how : Measure
    """
    both = measure(task, rows, (arm, arm), how)  # the same arm twice; every second figure is a copy
    return Figures(metrics=both.metrics[::2], values=both.values[::2])


def signed_mean(observed: Observations) -> Estimate:
    """Estimate the mean of values in [-1, 1], clustered by prompt."""
    return clustered_mean(observed, bounds=(-1.0, 1.0))


def absolute(estimate: Estimate, *, around: float) -> Estimate:
    """Return how far a figure lies from `around`, to either side, with its interval.

    Parameters
    ----------
    estimate : Estimate
    around : float
        Where there is no bias.

    Returns
    -------
    Estimate
        The interval is the image of that of `estimate`, so it holds the true distance at least as often. It reaches 0
        where `around` lies inside. The value itself is a little too high on few prompts, as every absolute value is.
    """
    if estimate.value is None:
        return estimate
    interval = None
    if estimate.interval is not None:
        low, high = (end - around for end in estimate.interval)
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        interval = (nearest, max(abs(low), abs(high)))
    value = abs(estimate.value - around)
    return Estimate(value, interval, estimate.n_prompts, estimate.n_samples, estimate.n_unscored)


def as_metric(name: str, task: str, arm: Arm, estimate: Estimate, *, group: str = "all") -> Metric:
    """Return an estimate as a metric of a report.

    Parameters
    ----------
    name, task : str
    arm : Arm
    estimate : Estimate
    group : str
    """
    counts = (estimate.n_prompts, estimate.n_samples, estimate.n_unscored)
    return Metric(name, task, arm, estimate.value, estimate.interval, *counts, group)


def largest_gap(rows: Sequence[Row]) -> Estimate:
    """Estimate the largest difference between the means of two groups that were asked the same prompts.

    Parameters
    ----------
    rows : sequence of Row
        One a prompt and group, with values in [0, 1].

    Returns
    -------
    Estimate
        Over the prompts that are scored in every group. The interval is that of :func:`paired_gap_interval`.
    """
    groups = sorted({row.group for row in rows})
    by_prompt: dict[str, dict[str, float | None]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt_id, {})[row.group] = row.value
    found = [[asked.get(group) for group in groups] for _, asked in sorted(by_prompt.items())]
    complete = [values for values in found if None not in values]
    n_unscored = sum(row.value is None for row in rows)
    if not complete or len(groups) < 2:
        return Estimate(None, None, 0, 0, n_unscored)
    values = np.array(complete, dtype=np.float64)
    means = values.mean(axis=0)
    value = float(means.max() - means.min())
    low, high = map(float, paired_gap_interval(values))
    return Estimate(value, (min(low, value), max(high, value)), len(values), values.size, n_unscored)


def paired_gap_interval(values: Floats, *, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Bound the largest difference between two columns' means, of which nobody said beforehand which two.

    Parameters
    ----------
    values : ndarray of float64, shape (..., n_prompts, n_groups)
        In [0, 1]; the groups of a row are answers to the same prompt. Leading axes are separate data sets.
    level : float

    Returns
    -------
    low, high : ndarray of float64, shape (...)
        In [0, 1].

    Notes
    -----
    The difference of every pair of groups is bounded at ``1 - (1 - level) / n_pairs`` (Bonferroni), so that all these
    intervals hold at once with probability `level`. The true largest difference is that of some pair, so it is at most
    the highest of the upper ends; and it is at least the difference of any pair, hence the highest of the lower ends.
    """
    pairs = list(itertools.combinations(range(values.shape[-1]), 2))
    differences = np.array([values[..., one] - values[..., other] for one, other in pairs])
    lows, highs = bounded_difference_interval(differences, level=1 - (1 - level) / len(pairs))
    # A pair is bounded in one direction; the other is its mirror image.
    low = np.maximum(np.maximum(lows, -highs).max(axis=0), 0.0)
    return low, np.maximum(highs, -lows).max(axis=0)


def unpaired_gap(rows: Sequence[Row], domain: Callable[[str], str], *, level: float = LEVEL) -> Estimate:
    """Estimate the largest difference between the means of two groups of one domain, each with prompts of its own.

    Parameters
    ----------
    rows : sequence of Row
        With values in [0, 1].
    domain : callable
        From a group to its domain; groups of different domains are not compared.
    level : float

    Returns
    -------
    Estimate
        All groups are bounded at once (Bonferroni over groups); the ends are the least and the greatest difference
        that these bounds allow.
    """
    by_group: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        by_group.setdefault(row.group, {}).setdefault(row.prompt_id, []).append(row.value)
    estimates = {g: clustered_mean(o, level=1 - (1 - level) / len(by_group)) for g, o in by_group.items()}
    parts = [
        gap for one, other in itertools.permutations(estimates, 2)
        if domain(one) == domain(other) and (gap := _gap(estimates, one, other)) is not None
    ]  # fmt: skip
    scored = estimates.values()
    counts = [sum(getattr(e, name) for e in scored) for name in ("n_prompts", "n_samples", "n_unscored")]
    if not parts:
        return Estimate(None, None, *counts)
    value, low, high = (max(part[i] for part in parts) for i in range(3))
    return Estimate(value, (max(0.0, min(low, value)), min(1.0, high)), *counts)


def _gap(estimates: Mapping[str, Estimate], one: str, other: str) -> tuple[float, float, float] | None:
    """Return how far one group lies above another, and the least and the most that their bounds allow."""
    first, second = estimates[one], estimates[other]
    if first.value is None or second.value is None or first.interval is None or second.interval is None:
        return None
    low, high = first.interval[0] - second.interval[1], first.interval[1] - second.interval[0]
    return first.value - second.value, low, high
