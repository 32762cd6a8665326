"""Which examples a step takes and how fast it learns: functions of seed and step alone, so that a run resumes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

from guard.errors import DataError
from guard.train.generator.examples import Example, Kind

__all__ = ["draw", "learning_rate"]

_MAY_LACK: tuple[Kind, ...] = ("unlearn", "prefer", "accept", "reject")
"""Kinds that come of what a model said: a round in which it said nothing of the kind has none of them."""


def learning_rate(step: int, *, peak: float, warmup: int, total: int) -> float:
    """Return the rate of a step: linear from 0 to `peak` over `warmup` steps, then a half cosine down to a tenth of it.

    Loshchilov & Hutter 2017 (arXiv 1608.03983), equation 5, without restarts.

    Examples
    --------
    >>> [round(learning_rate(step, peak=1.0, warmup=2, total=12), 3) for step in (0, 1, 2, 7, 12, 99)]
    [0.5, 1.0, 1.0, 0.55, 0.1, 0.1]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


def draw(pool: Sequence[Example], quotas: Mapping[Kind, int], turn: int, *, seed: int) -> list[Example]:
    """Draw the examples of a turn: every example of a kind once before any comes again, in a shuffled order each time.

    Parameters
    ----------
    pool : sequence of Example
    quotas : mapping of str to int
        How many of each kind.
    turn : int
        From 0, since the pool was new.
    seed : int

    Returns
    -------
    list of Example

    Raises
    ------
    DataError
        The pool has none of a kind that has a quota, and that does not depend on the success of attacks.
    """
    drawn = []
    for kind, n in quotas.items():
        ones = [example for example in pool if example.kind == kind]
        if not ones and kind in _MAY_LACK:
            continue
        if n and not ones:
            raise DataError(f"the pool has no example of the kind {kind!r}, of which a step takes {n}")
        drawn += [ones[index] for index in _indices(len(ones), turn * n, n, f"{seed}/{kind}")]
    return drawn


def _indices(size: int, start: int, n: int, key: str) -> Iterator[int]:
    for place in range(start, start + n):
        epoch, offset = divmod(place, size)
        yield _shuffled(size, f"{key}/{epoch}")[offset]


def _shuffled(size: int, key: str) -> list[int]:
    order = list(range(size))
    random.Random(key).shuffle(order)  # noqa: S311 - no secret
    return order
