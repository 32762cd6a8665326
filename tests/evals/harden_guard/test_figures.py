"""Figures of a game made by hand: what is left to exploit, past attackers, and what the checks say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from evals.harden_guard.figures import Limits, clean_changes, game_changes, game_checks, standings
from evals.schema import Outcome
from guard.harden.filter_arena import FilterDefender
from guard.harden.game import Game, Raid, Round

N = 100


def _raid(n_beaten: int, n_skipped: int = 0) -> Raid:
    success = np.array([1.0] * n_beaten + [0.0] * (N - n_beaten - n_skipped) + [np.nan] * n_skipped)
    return Raid(tuple(map(str, range(N))), success, np.arange(N, dtype=np.float64))


def _defender(name: str) -> FilterDefender:
    return FilterDefender(Path(name), cast(Any, SimpleNamespace(name=name)))


@pytest.fixture
def game() -> Game[FilterDefender]:
    """Two strategies: the first loses its bite after a round, the second keeps half of its own."""
    before, after = (_raid(90), _raid(40)), (_raid(10), _raid(20))
    return Game(
        first=_defender("first"),
        rounds=(Round("swap", {"swap": 0.9, "drop": 0.4}, (1.0,), _defender("second")),),
        strategies=("swap", "drop"),
        raids=(before, after),
        best=("swap", "drop"),
        answers=(before[0], after[1]),
        past=(np.array([1.0] * 5 + [0.0] * 95),),
    )


def test_standings_give_success_over_the_value_of_the_game(game: Game[FilterDefender]) -> None:
    first, last = standings(game)
    # The second defender is better against both, so the value of the game is its best response's success.
    assert (first.best_response, last.best_response) == ("swap", "drop")
    assert (first.success.value, last.success.value) == (0.9, 0.2)
    assert first.exploitability == pytest.approx(0.7)
    assert last.exploitability == pytest.approx(0.0)
    assert (first.caught.value, last.caught.value) == pytest.approx((0.1, 0.8))
    assert (first.queries, last.queries) == (44.5, 9.5)


def test_changes_pair_the_same_texts(game: Game[FilterDefender]) -> None:
    by_name = {change.name: change for change in game_changes(game)}
    assert list(by_name) == [
        "best_response/success",
        "best_response/caught",
        "adaptive/swap/success",
        "adaptive/drop/success",
        "past/1/success",
    ]
    assert by_name["best_response/success"].difference == pytest.approx(-0.7)
    assert by_name["adaptive/drop/success"].difference == pytest.approx(-0.2)
    assert by_name["past/1/success"].before.value == pytest.approx(0.9)
    assert by_name["past/1/success"].after.value == pytest.approx(0.05)


def test_texts_that_were_never_caught_are_no_success_but_are_not_caught_either(game: Game[FilterDefender]) -> None:
    silent = Game(**{**vars(game), "answers": (_raid(90), _raid(0, n_skipped=100))})
    by_name = {change.name: change for change in game_changes(silent)}
    assert by_name["best_response/success"].after.value is None
    assert by_name["best_response/caught"].after.value == 0.0
    assert standings(silent)[1].exploitability is None


def _clean(n_alarms: int) -> list[Any]:
    harmful = [True] * 200 + [False] * 200
    before = np.array([0.9] * 200 + [0.1] * 200) + np.linspace(0, 0.01, 400)
    after = before.copy()
    after[200 : 200 + n_alarms] = 0.7
    return clean_changes(before, after, harmful, threshold=0.6)


def test_a_good_game_passes_its_checks(game: Game[FilterDefender]) -> None:
    checks = game_checks([*game_changes(game), *_clean(0)], Limits(), model="f")
    assert {check.outcome for check in checks} == {Outcome.PASS}
    assert len(checks) == 6


def test_more_false_alarms_fail(game: Game[FilterDefender]) -> None:
    checks = game_checks([*game_changes(game), *_clean(40)], Limits(), model="f")
    assert [check.metric for check in checks if check.outcome is Outcome.FAIL] == ["harden/clean_false_alarms"]


def test_a_game_that_changed_nothing_does_not_pass(game: Game[FilterDefender]) -> None:
    same = Game(**{**vars(game), "answers": (_raid(90), _raid(90)), "past": (_raid(90).success,)})
    outcomes = {
        check.metric: check.outcome for check in game_checks([*game_changes(same), *_clean(0)], Limits(), model="f")
    }
    assert outcomes["harden/best_response_success"] is not Outcome.PASS
    assert outcomes["harden/past_1_success"] is not Outcome.PASS
