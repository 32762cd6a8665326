"""Shapley values of the parts of a text: by permutations with a stated standard error, or exact by enumeration."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.explain.filters.presence import Kept, Presence
from guard.explain.schema import Attribution, Values

__all__ = ["MOST_EXACT", "exact_shapley", "sampled_shapley"]

MOST_EXACT = 12
"""Most parts of a text whose values are found by enumeration: 4,096 rows."""

_FEWEST_PAIRS = 8


def exact_shapley(presence: Presence, texts: Sequence[str], category: str) -> list[Attribution]:
    """Value each part by what it adds to every set of the others, weighted as a random order would meet them.

    Raises
    ------
    ConfigError
        A text of more than 12 parts.

    Notes
    -----
    Shapley 1953, "A Value for n-Person Games", equation 12: the weight of a set of s of n parts is
    s! (n - s - 1)! / n!. A text of n parts takes 2 ** n rows.
    """
    longest = max((len(ranges) for ranges in presence.ranges), default=0)
    if longest > MOST_EXACT:
        raise ConfigError(f"a text has {longest} parts: exact Shapley values take at most {MOST_EXACT}; give shapley")
    sets = [_subsets(len(ranges)) for ranges in presence.ranges]
    questions = [Kept(at, kept) for at, some in enumerate(sets) for kept in some]
    numbers = presence.numbers(questions)
    found, place = [], 0
    for text, some, ranges in zip(texts, sets, presence.ranges, strict=True):
        here = numbers[place : place + len(some)]
        place += len(some)
        values = _enumerated(here, len(ranges))
        found.append(
            Attribution(
                text, category, "shapley-exact", tuple(ranges), values, float(here[-1]), float(here[0]), complete=True,
                n_scored=len(some),
            )
        )  # fmt: skip
    return found


def _subsets(n: int) -> npt.NDArray[np.bool_]:
    """Return all sets of n parts, shape (2 ** n, n): row r holds part i where bit i of r is set."""
    sets: npt.NDArray[np.bool_] = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
    return sets


def _enumerated(numbers: Values, n: int) -> Values:
    """Return exact values from the numbers of all sets in the order of :func:`_subsets`."""
    rows = np.arange(2**n)
    sizes = np.bitwise_count(rows.astype(np.uint64)).astype(np.int64)
    weights = np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    values = np.zeros(n)
    for part in range(n):
        without = rows[rows >> part & 1 == 0]
        values[part] = (weights[sizes[without]] * (numbers[without | 1 << part] - numbers[without])).sum()
    return values


def sampled_shapley(
    presence: Presence,
    texts: Sequence[str],
    category: str,
    *,
    error: float,
    most_pairs: int = 64,
    seed: int = 0,
) -> list[Attribution]:
    """Estimate Shapley values from random orders, until the standard error of every part is small enough.

    Parameters
    ----------
    presence : Presence
    texts : sequence of str
        Those that `presence` answers for.
    category : str
    error : float
        Largest standard error at which sampling of a text ends, in the unit of its number.
    most_pairs : int
        Where a text is given up; its attribution then states the error that it has.
    seed : int
        The orders of a text depend on it and on the text alone.

    Raises
    ------
    ConfigError
        An error that is not above 0, or fewer than 8 pairs.

    Notes
    -----
    Castro et al. 2009, "Polynomial calculation of the Shapley value based on sampling", section 3: a part's value is
    its mean gain where the parts come in one by one. Every order is followed by its reverse (antithetic pairs: Mitchell
    et al. 2022, "Sampling Permutations for Shapley Value Estimation", section 2.3), so a part that gains early gains
    late as well, and the two errors cancel in part. The standard error is that of the mean of pairs. The empty and the
    whole set are asked for once. Where going on would take more rows than all sets are, the text is enumerated.
    """
    if not error > 0 or most_pairs < _FEWEST_PAIRS:
        raise ConfigError(f"error={error}, most_pairs={most_pairs}: give an error above 0 and at least 8 pairs")
    ends = presence.numbers([Kept(at, kept) for at, ranges in enumerate(presence.ranges) for kept in _ends(ranges)])
    games = [
        _Game(len(ranges), float(ends[2 * at]), float(ends[2 * at + 1]), _random(seed, text))
        for at, (text, ranges) in enumerate(zip(texts, presence.ranges, strict=True))
    ]
    open_, n_taken, n_new = list(range(len(games))), 0, _FEWEST_PAIRS
    while open_ and n_new:
        _enumerate(presence, [(at, games[at]) for at in open_ if games[at].is_short(n_new)])
        _sample(presence, games, [at for at in open_ if games[at].known is None], n_new)
        open_ = [at for at in open_ if games[at].error > error]
        # By half of what every open text has: few rounds, and little beyond what was needed.
        n_taken += n_new
        n_new = min(n_taken // 2, most_pairs - n_taken)
    return [
        _attribution(text, category, game, presence.ranges[at])
        for at, (text, game) in enumerate(zip(texts, games, strict=True))
    ]


@dataclass
class _Game:
    """What is known of one text: its ends, and the mean gains of each pair of orders."""

    n: int
    nothing: float
    whole: float
    random: np.random.Generator
    gains: list[Values] = field(default_factory=list)
    known: Values | None = None
    n_rows: int = 2

    def is_short(self, n_new: int) -> bool:
        """Whether all sets are fewer rows than those there are with so many new pairs."""
        return self.n <= 1 or (self.n <= MOST_EXACT and 2**self.n <= self.n_rows + 2 * n_new * (self.n - 1))

    @property
    def values(self) -> Values:
        return np.mean(self.gains, axis=0) if self.known is None else self.known

    @property
    def errors(self) -> Values:
        if self.known is not None:
            return np.zeros(self.n)
        errors: Values = np.std(self.gains, axis=0, ddof=1) / math.sqrt(len(self.gains))
        return errors

    @property
    def error(self) -> float:
        """The largest of all parts."""
        return float(self.errors.max(initial=0.0))


def _ends(ranges: Sequence[object]) -> npt.NDArray[np.bool_]:
    return np.array([[False] * len(ranges), [True] * len(ranges)], dtype=bool)


def _random(seed: int, text: str) -> np.random.Generator:
    """Return the source of a text's orders."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _enumerate(presence: Presence, games: Sequence[tuple[int, _Game]]) -> None:
    """Find the exact values of short texts."""
    sets = [_subsets(game.n)[1:-1] for _, game in games]
    numbers = presence.numbers([Kept(at, kept) for (at, _), some in zip(games, sets, strict=True) for kept in some])
    place = 0
    for (_, game), some in zip(games, sets, strict=True):
        inner = numbers[place : place + len(some)]
        place += len(some)
        ends = [game.nothing] if game.n else []
        game.known = _enumerated(np.array([*ends, *inner, game.whole]), game.n)
        game.n_rows += len(some)


def _sample(presence: Presence, games: Sequence[_Game], open_: Sequence[int], n_new: int) -> None:
    """Add so many pairs of orders to every game that is open."""
    orders = {at: [games[at].random.permutation(games[at].n) for _ in range(n_new)] for at in open_}
    questions = [
        Kept(at, kept)
        for at in open_
        for order in orders[at]
        for one in (order, order[::-1])
        for kept in _prefixes(one)
    ]
    numbers = presence.numbers(questions)
    place = 0
    for at in open_:
        game = games[at]
        for order in orders[at]:
            pair = np.zeros(game.n)
            for one in (order, order[::-1]):
                inner = numbers[place : place + game.n - 1]
                place += game.n - 1
                pair[one] += np.diff([game.nothing, *inner, game.whole]) / 2
            game.gains.append(pair)
        game.n_rows += 2 * n_new * (game.n - 1)


def _prefixes(order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return the sets that an order passes through between nothing and all, shape (n - 1, n)."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[None, :] < np.arange(1, len(order))[:, None]


def _attribution(text: str, category: str, game: _Game, ranges: Sequence[tuple[int, int]]) -> Attribution:
    return Attribution(
        text,
        category,
        "shapley",
        tuple(ranges),
        game.values,
        game.whole,
        game.nothing,
        errors=game.errors,
        complete=True,
        n_scored=game.n_rows,
    )
