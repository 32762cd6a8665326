"""Paired differences in, p-values out: sign-flip tests by prompt, and Holm's correction for several of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["Method", "PValue", "holm", "mcnemar", "sign_flip"]

Floats = npt.NDArray[np.float64]
Method = Literal["no change", "exact (McNemar)", "exact", "exact (counted)", "Monte Carlo"]

ENUMERATED = 20
"""Up to as many changed prompts all sign patterns are enumerated: a million sums."""

DRAWS = 19_999
"""Random sign patterns where nothing exact is feasible: the least p-value is then 1 / 20,000."""

_LARGEST_TOTAL = 200_000
"""Up to this total of whole-numbered changes their distribution is counted."""

_MULTIPLES = 64
"""Common denominators that are tried, relative to the least change: samples a prompt, mostly."""

_CHUNK = 1 << 22
_SLACK = 1e-9
"""Relative: sums that differ by rounding alone are ties."""


@dataclass(frozen=True)
class PValue:
    """How likely a difference at least this large is, if the two sides do not differ.

    Parameters
    ----------
    p : float
        Two-sided, in (0, 1].
    method : Method
    n_changed : int
        Prompts whose difference is not zero: the others say nothing about the sign.
    """

    p: float
    method: Method
    n_changed: int


def sign_flip(
    differences: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, seed: int = 0, draws: int = DRAWS
) -> PValue:
    """Test whether the weighted mean of paired differences is zero by flipping their signs.

    If the two sides do not differ, each prompt's difference is as likely to have come out with the other sign
    (Fisher 1935, section 21). Whatever samples of one prompt have in common is inside its difference, so the test
    holds under any clustering by prompt. Where the two sides have equal means and unlike spreads it still holds in
    large samples, as the variance over the flips is then the variance of the sum.

    Exact where it can be: by the binomial where all changes are of one size (McNemar 1947, exact form), by
    enumeration up to :data:`ENUMERATED` changed prompts, by counting where the changes are multiples of one unit
    (several 0 or 1 a prompt). Otherwise over `draws` random patterns, with the observed one counted in (Phipson and
    Smyth 2010), which keeps the level exactly too.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        One a prompt.
    weights : array_like of float, shape (n,), optional
        Equal by default.
    seed : int, default 0
        Of the random patterns.
    draws : int

    Examples
    --------
    >>> sign_flip([1, 1, 1, 1, 1, 0, 0]).p
    0.0625
    """
    parts = np.asarray(differences, np.float64)
    parts = parts if weights is None else parts * np.asarray(weights, np.float64)
    parts = parts[parts != 0]
    if not len(parts):
        return PValue(1.0, "no change", 0)
    sizes, observed = np.abs(parts), abs(float(parts.sum()))
    whole = _whole_multiples(sizes)
    if whole is not None and (whole == 1).all():
        gained = int((parts > 0).sum())
        return PValue(float(mcnemar(gained, len(parts) - gained)), "exact (McNemar)", len(parts))
    if len(parts) <= ENUMERATED:
        return PValue(_enumerated(sizes, observed), "exact", len(parts))
    if whole is not None:
        return PValue(_counted(whole, abs(int(np.rint(whole @ np.sign(parts))))), "exact (counted)", len(parts))
    return PValue(_drawn(sizes, observed, seed=seed, draws=draws), "Monte Carlo", len(parts))


def mcnemar(gained: npt.ArrayLike, lost: npt.ArrayLike) -> Floats:
    """Return the exact two-sided p-value of gains against losses: binomial with one half (McNemar 1947).

    Parameters
    ----------
    gained, lost : array_like of int, shape (...)
        Prompts that changed either way.

    Returns
    -------
    ndarray of float64, shape (...)
        1 where nothing changed.
    """
    b, c = np.asarray(gained), np.asarray(lost)
    tail = special.bdtr(np.minimum(b, c), b + c, 0.5)
    return np.asarray(np.where(b + c > 0, np.minimum(1.0, 2 * tail), 1.0), np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, whatever their dependence (Holm 1979).

    Rejecting what is at most alpha afterwards wrongly rejects anything at all in at most alpha of the cases.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    list of float
        In the order given, each at least its own p-value and at most 1.
    """
    ordered = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, greatest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(ordered):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = greatest
    return corrected


def _whole_multiples(sizes: Floats) -> npt.NDArray[np.int64] | None:
    """Return the sizes as whole multiples of one unit, or None where there is none within reason."""
    if sizes.min() * _LARGEST_TOTAL < sizes.max():
        return None
    ratios = sizes / sizes.min()
    for multiple in range(1, _MULTIPLES + 1):
        scaled = ratios * multiple
        whole = np.rint(scaled)
        if np.allclose(scaled, whole, rtol=0, atol=1e-6):
            return whole.astype(np.int64) if whole.sum() <= _LARGEST_TOTAL else None
    return None


def _enumerated(sizes: Floats, observed: float) -> float:
    """Return the share of all sign patterns whose sum is as far out; the first sign is fixed, by symmetry."""
    sums = sizes[:1]
    for size in sizes[1:]:
        sums = np.concatenate((sums + size, sums - size))
    return float(np.mean(np.abs(sums) >= observed - _SLACK * float(sizes.sum())))


def _counted(whole: npt.NDArray[np.int64], observed: int) -> float:
    """Return the same share from the distribution of the sum of the flipped sizes, built up size by size."""
    total = int(whole.sum())
    positive = np.zeros(total + 1)  # the share of patterns by the sum of the sizes that kept their sign
    positive[0], reach = 1.0, 0
    for size in whole.tolist():
        grown = 0.5 * positive[: reach + size + 1]
        grown[size:] += 0.5 * positive[: reach + 1]
        reach += size
        positive[: reach + 1] = grown
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(positive[sums >= observed].sum()))


def _drawn(sizes: Floats, observed: float, *, seed: int, draws: int) -> float:
    """Return the share among random patterns and the observed one."""
    rng = np.random.default_rng(seed)
    n, bar = len(sizes), observed - _SLACK * float(sizes.sum())
    as_far, left = 0, draws
    while left:
        rows = min(left, max(1, _CHUNK // n))
        bits = np.unpackbits(np.frombuffer(rng.bytes(rows * (n + 7) // 8 + n), np.uint8), count=rows * n)
        sums = 2 * (bits.reshape(rows, n) @ sizes) - sizes.sum()
        as_far += int((np.abs(sums) >= bar).sum())
        left -= rows
    return (as_far + 1) / (draws + 1)
