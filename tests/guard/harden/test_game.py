from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from guard.errors import ConfigError
from guard.harden.game import LEAST_SHARE, Raid, Split, play

Strength = Mapping[str, float]
"""A defender of the toy arena: the share of examples that each strategy beats it on."""

N = 40


class ToyArena:
    """Learning takes the weight of a strategy off its success; a text is the name of its strategy and its number."""

    def __init__(self, strategies: tuple[str, ...] = ("swap", "delete", "insert"), *, told: bool = True) -> None:
        self.strategies = strategies
        self.taught: list[dict[str, float]] = []
        self.splits: list[tuple[str, str]] = []
        self._told = told

    def raid(self, defender: Strength, strategy: str, split: Split, *, seed: int) -> Raid:
        self.splits.append((strategy, split))
        texts = tuple(f"{strategy} {i}" for i in range(N))
        return Raid(texts, self.replay(defender, texts, split), np.full(N, 3.0))

    def replay(self, defender: Strength, texts: Sequence[str], split: Split) -> npt.NDArray[np.float64]:
        beaten = [int(text.split()[1]) < round(N * defender[text.split()[0]]) for text in texts]
        return np.array(beaten, dtype=np.float64) if self._told else np.full(len(texts), np.nan)

    def learn(
        self, defender: Strength, raids: Sequence[Raid], weights: Sequence[float], *, round_: int, seed: int
    ) -> Strength:
        taught = {raid.texts[0].split()[0]: weight for raid, weight in zip(raids, weights, strict=True)}
        self.taught.append(taught)
        return {name: success * (1 - taught.get(name, 0.0)) for name, success in defender.items()}


FIRST: Strength = {"swap": 0.9, "delete": 0.6, "insert": 0.3}


def test_every_round_answers_the_defender_before_it_and_the_pool_keeps_all() -> None:
    arena = ToyArena()
    game = play(arena, FIRST, rounds=3, seed=0)
    assert [turn.strategy for turn in game.rounds] == ["swap", "delete", "insert"]
    assert game.strategies == ("swap", "delete", "insert")
    assert [list(taught) for taught in arena.taught] == [["swap"], ["swap", "delete"], ["swap", "delete", "insert"]]
    assert all(sum(taught.values()) == pytest.approx(1) for taught in arena.taught)
    assert all(weight >= LEAST_SHARE - 1e-12 for taught in arena.taught for weight in taught.values())


def test_exploitability_falls_and_the_last_defender_beats_every_past_attacker() -> None:
    game = play(ToyArena(), FIRST, rounds=3, seed=0)
    assert list(game.exploitability) == sorted(game.exploitability, reverse=True)
    assert game.exploitability[0] > 0.3
    for index, turn in enumerate(game.rounds):
        column = game.strategies.index(turn.strategy)
        assert game.past[index].mean() < game.raids[index][column].rate


class Unlearning(ToyArena):
    """Training that makes the defender worse in the rounds given."""

    def __init__(self, rounds: tuple[int, ...]) -> None:
        super().__init__()
        self._rounds = rounds

    def learn(
        self, defender: Strength, raids: Sequence[Raid], weights: Sequence[float], *, round_: int, seed: int
    ) -> Strength:
        learnt = super().learn(defender, raids, weights, round_=round_, seed=seed)
        return (
            {name: min(1.0, success + 0.2) for name, success in defender.items()} if round_ in self._rounds else learnt
        )


def test_a_defender_that_training_made_weaker_is_not_kept() -> None:
    arena = Unlearning((2,))
    game = play(arena, FIRST, rounds=3, seed=0)
    assert game.defenders[2] is game.defenders[1]
    assert game.defenders[3] is not game.defenders[2]
    assert game.rounds[2].strategy == game.rounds[1].strategy  # the attacker still has the same one to answer
    assert game.raids[2][0] is game.raids[1][0]  # and is not measured twice
    assert list(game.exploitability) == sorted(game.exploitability, reverse=True)
    assert play(Unlearning((1, 2)), FIRST, rounds=2, seed=0).defenders == (FIRST, FIRST, FIRST)


def test_what_a_defender_does_not_catch_is_not_held() -> None:
    raid = Raid(("a", "b", "c", "d"), np.array([0.0, 1.0, np.nan, 0.0]), np.ones(4))
    assert raid.held == 0.5
    assert raid.rate == pytest.approx(1 / 3)


def test_payoffs_are_those_of_the_held_out_rows_by_hand() -> None:
    game = play(ToyArena(), FIRST, rounds=1, seed=0)
    assert game.strategies == ("swap", "delete")  # swap was answered; delete is the best response to what came out
    assert game.payoffs == pytest.approx(np.array([[0.9, 0.6], [0.0, 0.6]]))
    assert game.best == ("swap", "delete")
    assert game.exploitability == pytest.approx((0.3, 0.0))


def test_measured_rows_teach_neither_side() -> None:
    arena = ToyArena()
    play(arena, FIRST, rounds=2, seed=0)
    splits = [split for _, split in arena.splits]
    first_measured = splits.index("held out")
    assert set(splits[first_measured:]) == {"held out"}
    assert "train" in splits[:first_measured]


def test_what_could_not_be_told_counts_for_the_attacker() -> None:
    game = play(ToyArena(told=False), FIRST, rounds=1, seed=0)
    assert (game.payoffs == 1).all()


def test_progress_goes_from_nothing_to_all() -> None:
    told: list[tuple[str, int, int]] = []
    play(ToyArena(), FIRST, rounds=2, seed=0, progress=lambda what, done, of: told.append((what, done, of)))
    assert [done for _, done, _ in told] == [0, 1, 2, 3]
    assert {of for _, _, of in told} == {4}


@pytest.mark.parametrize(("rounds", "strategies"), [(0, ("swap",)), (1, ())])
def test_a_game_without_rounds_or_strategies_is_refused(rounds: int, strategies: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="at least one of each"):
        play(ToyArena(strategies), FIRST, rounds=rounds, seed=0)
