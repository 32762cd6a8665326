"""How far an explanation of an answer can be trusted: what its words do when they are left out, beside random ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from guard.explain.schema import Attribution, Values

__all__ = ["Figure", "erasure", "orders"]

_SHARES = (0.1, 0.2, 0.3, 0.5)
_RANDOM = 8


@dataclass(frozen=True)
class Figure:
    """One figure on how far an explanation can be trusted.

    Parameters
    ----------
    name : str
    value : float or None
        None where there are no words.
    interval : (float, float) or None
        95%.
    n : int
        Random orders that it was compared with.
    meaning : str
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    meaning: str


Numbers = Callable[[Sequence[frozenset[int]]], Values]
"""From sets of places that are left out to the number of what is left; float64, shape (n,)."""


def erasure(attribution: Attribution, numbers: Numbers, *, seed: int = 0) -> list[Figure]:
    """Compare leaving out the words of an explanation, and keeping only them, with random words.

    Parameters
    ----------
    attribution : Attribution
    numbers : callable
    seed : int
        Of the random orders; they depend on it and the text alone.

    Returns
    -------
    list of Figure
        Comprehensiveness: by how much more the number falls without the first 10, 20, 30 and 50% of the words than
        without as many random ones, averaged. Sufficiency: by how much less it falls with only these kept.

    Notes
    -----
    DeYoung et al. 2020, "ERASER", section 4, on the log-probability of an answer, each as a difference to random words
    of the same text, since what leaving out words does by itself is no merit of an explanation. The interval is
    Student's t over random orders of this one text: it says nothing about other texts.
    """
    n = len(attribution.parts)
    if n < 2:
        return [Figure(name, None, None, 0, meaning) for name, meaning in _MEANINGS]
    ranked = [attribution.order(), *orders(attribution.text, n, seed)]
    sizes = sorted({max(1, round(share * n)) for share in _SHARES})
    out = [frozenset(order[:size]) for order in ranked for size in sizes]
    kept = [frozenset(order[size:]) for order in ranked for size in sizes]
    found = numbers([*out, *kept]).reshape(2, len(ranked), len(sizes)).mean(axis=2)
    return [
        _figure(name, meaning, sign * (found[row, 1:] - found[row, 0]))
        for row, ((name, meaning), sign) in enumerate(zip(_MEANINGS, (1.0, -1.0), strict=True))
    ]


_MEANINGS = (
    (
        "comprehensiveness over random",
        "how much more the number falls without the words named than without random ones",
    ),
    ("sufficiency over random", "how much more of the number is left with only the words named than with random ones"),
)


def orders(text: str, n: int, seed: int) -> list[list[int]]:
    """Return random orders of `n` places that depend on the text and the seed alone."""
    digest = hashlib.sha256(f"{seed}\0".encode() + text.encode("utf-8", "surrogatepass")).digest()
    draws = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
    return [draws.permutation(n).tolist() for _ in range(_RANDOM)]


def _figure(name: str, meaning: str, differences: Values) -> Figure:
    from scipy import stats

    mean, n = float(differences.mean()), len(differences)
    half = float(stats.t.ppf(0.975, n - 1)) * float(differences.std(ddof=1)) / math.sqrt(n)
    return Figure(name, mean, (mean - half, mean + half), n, meaning)
