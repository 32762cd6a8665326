"""Arrays in, confidence bounds out: the interval methods behind :mod:`evals.stats`, vectorised over data sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["bounded_difference_interval", "bounded_mean_interval", "t_interval"]

Floats = npt.NDArray[np.float64]

PSEUDO_VALUES = 0.5
"""Made-up values added at each bound, as in the empirical logit (Anscombe 1956); why: ``docs/design/statistics.md``."""

_BISECTIONS = 60
"""Each halves the bracket: 2 ** -60 is below the spacing of doubles in [-1, 1]."""


def bounded_mean_interval(
    values: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Bound the weighted mean of independent values in [0, 1].

    Student's t on the logit scale with the linearised variance, after :data:`PSEUDO_VALUES` values have
    been added at 0 and as many at 1: at low rates a sample's variance is too small just when its mean is too
    small, and they mend both. No end lies farther out than the bound of Clopper and Pearson (1934) for as
    many trials as there are values, which is the worst case of clustering: all samples of a prompt alike. (Korn and
    Graubard 1998 put an estimated number of trials there.) So the bound is exact at 0 and at 1, and where all
    values are 0 or 1 with equal weights.

    Parameters
    ----------
    values : array_like of float, shape (..., n)
        In [0, 1]; one value a prompt, ``n >= 1``.
    weights : array_like of float, shape (..., n), optional
        Positive, each row summing to 1. Equal by default. Unequal ones count as ``1 / sum(weights ** 2)`` values.
    level : float, default 0.95

    Returns
    -------
    low, high : ndarray of float64, shape (...)
        ``0 <= low <= mean <= high <= 1`` and ``low < high``.
    """
    rows, shares = _rows_and_shares(values, weights)
    mean = np.clip((rows * shares).sum(axis=-1), 0.0, 1.0)
    n_effective = 1 / (shares**2).sum(axis=-1)
    exact_low, exact_high = _clopper_pearson(mean, n_effective, level=level)
    low, high = _logit_t_interval(rows, shares, n_effective, level=level)
    low = np.minimum(np.maximum(low, exact_low), mean)
    high = np.maximum(np.minimum(high, exact_high), mean)
    binomial = ((rows == 0) | (rows == 1)).all(axis=-1) & np.isclose(n_effective, rows.shape[-1])
    return np.where(binomial, exact_low, low), np.where(binomial, exact_high, high)


def bounded_difference_interval(
    differences: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Bound the weighted mean of independent differences in [-1, 1].

    Student's t with the variance that results from adding :data:`PSEUDO_VALUES` differences at -1 and as many at 1. No
    end lies farther out than the score bound of Tango (1998) for paired rates with the same gains and losses in
    whole prompts, which is the worst case. So the bound is Tango's where all differences are -1, 0 or 1 with equal
    weights, and where nothing changed.

    Parameters
    ----------
    differences : array_like of float, shape (..., n)
        In [-1, 1]; one difference a prompt, ``n >= 1``.
    weights, level
        As in :func:`bounded_mean_interval`.

    Returns
    -------
    low, high : ndarray of float64, shape (...)
        ``-1 <= low <= mean <= high <= 1`` and ``low < high``.
    """
    rows, shares = _rows_and_shares(differences, weights)
    mean = (rows * shares).sum(axis=-1)
    n_effective = 1 / (shares**2).sum(axis=-1)
    gained = (np.maximum(rows, 0.0) * shares).sum(axis=-1) * n_effective
    worst_low, worst_high = _tango_interval(gained, gained - mean * n_effective, n_effective, level=level)
    n_augmented = n_effective + 2 * PSEUDO_VALUES
    squares = (shares**2 * (rows - mean[..., None]) ** 2).sum(axis=-1) * n_effective**2 + 2 * PSEUDO_VALUES
    error = np.sqrt(squares / n_augmented / (n_augmented - 1))
    half = _t_quantile(n_effective - 1, level=level) * error
    low = np.minimum(np.maximum(mean - half, worst_low), mean)
    high = np.maximum(np.minimum(mean + half, worst_high), mean)
    whole = np.isin(rows, (-1.0, 0.0, 1.0)).all(axis=-1) & np.isclose(n_effective, rows.shape[-1])
    worst = whole | (rows == 0).all(axis=-1)
    return np.where(worst, worst_low, low), np.where(worst, worst_high, high)


def t_interval(
    values: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Bound the weighted mean of independent unbounded values by Student's t on the linearised variance.

    Parameters
    ----------
    values : array_like of float, shape (..., n)
    weights, level
        As in :func:`bounded_mean_interval`.

    Returns
    -------
    low, high : ndarray of float64, shape (...)
        NaN where one value, or values that are all equal, bound nothing.
    """
    rows, shares = _rows_and_shares(values, weights)
    mean = (rows * shares).sum(axis=-1)
    n_effective = 1 / (shares**2).sum(axis=-1)
    squares = (shares**2 * (rows - mean[..., None]) ** 2).sum(axis=-1)
    known = (rows != rows[..., :1]).any(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(squares * n_effective / (n_effective - 1))
        half = np.where(known, _t_quantile(n_effective - 1, level=level) * error, np.nan)
    return mean - half, mean + half


def _rows_and_shares(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """Return both as float64, equal weights by default."""
    rows = np.asarray(values, np.float64)
    if weights is None:
        return rows, np.full(rows.shape[-1], 1 / rows.shape[-1])
    return rows, np.asarray(weights, np.float64)


def _logit_t_interval(rows: Floats, shares: Floats, n_effective: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return Student's t interval on the logit scale, with pseudo-values at both bounds."""
    n_augmented = n_effective + 2 * PSEUDO_VALUES
    mean = ((rows * shares).sum(axis=-1) * n_effective + PSEUDO_VALUES) / n_augmented
    squares = (shares**2 * (rows - mean[..., None]) ** 2).sum(axis=-1) * n_effective**2
    squares = squares + PSEUDO_VALUES * (mean**2 + (1 - mean) ** 2)
    error = np.sqrt(squares / n_augmented / (n_augmented - 1))
    half = _t_quantile(n_effective - 1, level=level) * error / (mean * (1 - mean))
    return special.expit(special.logit(mean) - half), special.expit(special.logit(mean) + half)


def _t_quantile(df: Floats, *, level: float) -> Floats:
    """Return the two-sided quantile of Student's t; infinite at no degree of freedom."""
    positive = np.maximum(df, 1e-3)
    return np.where(df < 1e-3, np.inf, special.stdtrit(positive, (1 + level) / 2))


def _clopper_pearson(rate: Floats, n: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the exact binomial bounds of `rate` over `n` trials; neither hits nor trials need be whole."""
    tail = (1 - level) / 2
    hits = rate * n
    misses = n - hits
    tiny = np.finfo(np.float64).tiny
    low = np.where(hits > 0, special.betaincinv(np.maximum(hits, tiny), misses + 1, tail), 0.0)
    high = np.where(misses > 0, special.betaincinv(hits + 1, np.maximum(misses, tiny), 1 - tail), 1.0)
    return low, high


def _tango_interval(gained: Floats, lost: Floats, n: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the score interval of the difference of two paired rates (Tango 1998), by bisection on its ends."""
    z = special.ndtri((1 + level) / 2)
    value = np.clip((gained - lost) / n, -1.0, 1.0)
    ends = []
    for edge, sign in ((-1.0, 1.0), (1.0, -1.0)):
        outside, inside = np.full_like(value, edge), value.copy()
        for _ in range(_BISECTIONS):
            middle = (outside + inside) / 2
            beyond = sign * _tango_score(gained, lost, n, middle) > z
            outside, inside = np.where(beyond, middle, outside), np.where(beyond, inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _tango_score(gained: Floats, lost: Floats, n: Floats, difference: Floats) -> Floats:
    """Return the score statistic at a supposed difference; it falls as the difference grows."""
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    restricted = (np.sqrt(np.maximum(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * restricted + difference * (1 - difference))
    distance = gained - lost - n * difference
    certain = np.where(distance > 0, np.inf, np.where(distance < 0, -np.inf, 0.0))
    return np.where(variance > 0, distance / np.sqrt(np.where(variance > 0, variance, 1.0)), certain)
