"""The paraphrase recipe: without a model it says what to give, with one it attacks by what the model says."""

from __future__ import annotations

import pytest

from guard.attacks.engine import run_attack
from guard.attacks.neural_recipes import Parts
from guard.attacks.recipes import recipe
from guard.attacks.schema import Example
from guard.attacks.victims import FilterVictim
from guard.errors import ConfigError
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator


def test_paraphrase_without_a_model_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="name one"):
        recipe("paraphrase")


@pytest.mark.model
def test_a_paraphrase_that_keeps_the_meaning_gets_past_a_list_of_words() -> None:
    said = ["You are such an old idiot.", "Bananas are yellow in the summer."]
    attack = recipe("paraphrase", threshold=0.5, parts=Parts(paraphraser=ScriptedGenerator(said)))
    victim = FilterVictim(LexicalFilter([Term("fool", "profanity", 1.0)]))
    [attempt] = run_attack(attack, victim, [Example("a", "You are such an old fool.", 1)], seed=2)
    assert (attempt.status, attempt.perturbed) == ("succeeded", said[0])
