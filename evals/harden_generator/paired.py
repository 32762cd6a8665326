"""One figure of a generator before and after: both values, their difference paired by unit, and what is over half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.permutation import sign_flip
from evals.stats import Estimate, clustered_mean, clustered_rate, paired_difference

__all__ = ["Change", "Outcomes", "Over", "mean_change", "rate_change"]

Outcomes = Mapping[str, float | None]
"""Goal, request or passage -> its value; None where it could not be told."""


@dataclass(frozen=True)
class Over:
    """A difference with its interval.

    Parameters
    ----------
    value : float or None
    interval : (float, float) or None
        95%, paired.
    """

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Change:
    """A figure before and after.

    Parameters
    ----------
    name, title : str
    before, after : Estimate
    difference : Over
        After less before, over the units that both have.
    over_half : Over or None
        Of an attack: after less half of before. An interval that ends at 0 or below says that success fell by at least
        half.
    p : float or None
        Of no difference, by flipping signs.
    n_paired : int
    """

    name: str
    title: str
    before: Estimate
    after: Estimate
    difference: Over
    over_half: Over | None
    p: float | None
    n_paired: int


def rate_change(name: str, title: str, before: Outcomes, after: Outcomes, *, halved: bool = False) -> Change:
    """Compare two rates.

    Parameters
    ----------
    name, title : str
    before, after : mapping of str to {0, 1, None}
    halved : bool
        Say also what is left over half of the first.
    """
    old, new = _observations(before), _observations(after)
    half = None
    if halved:
        found = paired_difference({unit: [None if v is None else v / 2 for v in vs] for unit, vs in old.items()}, new)
        half = Over(found.value, found.interval)
    pair = paired_difference(old, new)
    difference = Over(pair.value, pair.interval)
    sides = clustered_rate(old), clustered_rate(new)
    return Change(name, title, *sides, difference, half, _p(before, after), pair.n_prompts)


def mean_change(name: str, title: str, before: Outcomes, after: Outcomes) -> Change:
    """Compare two means of any numbers."""
    old, new = _observations(before), _observations(after)
    pair = paired_difference(old, new, bounds=None)
    sides = clustered_mean(old, bounds=None), clustered_mean(new, bounds=None)
    return Change(name, title, *sides, Over(pair.value, pair.interval), None, _p(before, after), pair.n_prompts)


def _observations(outcomes: Outcomes) -> dict[str, list[float | None]]:
    return {unit: [value] for unit, value in outcomes.items()}


def _p(before: Outcomes, after: Outcomes) -> float | None:
    both = [(before[unit], after.get(unit)) for unit in sorted(before)]
    moved = [new - old for old, new in both if old is not None and new is not None]
    return sign_flip(moved).p if moved else None
