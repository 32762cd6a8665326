"""Values of prompts as they come in, evidence and confidence bounds out that hold however often one looks."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError, DataError

__all__ = ["ODDS_RATIOS", "WEIGHTS", "Side", "confidence_sequence", "last_interval", "log_evidence", "log_factors"]

Floats = npt.NDArray[np.float64]

Side = Literal["above", "below"]
"""What the evidence speaks for: that the mean lies above a candidate, or below it."""

ODDS_RATIOS = np.array([1.1, 1.2, 1.4, 1.7, 2.2, 3.0, 5.0, 10.0, 1000.0])
"""What the bets are made for: a mean whose odds are so many times those of the candidate, or one part in so many.

A rate at half or at twice a limit between 0.05 and 0.25 has an odds ratio of 2.1 to 3; 1000 is for no hit at all.
"""

WEIGHTS = np.array([0.03, 0.05, 0.10, 0.12, 0.36, 0.12, 0.08, 0.06, 0.08])
"""Share of the starting capital behind each bet; they sum to 1. Others, measured: ``docs/design/sequential.md``."""

_SIDES: tuple[Side, Side] = ("above", "below")

_BISECTIONS = 45
"""Each halves the bracket: 2 ** -45 is far below what any figure shows."""


def log_evidence(values: npt.ArrayLike, mean: float, *, side: Side) -> Floats:
    """Return, after each value, the logarithm of the evidence that the true mean lies on one side of `mean`.

    An e-process: if the true mean does not lie there, the chance that the evidence ever reaches ``1 / alpha`` is at
    most `alpha` (Ville's inequality), so one may look after each value and stop at will.

    Parameters
    ----------
    values : array_like of float, shape (..., n)
        In [0, 1]; one value a prompt, in random order.
    mean : float
        In [0, 1]: the limit. ``above`` speaks against a mean of at most this, ``below`` against one of at least this.
    side : {"above", "below"}

    Returns
    -------
    ndarray of float64, shape (..., n)

    Raises
    ------
    DataError
        A value that is not in [0, 1].
    ConfigError
        `mean` is not in [0, 1].

    Notes
    -----
    Testing by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting",
    section 4; the mixture is their diversified bet, section B.2). The bet of size ``d / (1 + d * mean)`` multiplies
    the capital by ``(1 + d * x) / (1 + d * mean)``. With ``d = r - 1`` that is, for 0 or 1, the likelihood ratio of
    a mean with `r` times the odds, which no other bet beats if that is the mean. In this form values and candidate
    separate, so evidence for all candidates comes from one sum a bet, and falls or rises with the candidate.

    Examples
    --------
    >>> import numpy as np
    >>> bool(log_evidence(np.zeros(60), 0.1, side="below")[-1] > np.log(20))  # 60 prompts and no hit
    True
    """
    rows = _checked(values)
    if not 0 <= mean <= 1:
        raise ConfigError(f"mean {mean}: a candidate for the mean of values in [0, 1] lies in [0, 1]")
    counts = np.arange(1, rows.shape[-1] + 1)
    total = np.full(rows.shape, -np.inf)
    for tilt, weight in zip(_tilts(side), WEIGHTS, strict=True):
        path = np.cumsum(np.log1p(tilt * rows), axis=-1) - counts * np.log1p(tilt * mean)
        total = np.logaddexp(total, path + math.log(weight))
    return total


def log_factors(values: npt.ArrayLike, mean: float, *, side: Side) -> Floats:
    """Return by what each bet multiplies its capital at each value, as logarithms.

    Parameters
    ----------
    values : array_like of float, shape (n,)
    mean, side
        As in :func:`log_evidence`.

    Returns
    -------
    ndarray of float64, shape (n, n_bets)
        Its sum over values, plus ``log(WEIGHTS)``, is the capital behind each bet.
    """
    tilts = _tilts(side)
    return np.asarray(np.log1p(tilts * _checked(values)[:, None]) - np.log1p(tilts * mean))


def confidence_sequence(values: npt.ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Bound the true mean after each value, such that all the bounds hold at once.

    Parameters
    ----------
    values : array_like of float, shape (..., n)
        In [0, 1]; one value a prompt, in random order.
    level : float, default 0.95
        Chance that the true mean lies between the bounds after every value; each end alone errs with at most half
        of the rest.

    Returns
    -------
    low, high : ndarray of float64, shape (..., n)
        The tightest bounds until then (running intersection). Should they ever cross, which the chance above allows
        for, `low` is above `high`.

    Raises
    ------
    DataError
        A value that is not in [0, 1].
    ConfigError
        `level` is not in (0, 1).

    Notes
    -----
    An end is the nearest candidate that :func:`log_evidence` rejects, found by bisection. So an end is within a limit
    exactly when the evidence against that limit has reached ``2 / (1 - level)``.
    """
    rows = _checked(values)
    threshold = _threshold(level)
    counts = np.arange(1, rows.shape[-1] + 1)
    ends = []
    for side in _SIDES:
        tilts = _tilts(side)
        sums = np.cumsum(np.log1p(tilts * rows[..., None]), axis=-2) + np.log(WEIGHTS)
        ends.append(_end(sums, counts[:, None], tilts, threshold))
    return np.maximum.accumulate(ends[0], axis=-1), np.minimum.accumulate(ends[1], axis=-1)


def last_interval(values: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Return the bounds of :func:`confidence_sequence` after the last value; (0, 1) where there is none.

    Where the tightest bounds cross, which has a chance of at most ``1 - level``, those of the last value alone stand,
    which never do.
    """
    rows = _checked(values)
    if rows.ndim != 1 or not rows.size:
        _threshold(level)
        return 0.0, 1.0
    low, high = (float(end[-1]) for end in confidence_sequence(rows, level=level))
    return (low, high) if low <= high else _bounds_of_last(rows, level)


def _bounds_of_last(rows: Floats, level: float) -> tuple[float, float]:
    """Return the bounds after the last value without those before it."""
    ends = []
    for side in _SIDES:
        tilts = _tilts(side)
        sums = np.log1p(tilts * rows[:, None]).sum(axis=0) + np.log(WEIGHTS)
        ends.append(float(_end(sums, np.array(len(rows)), tilts, _threshold(level))))
    return ends[0], ends[1]


def _end(sums: Floats, counts: npt.NDArray[np.int64], tilts: Floats, threshold: float) -> Floats:
    """Return the nearest candidate whose evidence reaches the threshold, else 0 (tilts up) or 1 (tilts down)."""
    edge = 0.0 if tilts[0] > 0 else 1.0
    rejected, kept = np.full(sums.shape[:-1], edge), np.full(sums.shape[:-1], 1.0 - edge)
    for _ in range(_BISECTIONS):
        middle = (rejected + kept) / 2
        capital = np.logaddexp.reduce(sums - counts * np.log1p(tilts * middle[..., None]), axis=-1)
        over = capital >= threshold
        rejected, kept = np.where(over, middle, rejected), np.where(over, kept, middle)
    return rejected


def _tilts(side: Side) -> Floats:
    """Return ``d`` of each bet: positive bets gain on hits, negative ones on misses."""
    return np.asarray(ODDS_RATIOS - 1 if side == "above" else 1 / ODDS_RATIOS - 1)


def _threshold(level: float) -> float:
    if not 0 < level < 1:
        raise ConfigError(f"confidence level {level}: must lie strictly between 0 and 1, for example 0.95")
    return math.log(2 / (1 - level))


def _checked(values: npt.ArrayLike) -> Floats:
    """Return the values as float64; NaN fails every comparison, so it is caught by what must hold."""
    rows = np.asarray(values, np.float64)
    if not ((rows >= 0) & (rows <= 1)).all():
        raise DataError("a value is not in [0, 1]: bets are only sound on bounded values; scale them first")
    return rows
