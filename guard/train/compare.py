"""Comparisons for the model card: paired differences of two scorers, and negatives matched to positives by length."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from guard.train.measure import auroc

__all__ = ["Difference", "auroc_difference", "f1_at", "length_auroc", "match_lengths"]


@dataclass(frozen=True)
class Difference:
    """Area under the ROC curve of one scorer less that of another on the same texts.

    Parameters
    ----------
    value : float
        In [-1, 1].
    interval : (float, float)
        95%.
    """

    value: float
    interval: tuple[float, float]


def _placements(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return each positive's share of negatives below it, and each negative's share of positives above it."""
    ranks, positive, negative = rankdata(scores), scores[truth], scores[~truth]
    above = (ranks[truth] - rankdata(positive)) / len(negative)
    return above, 1 - (ranks[~truth] - rankdata(negative)) / len(positive)


def auroc_difference(first: npt.ArrayLike, second: npt.ArrayLike, labels: npt.ArrayLike) -> Difference:
    """Compare two scorers on the same texts.

    Parameters
    ----------
    first, second : array-like of float, shape (n,)
    labels : array-like of {0, 1}, shape (n,)
        At least two of each.

    Returns
    -------
    Difference
        Of `first` less `second`.

    Notes
    -----
    DeLong et al. 1988, "Comparing the Areas under Two or More Correlated ROC Curves", equations 5 to 7: the variance
    of the difference takes in that both scorers see the same texts.

    Examples
    --------
    >>> auroc_difference([0.1, 0.4, 0.6, 0.8], [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value
    0.25
    """
    truth = np.asarray(labels).astype(bool)
    ours = _placements(np.asarray(first, dtype=np.float64), truth)
    theirs = _placements(np.asarray(second, dtype=np.float64), truth)
    above, below = ours[0] - theirs[0], ours[1] - theirs[1]
    deviation = float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
    half = float(norm.ppf(0.975)) * deviation
    value = float(above.mean())
    return Difference(value, (value - half, value + half))


def f1_at(scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float) -> float:
    """Return the F1 of the positives at a threshold (fires when score >= threshold); 0 where none is caught."""
    fired, truth = np.asarray(scores) >= threshold, np.asarray(labels).astype(bool)
    caught = int((fired & truth).sum())
    return 2 * caught / int(fired.sum() + truth.sum()) if caught else 0.0


def match_lengths(
    positives: Sequence[int], negatives: Sequence[int], *, tolerance: float = 0.15
) -> list[tuple[int, int]]:
    """Pair positives with negatives of nearly the same length, each used once.

    Parameters
    ----------
    positives, negatives : sequence of int
        Lengths in characters, 1 or more.
    tolerance : float
        Most difference in length, as a share of the positive's.

    Returns
    -------
    list of (int, int)
        Positions in `positives` and `negatives`. A positive without a partner is left out.

    Notes
    -----
    Greedy nearest neighbours in order of length without replacement: Rosenbaum and Rubin 1985, "Constructing a
    Control Group Using Multivariate Matched Sampling Methods", section 3, with a caliper.

    Examples
    --------
    >>> match_lengths([10, 100], [104, 11, 5000])
    [(0, 1), (1, 0)]
    """
    order = sorted(range(len(negatives)), key=negatives.__getitem__)
    free = [negatives[at] for at in order]
    pairs = []
    for index in sorted(range(len(positives)), key=positives.__getitem__):
        wanted = positives[index]
        at = bisect.bisect_left(free, wanted)
        near = min(
            (place for place in (at - 1, at) if 0 <= place < len(free)),
            key=lambda place: abs(free[place] - wanted),
            default=None,
        )
        if near is not None and abs(free[near] - wanted) <= tolerance * wanted:
            pairs.append((index, order.pop(near)))
            free.pop(near)
    return sorted(pairs)


def length_auroc(lengths: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the AUROC of a logistic regression on log length, fitted on the very texts it is measured on.

    One feature makes the regression's score rise or fall with length throughout, so its AUROC is that of length or of
    its opposite, whichever is over a half: the fit needs no solver.
    """
    value = auroc(np.log(np.asarray(lengths, dtype=np.float64)), labels).value
    return max(value, 1 - value)
