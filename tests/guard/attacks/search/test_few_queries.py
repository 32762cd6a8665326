"""The greedy search that follows a gradient: fewer queries, the same greedy moves, on a victim computed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from guard.attacks.engine import run_attack
from guard.attacks.goals import Untargeted
from guard.attacks.schema import Attempt, Example, Probabilities
from guard.attacks.search.few_queries import GreedyFewQueries
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.errors import ConfigError
from tests.guard.attacks.word_victim import SwapTo, WordVictim

WEIGHTS = {"awful": 2.0, "bad": 1.0, "poor": 0.5, "fine": -1.0, "good": -2.0, "plain": 0.1}
SWAPS = SwapTo({"awful": ["plain", "poor", "bad", "good"], "bad": ["fine", "poor"], "poor": ["plain"]})
TEXT = "a poor day, an awful dinner and a bad film"


def attempt(search: object, victim: WordVictim, text: str = TEXT) -> Attempt:
    attack = Attack("swaps", Untargeted(), (SWAPS,), search)  # type: ignore[arg-type]
    (found,) = run_attack(attack, victim, [Example("a", text, 1)])
    return found


def test_the_weightiest_word_goes_first_and_its_steepest_candidate() -> None:
    """Of the sum 3.5 ``good`` for ``awful`` takes 4: one word and one query after the text."""
    found = attempt(GreedyFewQueries(n_judged=1), WordVictim(WEIGHTS))
    assert found.perturbed == "a poor day, an good dinner and a bad film"
    assert (found.status, found.n_queries) == ("succeeded", 2)


def test_it_asks_less_than_the_search_that_ranks_by_queries() -> None:
    few = attempt(GreedyFewQueries(), WordVictim(WEIGHTS))
    usual = attempt(GreedyByImportance("unknown"), WordVictim(WEIGHTS))
    assert few.status == usual.status == "succeeded"
    assert few.n_queries < usual.n_queries / 2


def test_a_second_pass_judges_what_the_first_left_out() -> None:
    class Misled(WordVictim):
        """Its gradients point the wrong way."""

        def gradients(self, texts: Sequence[str], labels: Sequence[int]) -> list[npt.NDArray[np.float32]]:
            return [-each for each in super().gradients(texts, labels)]

    text = "an awful day"
    once = attempt(GreedyFewQueries(n_judged=1, n_again=0), Misled(WEIGHTS), text)
    twice = attempt(GreedyFewQueries(n_judged=1, n_again=4), Misled(WEIGHTS), text)
    assert (once.status, twice.status) == ("failed", "succeeded")
    assert once.perturbed == "an bad day"  # the least of the four
    assert (twice.perturbed, twice.n_queries) == ("an fine day", once.n_queries + 2)


def test_a_victim_without_gradients_or_the_token_is_refused() -> None:
    class Black:
        """Answers only."""

        name, labels = "black@1", ("good", "bad")

        def probabilities(self, texts: Sequence[str]) -> Probabilities:
            return WordVictim(WEIGHTS).probabilities(texts)

    with pytest.raises(ConfigError, match="has no gradients"):
        attempt(GreedyFewQueries(), Black())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="name its unknown token"):
        attempt(GreedyFewQueries(unknown="<unk>"), WordVictim(WEIGHTS))
    with pytest.raises(ConfigError, match="at least 1"):
        GreedyFewQueries(n_judged=0)
