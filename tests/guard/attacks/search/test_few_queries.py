"""Searches that follow one gradient, then what was judged: on a victim computed by hand and on a small BERT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from guard.attacks.constraints.overlap import AtMostWordsPerturbed
from guard.attacks.engine import run_attack
from guard.attacks.goals import InputReduction, Untargeted
from guard.attacks.recipes import few_queries, recipe
from guard.attacks.schema import Attempt, Example, Probabilities
from guard.attacks.search.few_queries import FewQueries
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.search.reduce_few import ReduceFewQueries
from guard.attacks.space import Attack
from guard.attacks.transformations.deletion import DeleteWord
from guard.attacks.victims import FilterVictim
from guard.attacks.whitebox import WhiteBoxVictim
from guard.errors import ConfigError
from guard.filters.encoder import EncoderFilter
from tests.guard.attacks.word_victim import SwapTo, WordVictim
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

WEIGHTS = {"awful": 2.0, "bad": 1.0, "poor": 0.5, "fine": -1.0, "good": -2.0, "plain": 0.1}
SWAPS = SwapTo({"awful": ["plain", "poor", "bad", "good"], "bad": ["fine", "poor"], "poor": ["plain"]})
TEXT = "a poor day, an awful dinner and a bad film"


class Misled(WordVictim):
    """Its gradients point the wrong way."""

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        return [-each for each in super().gradients(texts, labels, halfway_to=halfway_to)]


def attempt(search: Any, victim: WordVictim, text: str = TEXT, *, budget: int | None = None, **parts: Any) -> Attempt:
    attack = Attack("swaps", Untargeted(), (parts.pop("swaps", SWAPS),), search, **parts)
    (found,) = run_attack(attack, victim, [Example("a", text, 1)], budget=budget)
    return found


def test_the_weightiest_word_goes_first_and_its_steepest_candidate() -> None:
    """Of the sum 3.5 ``good`` for ``awful`` takes 4: one word and one query after the text."""
    found = attempt(FewQueries(), WordVictim(WEIGHTS))
    assert found.perturbed == "a poor day, an good dinner and a bad film"
    assert (found.status, found.n_queries) == ("succeeded", 2)


def test_it_asks_less_than_the_search_that_ranks_by_queries() -> None:
    few = attempt(FewQueries(), WordVictim(WEIGHTS))
    usual = attempt(GreedyByImportance("unknown"), WordVictim(WEIGHTS))
    assert few.status == usual.status == "succeeded"
    assert few.n_queries < usual.n_queries / 2


def test_a_replacement_gives_way_to_a_better_one() -> None:
    """Led to the worst first: ``bad``, then ``poor``, then ``plain`` and ``good`` in one step."""
    found = attempt(FewQueries(), Misled(WEIGHTS), "an awful day")
    assert (found.status, found.perturbed, found.n_queries) == ("succeeded", "an good day", 5)


def test_later_passes_go_on_with_the_words_that_moved_the_victim() -> None:
    """The second pass begins with the word that gained most in the first, though the gradient put it last."""
    swaps = SwapTo({"awful": ["bad", "fine"], "poor": ["plain", "fine"]})
    victim = Misled(WEIGHTS)
    found = attempt(FewQueries(), victim, "poor awful bad", swaps=swaps)
    asked = [batch for batch in victim.batches if len(batch) == 1]
    assert asked[1:5] == [["poor awful bad"], ["plain awful bad"], ["plain bad bad"], ["plain fine bad"]]
    assert (found.status, found.perturbed) == ("succeeded", "fine fine bad")


def test_where_constraints_leave_no_room_a_candidate_is_tried_alone() -> None:
    """One word may change: ``plain`` for ``awful`` helps and ``good`` for ``bad`` meets the goal, by itself only."""
    swaps = SwapTo({"awful": ["plain"], "bad": ["good"]})
    one = (AtMostWordsPerturbed(number=1),)
    found = attempt(FewQueries(), WordVictim(WEIGHTS), "an awful bad film", swaps=swaps, constraints=one)
    assert (found.status, found.perturbed) == ("succeeded", "an awful good film")


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_the_budget_ends_it(budget: int) -> None:
    found = attempt(FewQueries(), Misled(WEIGHTS), "an awful day", budget=budget)
    assert (found.status, found.n_queries) == ("failed", budget)


def test_words_are_left_out_in_steps_that_grow_and_shrink() -> None:
    """Of nine words one carries the label; eight go in far fewer queries than words."""
    attack = Attack("reduce", InputReduction(), (DeleteWord(),), ReduceFewQueries())
    text = "one two three four awful six seven eight nine"
    (found,) = run_attack(attack, WordVictim(WEIGHTS), [Example("a", text, 1)])
    assert (found.status, found.perturbed.strip(), found.label_after) == ("maximized", "awful", 1)
    assert found.n_queries <= 1 + 5


def test_a_word_that_the_label_hangs_on_stays_wherever_it_is_ranked() -> None:
    attack = Attack("reduce", InputReduction(), (DeleteWord(),), ReduceFewQueries())
    (found,) = run_attack(attack, Misled(WEIGHTS), [Example("a", "one awful two fine three", 1)])
    assert (found.label_after, "awful" in found.perturbed) == (1, True)


def test_a_victim_without_gradients_or_the_token_is_refused() -> None:
    class Black:
        """Answers only."""

        name, labels = "black@1", ("good", "bad")

        def probabilities(self, texts: Sequence[str]) -> Probabilities:
            return WordVictim(WEIGHTS).probabilities(texts)

    with pytest.raises(ConfigError, match="has no gradients"):
        attempt(FewQueries(), Black())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="name its unknown token"):
        attempt(FewQueries(unknown="<unk>"), WordVictim(WEIGHTS))
    with pytest.raises(ConfigError, match="at least 1"):
        FewQueries(n_draws=0)
    with pytest.raises(ConfigError, match=r"keep and most in \(0, 1\]"):
        FewQueries(keep=0)


SENTENCES = ("you are a stupid person", "i hate the weather", "a kind person", "stupid weather, stupid day", "hate")
EXAMPLES = tuple(Example(str(at), text, 1) for at, text in enumerate(SENTENCES * 2))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> WhiteBoxVictim:
    """An encoder of random weights, so that scores lie close and every near tie would show."""
    base, adapter = (make(tmp_path_factory.mktemp("bert")) for make in (write_tiny_bert, write_tiny_adapter))
    filter_ = EncoderFilter.load(base=base, weights=adapter, device="cpu", dtype="float32")
    return WhiteBoxVictim(FilterVictim(filter_, "toxicity"), filter_, [(0, -1), (0, 1)])


def threshold(victim: WhiteBoxVictim) -> float:
    """Return one that the victim sees most of the sentences over."""
    return float(np.sort(victim.probabilities(SENTENCES)[:, 1])[1])


@pytest.mark.model
@pytest.mark.parametrize("name", ["deepwordbug", "pruthi", "input-reduction"])
def test_attempts_do_not_depend_on_what_runs_beside_and_resume(bert: WhiteBoxVictim, name: str, tmp_path: Path) -> None:
    attack = few_queries(recipe(name, threshold=threshold(bert)))

    def run(**options: Any) -> dict[str, Attempt]:
        return {one.example_id: one for one in run_attack(attack, bert, EXAMPLES, seed=3, **options)}

    alone = run(at_once=1)
    assert alone == run(at_once=64)
    journal = tmp_path / "journal.jsonl"
    for _ in zip(range(4), run_attack(attack, bert, EXAMPLES, seed=3, journal=journal), strict=False):
        pass
    assert run(journal=journal) == alone
    assert {one.status for one in alone.values()} & {"succeeded", "maximized"}


@pytest.mark.model
def test_it_spends_fewer_queries_than_the_recipe_at_no_less_success(bert: WhiteBoxVictim) -> None:
    usual = recipe("pruthi", threshold=threshold(bert))
    figures = []
    for attack in (usual, few_queries(usual)):
        made = [*run_attack(attack, bert, EXAMPLES, seed=3)]
        figures.append((sum(one.status == "succeeded" for one in made), sum(one.n_queries for one in made)))
    assert figures[1][0] >= figures[0][0]
    assert figures[1][1] < figures[0][1]


@pytest.mark.model
@pytest.mark.parametrize("name", ["deepwordbug", "pruthi", "input-reduction"])
def test_a_recipe_with_few_queries_keeps_all_but_its_search_and_says_so_in_its_name(name: str) -> None:
    usual = recipe(name, threshold=0.4)
    few = few_queries(usual)
    assert few.name == f"{name}+few-queries"
    assert few.search != usual.search
    kept = [(one.goal, one.transformations, one.allowed, one.constraints) for one in (usual, few)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("name", ["checklist", "love"])
def test_a_recipe_that_has_no_such_search_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no search with few queries"):
        few_queries(recipe(name))
