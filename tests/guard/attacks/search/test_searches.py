from __future__ import annotations

import numpy as np
import pytest

from guard.attacks.constraints.modifiable import NotTwice
from guard.attacks.constraints.overlap import AtMostWordsPerturbed
from guard.attacks.engine import run_attack
from guard.attacks.goals import Untargeted
from guard.attacks.schema import Attempt, Check, Constraint, Example, TokenEncoding
from guard.attacks.search.beam import Beam
from guard.attacks.search.genetic import Genetic
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.search.population import by_word, mixed
from guard.attacks.search.ranking import word_tokens
from guard.attacks.search.swarm import ParticleSwarm
from guard.attacks.space import Attack, Search
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from tests.guard.attacks.word_victim import SwapTo, WordVictim

SYNONYMS = SwapTo({"awful": ("bad", "grim"), "bad": ("poor", "so-so"), "poor": ("meagre",), "day": ("date", "while")})
SEARCHES: list[Search] = [
    *(GreedyByImportance(ranking) for ranking in ("delete", "unknown", "saliency", "gradient", "random")),
    *(Beam(), Beam(3), Genetic(8, 5), ParticleSwarm(8, 5)),
]
EXAMPLES = [
    *(Example("long", "an awful bad day, a poor day", 1), Example("short", "bad", 1), Example("none", "x bad y", 1)),
    *(Example("wrong", "fine day", 1), Example("empty", "", 0), Example("good", "fine fine poor", 0)),
]


def attacked(search: Search, *constraints: Constraint, table: SwapTo = SYNONYMS, **options: int) -> dict[str, Attempt]:
    attack = Attack("swaps", Untargeted(), (table,), search, (NotTwice(),), constraints)
    return {attempt.example_id: attempt for attempt in run_attack(attack, WordVictim(), EXAMPLES, **options)}


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_search_finds_what_is_within_reach(search: Search) -> None:
    found = attacked(search)
    assert found["short"].status == "succeeded"
    assert found["short"].perturbed == "so-so"
    assert found["long"].status == "succeeded"
    assert found["wrong"].status == "skipped"
    assert found["good"].status == "failed"  # its only candidate leads away from the goal
    assert search == Beam() or search == Beam(3) or found["good"].perturbed == found["good"].original
    assert all(attempt.n_victim_texts <= attempt.n_queries for attempt in found.values())


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_search_ends_without_candidates(search: Search) -> None:
    found = attacked(search, table=SwapTo({}))
    assert {attempt.status for attempt in found.values()} == {"failed", "skipped"}
    assert all(attempt.perturbed == attempt.original for attempt in found.values())


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_search_keeps_to_the_constraints(search: Search) -> None:
    found = attacked(search, AtMostWordsPerturbed(number=1))
    assert all(attempt.n_words_changed <= 1 for attempt in found.values())
    assert found["long"].status == "failed"


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
@pytest.mark.parametrize("budget", [1, 2, 3, 4, 6, 9, 14, 30])
def test_search_keeps_to_the_budget(search: Search, budget: int) -> None:
    assert all(attempt.n_queries <= budget for attempt in attacked(search, budget=budget).values())


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_search_does_not_depend_on_what_runs_beside(search: Search) -> None:
    assert attacked(search, seed=2, at_once=1) == attacked(search, seed=2, at_once=50)


@pytest.mark.parametrize(
    ("ranking", "first"), [("delete", "awful"), ("unknown", "awful"), ("gradient", "awful"), ("saliency", "bad")]
)
def test_most_important_word_is_changed_first(ranking: str, first: str) -> None:
    # Without "awful" 2 is left, without "bad" 3. But "awful" leads only to "bad" (4 are left), "bad" to "fine" (-6).
    table = SwapTo({"awful": ("bad",), "bad": ("fine",), "fine": ("x",)})
    victim = WordVictim({"awful": 3.0, "bad": 2.0, "fine": -9.0})
    attack = Attack("one", Untargeted(), (table,), GreedyByImportance(ranking), (NotTwice(),))  # type: ignore[arg-type]
    (attempt,) = run_attack(attack, victim, [Example("a", "bad or awful", 1)])
    changed = [a for a, b in zip(attempt.original.split(), attempt.perturbed.split(), strict=True) if a != b]
    assert first in changed
    assert (len(changed) == 1) == (first == "bad")


def test_gradient_ranking_costs_no_query() -> None:
    counts = {r: attacked(GreedyByImportance(r))["long"].n_queries for r in ("gradient", "unknown")}
    assert counts["unknown"] == counts["gradient"] + 7  # one for each word


def test_gradient_ranking_needs_a_white_box() -> None:
    class BlackBox:
        name, labels = "black", WordVictim.labels
        probabilities = WordVictim().probabilities

    attack = Attack("swaps", Untargeted(), (SYNONYMS,), GreedyByImportance("gradient"))
    with pytest.raises(ConfigError, match="no gradients"):
        list(run_attack(attack, BlackBox(), EXAMPLES))


def test_beam_keeps_more_than_the_best() -> None:
    # The best first step is a dead end: only the second best leads on to the goal.
    table = SwapTo({"bad": ("middling", "poor"), "poor": ("fine",)})
    victim = WordVictim({"bad": 3.0, "middling": 1.0, "poor": 2.0, "fine": -1.0})
    found = {}
    for width in (1, 2):
        attack = Attack("beam", Untargeted(), (table,), Beam(width))
        found[width] = next(run_attack(attack, victim, [Example("a", "bad", 1)]))
    assert (found[1].status, found[1].perturbed) == ("failed", "middling")
    assert (found[2].status, found[2].perturbed) == ("succeeded", "fine")


class Measured:
    """Likens texts by how short they are."""

    def keep(self, checks: list[Check]) -> list[list[AttackedText]]:
        from dataclasses import replace

        return [[replace(text, similarity=-float(len(text.text))) for text in check.candidates] for check in checks]


def test_most_similar_of_the_successes_is_taken() -> None:
    table = SwapTo({"bad": ("fine!!!!", "so-so", "poor")})
    kept = attacked(GreedyByImportance("delete"), Measured(), table=table)["short"]
    assert kept.perturbed == "so-so"
    assert attacked(GreedyByImportance("delete"), table=table)["short"].perturbed == "fine!!!!"


def test_first_words_only() -> None:
    found = attacked(GreedyByImportance("delete", first_words=2))["long"]
    assert found.perturbed == "an grim bad day, a poor day"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: GreedyByImportance("best"),  # type: ignore[arg-type]
        lambda: GreedyByImportance(first_words=0),
        lambda: Beam(0),
        lambda: Genetic(1),
        lambda: Genetic(temperature=0),
        lambda: ParticleSwarm(1),
        lambda: ParticleSwarm(iterations=0),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: type) -> None:
    with pytest.raises(ConfigError):
        wrong()


def test_mixture_takes_words_of_the_other() -> None:
    original = AttackedText.of("a b, c")
    other = original.replace(0, "x").replace(2, "z")
    text = mixed(original.replace(1, "y"), other, [0], original)
    assert text is not None
    assert (text.text, text.modified) == ("x y, c", frozenset({0, 1}))
    back = mixed(other, original, [0, 2], original)
    assert back is not None
    assert (back.text, back.modified) == (original.text, frozenset())
    assert mixed(original, original.delete(1), [0], original) is None


def test_candidates_by_word() -> None:
    text = AttackedText.of("a b c")
    found = by_word([text.replace(2, "x"), text.replace(0, "y"), text.delete(1), text.replace(2, "z")], 3)
    assert [[new.text for new in mine] for mine in found] == [["y b c"], [], ["a b x", "a b z"]]


def test_tokens_of_a_word() -> None:
    encoding = TokenEncoding((1, 5, 6, 7, 2), ((0, 0), (0, 2), (2, 5), (6, 9), (0, 0)))
    assert [word_tokens(encoding, *span) for span in ((0, 5), (6, 9), (5, 6), (0, 1))] == [[1, 2], [3], [], [1]]


def test_gradients_of_the_hand_made_victim() -> None:
    victim = WordVictim()
    (rows,) = victim.gradients(["bad day"], [1])
    p = float(victim.probabilities(["bad day"])[0, 1])
    np.testing.assert_allclose(rows[:, 0], [0, p - 1, 0, 0], rtol=1e-6)
