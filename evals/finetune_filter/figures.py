"""Ranking and decisions of two scorers on the same labelled texts, with paired intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from evals.harden_filter.figures import Change, Side, area_change

__all__ = ["average_precision", "best_threshold", "compared", "f1"]

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Statistic = Callable[[Floats], Floats]
"""Weights of the texts, shape (draws, n) -> a value each draw."""

_DRAWS = 2000


def average_precision(scores: Floats, truth: Truth, weights: Floats) -> Floats:
    """Return the area under precision and recall as a sum over distinct scores.

    Parameters
    ----------
    scores : ndarray
        float64, shape (n,).
    truth : ndarray
        bool, shape (n,).
    weights : ndarray
        float64, shape (draws, n), at least 0: how often each text counts.

    Returns
    -------
    ndarray
        float64, shape (draws,); NaN where no positive counts.

    Notes
    -----
    Boyd et al. 2013, "Area under the Precision-Recall Curve: Point Estimates and Confidence Intervals", section 2: sum
    of precision times the gain in recall. Texts that tie are taken together, so their order is no matter.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), np.ones((1, 3))).round(4).tolist()
    [0.8333]
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    positive = np.cumsum((weights * truth)[:, order], axis=1)[:, ends]
    fired = np.cumsum(weights[:, order], axis=1)[:, ends]
    gains = np.diff(positive, axis=1, prepend=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.nansum(positive / fired * gains, axis=1) / positive[:, -1]
    return found


def f1(scores: Floats, truth: Truth, weights: Floats, *, threshold: float) -> Floats:
    """Return the F1 of the positives at a threshold, shape (draws,); 0 where none is caught."""
    fired = scores >= threshold
    caught = weights @ (fired & truth).astype(np.float64)
    both = weights @ fired.astype(np.float64) + weights @ truth.astype(np.float64)
    found: Floats = np.divide(2 * caught, both, out=np.zeros_like(caught), where=both > 0)
    return found


def best_threshold(scores: Floats, truth: Truth) -> float:
    """Return the score at which the F1 is highest; of several, the middle one.

    Parameters
    ----------
    scores : ndarray
        float64, shape (n,): of validation rows, not of those that the F1 is reported on.
    truth : ndarray
        bool, shape (n,).
    """
    levels = np.unique(scores)
    one = np.ones((1, len(scores)))
    values = np.array([float(f1(scores, truth, one, threshold=float(level))[0]) for level in levels])
    best = levels[np.isclose(values, values.max())]
    return float(best[len(best) // 2])


def compared(
    before: Floats, after: Floats, truth: Truth, *, thresholds: tuple[float, float], seed: int = 0, name: str = ""
) -> list[Change]:
    """Compare two scorers on the same texts.

    Parameters
    ----------
    before, after : ndarray
        float64, shape (n,).
    truth : ndarray
        bool, shape (n,), at least two of each.
    thresholds : (float, float)
        Of either scorer, at which the F1 is taken.
    seed : int
        Of the resamples.
    name : str
        Of what came before, for the names of the figures.

    Returns
    -------
    list of Change
        AUROC by DeLong; average precision and F1 by the paired bootstrap: percentiles of 2,000 resamples, drawn within
        each label, in which both scorers meet the same texts (Efron and Tibshirani 1993, chapter 13).
    """
    auroc = area_change(f"{name}/auroc", "AUROC", before, after, truth.tolist())
    precision: list[Statistic] = [lambda w, s=s: average_precision(s, truth, w) for s in (before, after)]  # type: ignore[misc]
    decided: list[Statistic] = [
        lambda w, s=s, t=t: f1(s, truth, w, threshold=t)  # type: ignore[misc]
        for s, t in zip((before, after), thresholds, strict=True)
    ]
    weights = _resamples(truth, seed)
    return [
        auroc,
        _bootstrapped(f"{name}/average_precision", "average precision", precision, weights),
        _bootstrapped(f"{name}/f1", "F1", decided, weights),
    ]


def _resamples(truth: Truth, seed: int) -> Floats:
    """Draw how often each text counts, within its label, shape (draws, n)."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((_DRAWS, len(truth)))
    for label in (True, False):
        rows = np.flatnonzero(truth == label)
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=_DRAWS)
    return weights


def _bootstrapped(name: str, title: str, statistics: list[Statistic], weights: Floats) -> Change:
    n = weights.shape[1]
    whole = [float(one(np.ones((1, n)))[0]) for one in statistics]
    draws = [one(weights) for one in statistics]
    sides = [Side(value, _ends(drawn, value), n) for value, drawn in zip(whole, draws, strict=True)]
    difference = whole[1] - whole[0]
    return Change(
        name, title, False, sides[0], sides[1], difference, _ends(draws[1] - draws[0], difference), None, n
    )  # fmt: skip


def _ends(drawn: Floats, value: float) -> tuple[float, float]:
    """Return the middle 95% of the draws, widened to hold the value."""
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    return min(low, value), max(high, value)
