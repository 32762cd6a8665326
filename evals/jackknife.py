"""Uncertainty of a figure of a whole set of answers, which is no mean: leave out one prompt at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evals.schema import Arm, Comparison, Metric
from evals.stats import Estimate, PairedEstimate

__all__ = ["SetFigure", "SetStatistic", "TextsByPrompt", "jackknife_difference", "jackknife_estimate", "set_metrics"]

Floats = npt.NDArray[np.float64]

TextsByPrompt = Mapping[str, Sequence[str | None]]
"""Prompt id -> its texts, None where one is unscored."""

_LEVEL = 0.95
_FEWEST = 3


@dataclass(frozen=True)
class SetFigure:
    """A figure of a set of texts, and what it would be without each of its prompts.

    Parameters
    ----------
    value : float or None
        None where the set has none.
    left_out : mapping of str to float
        From each prompt to the value without it.
    """

    value: float | None
    left_out: Mapping[str, float]


SetStatistic = Callable[[Mapping[str, Sequence[str]]], SetFigure]
"""From the scored texts of each prompt to the figure of them all."""


def jackknife_estimate(
    texts: TextsByPrompt, statistic: SetStatistic, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """Estimate a figure of the set with an interval over prompts.

    The value plus and minus Student's t times the jackknife's standard error (Tukey 1958), cut at the bounds. The
    jackknife's variance is too large on average, never too small (Efron & Stein 1981, "The jackknife estimate of
    variance", theorem 1), for any figure that does not depend on the order of the prompts. A bootstrap would not do:
    it draws prompts twice, and two equal texts are just what these figures count.

    Parameters
    ----------
    texts : TextsByPrompt
    statistic : callable
    bounds : (float, float), default (0.0, 1.0)

    Returns
    -------
    Estimate
        Of sets of as many prompts: most figures of a set change with its size, so only equal numbers compare. Without
        an interval below 3 prompts and where leaving one out changes nothing.
    """
    scored = _scored(texts)
    figure = statistic(scored)
    n_scored = sum(map(len, scored.values()))
    n_unscored = sum(map(len, texts.values())) - n_scored
    if figure.value is None:
        return Estimate(None, None, 0, 0, n_unscored + n_scored)
    replicates = np.array([figure.left_out[prompt] for prompt in sorted(figure.left_out)])
    return Estimate(figure.value, _interval(figure.value, replicates, bounds), len(scored), n_scored, n_unscored)


def jackknife_difference(
    before: TextsByPrompt,
    after: TextsByPrompt,
    statistic: SetStatistic,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> PairedEstimate:
    """Estimate after minus before, each over the prompts that have a scored text in both.

    A prompt is left out of both sides at once, so what the sides share cancels.

    Parameters
    ----------
    before, after : TextsByPrompt
    statistic : callable
    bounds : (float, float), default (0.0, 1.0)
        Of the figure.
    """
    old, new = _scored(before), _scored(after)
    shared = sorted(old.keys() & new.keys())
    n_dropped = len(before.keys() | after.keys()) - len(shared)
    first = statistic({prompt: old[prompt] for prompt in shared})
    second = statistic({prompt: new[prompt] for prompt in shared})
    if first.value is None or second.value is None:
        return PairedEstimate(None, None, 0, n_dropped)
    value = second.value - first.value
    both = sorted(first.left_out.keys() & second.left_out.keys())
    replicates = np.array([second.left_out[prompt] - first.left_out[prompt] for prompt in both])
    span = bounds[1] - bounds[0]
    return PairedEstimate(value, _interval(value, replicates, (-span, span)), len(shared), n_dropped)


def set_metrics(
    task: str,
    name: str,
    texts: Mapping[Arm, TextsByPrompt],
    arms: tuple[Arm, Arm],
    statistic: SetStatistic,
) -> tuple[list[Metric], Comparison]:
    """Return a figure of the set as the metrics and the comparison of a report.

    Parameters
    ----------
    task, name : str
    texts : mapping of Arm to TextsByPrompt
    arms : (Arm, Arm)
        Before and after.
    statistic : callable
        In [0, 1].
    """
    metrics = []
    for arm in arms:
        found = jackknife_estimate(texts[arm], statistic)
        counts = (found.n_prompts, found.n_samples, found.n_unscored)
        metrics.append(Metric(name, task, arm, found.value, found.interval, *counts))
    paired = jackknife_difference(texts[arms[0]], texts[arms[1]], statistic)
    return metrics, Comparison(name, task, *arms, paired.value, paired.interval, paired.n_prompts)


def _scored(texts: TextsByPrompt) -> dict[str, list[str]]:
    """Return the texts that are there, by prompt."""
    found = {prompt: [text for text in texts[prompt] if text is not None] for prompt in sorted(texts)}
    return {prompt: ones for prompt, ones in found.items() if ones}


def _interval(value: float, replicates: Floats, bounds: tuple[float, float]) -> tuple[float, float] | None:
    n = len(replicates)
    if n < _FEWEST:
        return None
    variance = (n - 1) / n * math.fsum((replicates - replicates.mean()) ** 2)
    if not variance > 0:
        return None
    half = float(special.stdtrit(n - 1, (1 + _LEVEL) / 2)) * math.sqrt(variance)
    return (min(value, max(bounds[0], value - half)), max(value, min(bounds[1], value + half)))
