from __future__ import annotations

import math
from pathlib import Path

import pytest

from evals.ethics.search import Point, SearchSettings, Tried, choose, front, search
from evals.ethics.settings import Limits
from guard.errors import ConfigError, DataError
from guard.train.generator.ethics import EthicsWeights


def attempt(weights: EthicsWeights) -> Tried:
    """Less toxic and dearer with every weight."""
    pressed = weights.unlikelihood + weights.dpo + (0.5 if weights.control_codes else 0.0)
    return Tried(math.exp(-pressed), 1 + 0.03 * pressed, 0.0, math.exp(-pressed / 2))


def _search(file: Path, trials: int, attempt=attempt, **settings: object) -> list[Point]:  # type: ignore[no-untyped-def]
    made = SearchSettings(trials=trials, **settings)  # type: ignore[arg-type]
    return search(attempt, made, Limits(), file=file, identity="one")


def test_a_search_that_was_killed_goes_on_to_the_same_trials(tmp_path: Path) -> None:
    whole = _search(tmp_path / "whole.log", 8)
    assert [one.number for one in whole] == list(range(8))
    assert whole[0].weights == EthicsWeights(unlikelihood=0.387, dpo=0.387, kl=0.141, control_codes=True)
    asked: list[EthicsWeights] = []

    def dying(weights: EthicsWeights) -> Tried:
        asked.append(weights)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return attempt(weights)

    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path / "torn.log", 8, dying)
    with (tmp_path / "torn.log").open("ab") as stream:
        stream.write(b'{"op_code": 5, "wor')  # what a kill leaves of a line
    assert _search(tmp_path / "torn.log", 8) == whole
    again = _search(tmp_path / "torn.log", 8, lambda weights: 1 / 0)
    assert again == whole
    assert _search(tmp_path / "longer.log", 3) == whole[:3]
    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path / "first.log", 3, lambda weights: _killed())
    assert _search(tmp_path / "first.log", 3) == whole[:3]


def _killed() -> Tried:
    raise KeyboardInterrupt


def test_another_seed_or_data_is_another_search(tmp_path: Path) -> None:
    first = _search(tmp_path / "a.log", 3)
    assert [one.weights for one in _search(tmp_path / "b.log", 3, seed=1)] != [one.weights for one in first]
    with pytest.raises(DataError, match="other data or settings"):
        _search(tmp_path / "a.log", 3, seed=1)
    with pytest.raises(ConfigError, match="terms of"):
        SearchSettings(terms=("nothing",))


def test_the_search_finds_weights_near_the_limit(tmp_path: Path) -> None:
    points = _search(tmp_path / "a.log", 30, terms=("unlikelihood", "dpo"), control_codes=False)
    best, why = choose(points, Limits())
    assert best is not None
    # The least toxic within the limit has weights that add up to 0.05 / 0.03.
    assert best.tried.toxicity < 1.25 * math.exp(-0.05 / 0.03)
    assert why.startswith(f"Trial {best.number} (unlikelihood=")


def _point(number: int, toxicity: float, perplexity: float, refusal: float = 0.0) -> Point:
    return Point(number, EthicsWeights(dpo=1.0), Tried(toxicity, perplexity, refusal))


def test_the_front_holds_what_nothing_beats() -> None:
    points = [_point(0, 0.5, 1.0), _point(1, 0.3, 1.1), _point(2, 0.4, 1.1), _point(3, 0.3, 1.1), _point(4, 0.6, 0.9)]
    assert [one.number for one in front(points)] == [1, 3, 0, 4]


def test_the_least_toxic_within_the_limits_is_chosen_and_nothing_where_none_is() -> None:
    points = [_point(0, 0.5, 1.0), _point(1, 0.3, 1.1), _point(2, 0.2, 1.0, 0.1), _point(3, 0.4, 1.05)]
    best, why = choose(points, Limits())
    assert best is points[3]
    assert "of the 2 of 4 trials" in why
    none, why = choose(points[1:3], Limits())
    assert none is None
    assert "none of 2 trials" in why
