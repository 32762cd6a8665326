from __future__ import annotations

import pytest

from guard.attacks.engine import run_attack
from guard.attacks.recipes import RECIPES, recipe
from guard.attacks.schema import Attempt, Example
from guard.errors import ConfigError
from tests.guard.attacks.word_victim import WordVictim

EXAMPLES = [Example("a", "It was an awful, bad day for 12 of us", 1), Example("b", "a poor show, I'm told", 1)]


def attempts(name: str, *, seed: int = 0) -> list[Attempt]:
    found = run_attack(recipe(name), WordVictim(), EXAMPLES, seed=seed)
    return sorted(found, key=lambda attempt: attempt.example_id)


@pytest.mark.model
def test_deepwordbug_misspells_words_once() -> None:
    for attempt in attempts("deepwordbug"):
        assert attempt.status == "succeeded"
        assert attempt.edit_distance <= 2 * attempt.n_words_changed <= 30


@pytest.mark.model
def test_pruthi_makes_one_error_inside_a_long_word() -> None:
    first, second = attempts("pruthi")
    assert (first.status, first.n_words_changed) == ("failed", 1)
    assert (second.status, second.n_words_changed) == ("succeeded", 1)
    changed = [new for old, new in zip(second.original.split(), second.perturbed.split(), strict=True) if old != new]
    assert [word[0] + word[-1] for word in changed] == ["pr"]


@pytest.mark.model
def test_input_reduction_keeps_the_label_on_fewer_words() -> None:
    for attempt in attempts("input-reduction"):
        assert attempt.status == "maximized"
        assert len(attempt.perturbed.split()) < len(attempt.original.split())
        assert attempt.label_after == 1


@pytest.mark.model
def test_pwws_swaps_synonyms() -> None:
    try:
        found = attempts("pwws")
    except ConfigError as error:
        pytest.skip(str(error))
    assert [attempt.status for attempt in found] == ["succeeded", "succeeded"]
    assert [attempt.perturbed.count(" ") for attempt in found] == [attempt.original.count(" ") for attempt in found]


def test_checklist_keeps_the_meaning() -> None:
    weights = {"i'm": 1.0, "told": -0.5}
    (attempt,) = run_attack(recipe("checklist"), WordVictim(weights), [Example("a", "I'm told", 1)])
    assert (attempt.status, attempt.perturbed) == ("succeeded", "I am told")


def test_threshold_reaches_the_goal() -> None:
    assert recipe("checklist", threshold=0.3).goal.threshold == 0.3  # type: ignore[attr-defined]


@pytest.mark.model
@pytest.mark.parametrize("name", ["deepwordbug", "pruthi", "input-reduction", "pwws", "checklist"])
def test_recipe_is_the_same_each_time(name: str) -> None:
    assert repr(recipe(name)) == repr(recipe(name.upper().replace("-", "_")))
    assert recipe(name).name == name
    assert " at 0x" not in repr(recipe(name))


def test_unknown_recipe_names_the_known() -> None:
    with pytest.raises(ConfigError, match=r"no recipe is called 'none'.*deepwordbug"):
        recipe("none")
    assert {"checklist", "deepwordbug", "input-reduction", "pruthi", "pwws"} <= set(RECIPES)
