from __future__ import annotations

from collections.abc import Sequence

import pytest

from guard.attacks.engine import run_attack
from guard.attacks.goals import Untargeted
from guard.attacks.recipes import recipe
from guard.attacks.schema import Ask, Example, RandomSource
from guard.attacks.search.beam import Beam
from guard.attacks.space import Attack
from guard.attacks.transformations.whole_text import InFrame, Paraphrase
from guard.attacks.victims import FilterVictim
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator


def _ask(text: str, indices: Sequence[int] | None = None, seed: int = 0) -> Ask:
    begun = AttackedText.of(text)
    chosen = range(begun.n_words) if indices is None else indices
    return Ask(begun, tuple(chosen), begun, 1, RandomSource(seed))


def _texts(found: list[list[AttackedText]]) -> list[list[str]]:
    return [[one.text for one in mine] for mine in found]


def test_frames_add_love_and_take_spaces_out() -> None:
    assert _texts(InFrame().propose([_ask("you {text} fool")])) == [
        ["you {text} fool love", "you{text}fool", "you{text}fool love"]
    ]


def test_frames_leave_a_text_alone_of_which_a_word_may_not_change() -> None:
    assert InFrame().propose([_ask("you fool", [0]), _ask("", [])]) == [[], []]


def test_a_frame_without_a_place_for_the_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither"):
        InFrame(("love",))


def test_joined_words_get_past_a_list_of_words() -> None:
    victim = FilterVictim(LexicalFilter([Term("fool", "profanity", 1.0)]))
    attack = Attack("frames", Untargeted(0.5), (InFrame(("{joined}x",)),), Beam(1))
    [attempt] = run_attack(attack, victim, [Example("a", "you old fool", 1)])
    assert (attempt.status, attempt.perturbed) == ("succeeded", "youoldfoolx")


def _paraphrase(answers: dict[str, str]) -> Paraphrase:
    return Paraphrase(ScriptedGenerator(lambda prompt, seed: answers[prompt.split("\n\n")[1]]), n=2)


def test_paraphrases_are_trimmed_and_neither_repeated_nor_far_longer() -> None:
    made = _paraphrase({"you old fool": ' "you aged clown"\n', "go": "go " * 40, "stay": "stay"})
    found = made.propose([_ask("you old fool"), _ask("go"), _ask("stay"), _ask("go", [])])
    assert _texts(found) == [["you aged clown"], [], [], []]
    assert found[0][0].origin == (-1, -1, -1)
    assert found[0][0].modified == {0, 1, 2}


def test_paraphrases_do_not_depend_on_what_is_asked_beside() -> None:
    made = Paraphrase(ScriptedGenerator(lambda prompt, seed: f"take {seed % 997}"), n=3)
    asks = [_ask("one two three", seed=1), _ask("four five six", seed=2)]
    assert _texts(made.propose(asks)) == [_texts(made.propose([ask]))[0] for ask in asks]
    assert len({text for mine in _texts(made.propose(asks)) for text in mine}) == 6


@pytest.mark.parametrize("settings", [{"n": 0}, {"most_growth": 0.5}, {"request": "no place"}])
def test_what_cannot_be_asked_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Paraphrase(ScriptedGenerator(["x"]), **settings)  # type: ignore[arg-type]


def test_recipe_of_groendahl() -> None:
    attack = recipe("love", threshold=0.5)
    assert attack.name == "love"
    victim = FilterVictim(LexicalFilter([Term("fool", "profanity", 1.0)]))
    [attempt] = run_attack(attack, victim, [Example("a", "you old fool", 1)])
    assert attempt.n_queries <= 4
