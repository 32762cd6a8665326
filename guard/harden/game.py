"""The game: attacker and defender answer each other for some rounds, and every attacker stays in a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.harden.zero_sum import Payoffs, equilibrium

__all__ = ["Arena", "Game", "Raid", "Round", "Split", "play"]

D = TypeVar("D")

Split = Literal["search", "train", "held out"]
"""Rows on which attackers choose their strategy, rows on which defenders learn, and rows on which both are measured."""


@dataclass(frozen=True)
class Raid:
    """What one strategy did to one defender on one split.

    Parameters
    ----------
    texts : tuple of str
        As the attack left them, one an example.
    success : ndarray
        float64, shape (n_examples,): 1 where the defender was beaten, 0 where not, NaN where there was nothing to beat
        (it missed the example unattacked) or it could not be told.
    queries : ndarray
        float64, shape (n_examples,): how often the defender was asked.
    """

    texts: tuple[str, ...] = field(repr=False)
    success: npt.NDArray[np.float64] = field(repr=False)
    queries: npt.NDArray[np.float64] = field(repr=False)

    @property
    def rate(self) -> float:
        """Return the share of successes among those that could be told; NaN where none could."""
        told = self.success[~np.isnan(self.success)]
        return float(told.mean()) if len(told) else float("nan")

    @property
    def held(self) -> float:
        """Return the share of all examples that the defender caught and held; what could not be told is not held."""
        return float((self.success == 0).mean())


class Arena(Protocol[D]):
    """Where the game is played: what attackers can do, and how a defender learns."""

    @property
    def strategies(self) -> tuple[str, ...]:
        """Every strategy that an attacker may choose."""

    def raid(self, defender: D, strategy: str, split: Split, *, seed: int) -> Raid:
        """Attack the examples of a split, adapting to this very defender."""

    def replay(self, defender: D, texts: Sequence[str], split: Split) -> npt.NDArray[np.float64]:
        """Return the success of texts that were made against another defender."""

    def learn(self, defender: D, raids: Sequence[Raid], weights: Sequence[float], *, round_: int, seed: int) -> D:
        """Return a defender that has trained on raids of the split ``train``, each with its weight."""


@dataclass(frozen=True)
class Round(Generic[D]):
    """One turn of both sides.

    Parameters
    ----------
    strategy : str
        The attacker's best response to the defender of the round before.
    searched : mapping of str to float
        Success of every strategy against that defender on the rows of the search.
    weights : tuple of float
        How much of the training each attacker of the pool got, in their order.
    defender : D
        What came out: the trained one, or the one before where that holds more under its worst strategy on the rows of
        the search.
    """

    strategy: str
    searched: Mapping[str, float]
    weights: tuple[float, ...]
    defender: D


@dataclass(frozen=True)
class Game(Generic[D]):
    """A game that was played.

    Parameters
    ----------
    first : D
        The defender before the first round.
    rounds : tuple of Round
    strategies : tuple of str
        The pool: strategies that were ever a best response, in order of their first use.
    raids : tuple of tuple of Raid
        On held-out rows, for every defender (the first one too) and strategy of the pool.
    best : tuple of str
        For every defender the strategy that does best against it on the rows of the search, of all there are.
    answers : tuple of Raid
        That strategy's raid on held-out rows.
    past : tuple of ndarray
        For every round the success against the last defender of the very texts that beat the defender before it.
    """

    first: D
    rounds: tuple[Round[D], ...]
    strategies: tuple[str, ...]
    raids: tuple[tuple[Raid, ...], ...]
    best: tuple[str, ...]
    answers: tuple[Raid, ...]
    past: tuple[npt.NDArray[np.float64], ...]

    @property
    def defenders(self) -> tuple[D, ...]:
        """Return all defenders, the first one first."""
        return (self.first, *(turn.defender for turn in self.rounds))

    @property
    def payoffs(self) -> Payoffs:
        """Return success on held-out rows by defender and strategy of the pool; no evidence counts as success."""
        rates: Payoffs = np.array([[raid.rate for raid in row] for row in self.raids], dtype=np.float64)
        return np.where(np.isnan(rates), 1.0, rates)

    @property
    def exploitability(self) -> tuple[float, ...]:
        """Return for every defender the success of its best response over the value of the game of the pool."""
        value = equilibrium(self.payoffs).value
        return tuple(max(0.0, float(np.nan_to_num(raid.rate, nan=1.0)) - value) for raid in self.answers)


def play(
    arena: Arena[D],
    first: D,
    *,
    rounds: int,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Game[D]:
    """Let both sides answer each other.

    Parameters
    ----------
    arena : Arena
    first : D
    rounds : int
        At least 1.
    seed : int
        The game is a function of arena, first defender, rounds and seed.
    progress : callable, optional
        Gets what is done, and how many steps of how many are.

    Raises
    ------
    ConfigError
        No round, or no strategy.

    Notes
    -----
    Double oracle (McMahan, Gordon and Blum 2003) with approximate best responses, as PSRO (Lanctot et al. 2017): the
    attacker's is the best of all strategies, each adapting to the defender; the defender's is training on the raids of
    the whole pool, in the shares of the attacker's equilibrium mixture and never less than a floor for any of them, so
    that what was learnt against an early attacker is not lost to a late one. A defender that came out of its training
    weaker than it went in is not kept: it could have answered with nothing. What counts is the least that it holds
    under any strategy, not success, which falls for a filter that catches nothing too. Strategies are chosen and
    weighed, and defenders kept, on rows of the search; the rows on which the game is measured teach neither side.
    """
    if rounds < 1 or not arena.strategies:
        raise ConfigError(f"{rounds} rounds with {len(arena.strategies)} strategies: give at least one of each")
    table = _Table(arena, seed, progress or (lambda *_: None), steps=rounds + 2)
    table.tell("first search")
    searched = [table.searched(first)]
    turns: list[Round[D]] = []
    pool: list[str] = []
    defender = first
    for index in range(rounds):
        table.tell(f"round {index + 1}")
        before = searched[-1]
        if before.best not in pool:
            pool.append(before.best)
        weights = _weights(np.array([[row.rates[name] for name in pool] for row in searched]))
        raids = [arena.raid(defender, name, "train", seed=seed + index) for name in pool]
        trained = arena.learn(defender, raids, weights, round_=index + 1, seed=seed + index)
        after = table.searched(trained)
        stronger = after.held >= before.held
        defender = trained if stronger else defender
        searched.append(after if stronger else before)
        turns.append(Round(before.best, before.rates, weights, defender))
    return _measured(table, first, turns, pool, best=[row.best for row in searched])


LEAST_SHARE = 0.15
"""Of the training, for every attacker of the pool; as much as fits where there are many."""


def _weights(searched: Payoffs) -> tuple[float, ...]:
    """Mix the attackers' part of the equilibrium with a floor."""
    n = searched.shape[1]
    floor = min(LEAST_SHARE, 1 / n)
    mixture = equilibrium(np.nan_to_num(searched, nan=1.0)).attackers
    return tuple(floor + (1 - n * floor) * share for share in mixture)


@dataclass(frozen=True)
class _Searched:
    """What every strategy did to one defender on the rows of the search.

    Parameters
    ----------
    rates : dict of str to float
        Success of each.
    held : float
        The least that the defender held under any.
    """

    rates: dict[str, float]
    held: float

    @property
    def best(self) -> str:
        """The strategy with the highest success; one that could not be told is no answer while another could."""
        return max(self.rates, key=lambda name: (-1.0 if np.isnan(self.rates[name]) else self.rates[name], name))


class _Table(Generic[D]):
    """Asks the arena, and tells how far the game is."""

    def __init__(self, arena: Arena[D], seed: int, progress: Callable[[str, int, int], None], *, steps: int) -> None:
        self.arena, self.seed = arena, seed
        self._progress, self._done, self._steps = progress, 0, steps

    def tell(self, what: str) -> None:
        self._progress(what, self._done, self._steps)
        self._done += 1

    def searched(self, defender: D) -> _Searched:
        """Try every strategy on a defender."""
        raids = {name: self.arena.raid(defender, name, "search", seed=self.seed) for name in self.arena.strategies}
        return _Searched({name: raid.rate for name, raid in raids.items()}, min(raid.held for raid in raids.values()))


def _measured(
    table: _Table[D], first: D, turns: Sequence[Round[D]], pool: Sequence[str], *, best: Sequence[str]
) -> Game[D]:
    """Measure every defender against the pool and against the best response to it, on held-out rows."""
    arena, seed = table.arena, table.seed
    defenders = [first, *(turn.defender for turn in turns)]
    table.tell("measuring")
    names = list(dict.fromkeys((*pool, *best)))
    raids: list[dict[str, Raid]] = []
    for index, defender in enumerate(defenders):
        same = index > 0 and defender is defenders[index - 1]
        raids.append(raids[-1] if same else {name: arena.raid(defender, name, "held out", seed=seed) for name in names})
    past = [
        arena.replay(defenders[-1], raids[index][turn.strategy].texts, "held out") for index, turn in enumerate(turns)
    ]
    return Game(
        first=first,
        rounds=tuple(turns),
        strategies=tuple(names),
        raids=tuple(tuple(row[name] for name in names) for row in raids),
        best=tuple(best),
        answers=tuple(row[name] for row, name in zip(raids, best, strict=True)),
        past=tuple(past),
    )
