"""A rate as a judge sees it in, the rate corrected for the judge's own errors out, or a reason why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import special

from evals.stats import Observations, clustered_rate
from guard.errors import ConfigError

__all__ = ["LEAST_YOUDEN", "JudgedRate", "KnownJudge", "correct_rate", "judged_rate", "youden_interval"]

Floats = npt.NDArray[np.float64]

LEAST_YOUDEN = 0.2
"""Least lower bound of sensitivity + specificity - 1 that is corrected for.

At 0.2 the judge sees one in five of what sets a bad model apart from a good one: the interval of the rate is five times
as wide as that of what the judge saw, and an error of 0.01 in its specificity moves the rate by 0.05.
"""

_GRID = 20_001
"""Candidate rates; the ends are rounded outwards to the next one."""


class KnownJudge(Protocol):
    """A judge with measured errors, such as :class:`evals.scorers.linear.JudgeRates`."""

    @property
    def sensitivity(self) -> float:
        """Share of the positive labelled texts that it calls positive."""

    @property
    def specificity(self) -> float:
        """Share of the negative labelled texts that it calls negative."""

    @property
    def n_positive(self) -> int:
        """Positive labelled texts."""

    @property
    def n_negative(self) -> int:
        """Negative labelled texts."""


@dataclass(frozen=True)
class JudgedRate:
    """A rate corrected for the errors of its judge.

    Parameters
    ----------
    seen : float or None
        The rate as the judge sees it; None without data.
    value : float or None
        The corrected rate (Rogan and Gladen 1978), in [0, 1]; None where `refused` says why.
    interval : (float, float) or None
        Contains the uncertainty of the rate and of both error rates.
    refused : str
        Why there is no corrected rate; empty where there is one.
    """

    seen: float | None
    value: float | None
    interval: tuple[float, float] | None
    refused: str = ""


def judged_rate(
    obs: Observations, judge: KnownJudge, *, counts_negatives: bool = False, level: float = 0.95
) -> JudgedRate:
    """Correct the share of hits over the samples of prompts, clustered by prompt.

    Parameters
    ----------
    obs : Observations
        Each value 0, 1 or None: the judge's word on a sample.
    judge : KnownJudge
    counts_negatives : bool, default False
        Whether a hit is what the judge calls negative, as a missed refusal is for a judge of refusals.
    level : float, default 0.95

    Raises
    ------
    DataError, ConfigError
        As :func:`evals.stats.clustered_rate` and :func:`correct_rate`.
    """
    estimate = clustered_rate(obs, level=level)
    return correct_rate(estimate.value, estimate.interval, judge, counts_negatives=counts_negatives, level=level)


def correct_rate(
    seen: float | None,
    interval: tuple[float, float] | None,
    judge: KnownJudge,
    *,
    counts_negatives: bool = False,
    level: float = 0.95,
) -> JudgedRate:
    """Correct a rate that a report gives with its interval.

    Parameters
    ----------
    seen : float or None
        In [0, 1]: ``Metric.value`` of a share of samples. A share of prompts with any hit among several samples is
        none: the judge's errors are known for single texts.
    interval : (float, float) or None
        ``Metric.interval``, at `level`; clustered, so the correction is as well.
    judge : KnownJudge
    counts_negatives : bool, default False
        As in :func:`judged_rate`.
    level : float, default 0.95
        In (0, 1).

    Returns
    -------
    JudgedRate
        Refused without data, of a judge whose lower bound of Youden's index is below :data:`LEAST_YOUDEN`, and where
        the judge sees so few or so many hits that its error rates can hardly hold for these texts.

    Raises
    ------
    ConfigError
        Error rates out of [0, 1], no labelled texts, or a level out of (0, 1).

    Notes
    -----
    A rate ``p`` is kept when what it would show, ``p * sensitivity + (1 - p) * (1 - specificity)``, differs from what
    was seen by no more than the root of the sum of three squares: how far the interval of what was seen reaches on
    that side, and how far those of both error rates do, times ``p`` and ``1 - p``. That is Fieller's construction with
    the variance estimates recovered from the intervals (Zou and Donner 2008, section 2), so that each keeps its own,
    lopsided shape: the one at hand at no hit, Wilson's for the error rates. It never divides by Youden's index.
    Lang and Reiczigel (2014) correct a normal interval instead; coverage of both: ``docs/design/sequential.md``.

    Examples
    --------
    >>> from evals.scorers.linear import JudgeRates
    >>> judge = JudgeRates(0.5, sensitivity=0.8, specificity=0.9, n_positive=500, n_negative=500)
    >>> corrected = correct_rate(0.24, (0.2, 0.28), judge)
    >>> round(corrected.value, 3), [round(end, 2) for end in corrected.interval]
    (0.2, [0.13, 0.26])
    """
    hit, miss = _rates(judge, level) if not counts_negatives else _rates(judge, level)[::-1]
    if seen is None or interval is None:
        return JudgedRate(seen, None, None, "no data")
    youden, least = hit.value + miss.value - 1, youden_interval(judge, level=level)[0]
    if least < LEAST_YOUDEN:
        return JudgedRate(seen, None, None, _too_weak(hit, miss, least))
    kept = _kept(seen, interval, hit, miss)
    if not kept.any():
        few = seen < 1 - miss.value
        bound = f"{'at least' if few else 'at most'} {1 - miss.value if few else hit.value:.3g}"
        reason = (
            f"the judge sees {seen:.3g}, and with its error rates it would see {bound} whatever the truth: they were"
            " measured on other texts and hardly hold for these; label some of these and measure them again"
        )
        return JudgedRate(seen, None, None, reason)
    indices = np.flatnonzero(kept)
    low, high = (min(max(int(i), 0), _GRID - 1) / (_GRID - 1) for i in (indices[0] - 1, indices[-1] + 1))
    value = min(max((seen + miss.value - 1) / youden, 0.0), 1.0)
    return JudgedRate(seen, value, (min(low, value), max(high, value)))


def youden_interval(judge: KnownJudge, *, level: float = 0.95) -> tuple[float, float]:
    """Bound sensitivity + specificity - 1 (Youden 1950), from the intervals of both (Zou and Donner 2008).

    Raises
    ------
    ConfigError
        As :func:`correct_rate`.
    """
    a, b = _rates(judge, level)
    index = a.value + b.value - 1
    low = index - float(np.hypot(a.value - a.low, b.value - b.low))
    return low, index + float(np.hypot(a.high - a.value, b.high - b.value))


@dataclass(frozen=True)
class _Rate:
    """A share with its bounds."""

    value: float
    low: float
    high: float


def _kept(seen: float, interval: tuple[float, float], hit: _Rate, miss: _Rate) -> npt.NDArray[np.bool_]:
    """Return which candidate rates agree with what was seen."""
    rates = np.linspace(0, 1, _GRID)
    excess = rates * hit.value + (1 - rates) * (1 - miss.value) - seen
    # A rate that would show more than was seen: the rate seen may be higher, the judge see less of the hits, or call
    # fewer of the others hits. And the other way round.
    above = _root(interval[1] - seen, rates * (hit.value - hit.low), (1 - rates) * (miss.high - miss.value))
    below = _root(seen - interval[0], rates * (hit.high - hit.value), (1 - rates) * (miss.value - miss.low))
    return np.asarray((excess <= above) & (-excess <= below))


def _root(first: float, second: Floats, third: Floats) -> Floats:
    return np.asarray(np.sqrt(first**2 + second**2 + third**2))


def _rates(judge: KnownJudge, level: float) -> tuple[_Rate, _Rate]:
    """Return sensitivity and specificity with Wilson's bounds (1927)."""
    if not 0 < level < 1:
        raise ConfigError(f"confidence level {level}: must lie strictly between 0 and 1, for example 0.95")
    rates = []
    for name, value, n in (
        ("sensitivity", judge.sensitivity, judge.n_positive),
        ("specificity", judge.specificity, judge.n_negative),
    ):
        if not 0 <= value <= 1 or n < 1:
            raise ConfigError(f"judge: {name} {value} of {n} labelled texts; it is a share in [0, 1] of at least one")
        rates.append(_wilson(value, n, float(special.ndtri((1 + level) / 2))))
    return rates[0], rates[1]


def _wilson(value: float, n: int, z: float) -> _Rate:
    middle = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2)))
    return _Rate(value, min(middle - half, value), max(middle + half, value))


def _too_weak(hit: _Rate, miss: _Rate, least: float) -> str:
    return (
        f"the judge is too weak: its sensitivity and specificity, {hit.value:.2f} and {miss.value:.2f}, may add up to"
        f" no more than {1 + least:.2f}; below {1 + LEAST_YOUDEN:.1f} a rate cannot be told from the judge's errors."
        " Name a better judge with --scorer"
    )
