from __future__ import annotations

import random

import numpy as np
import pytest

from guard.attacks.schema import Ask, RandomSource, Transformation
from guard.attacks.transformations.characters import (
    DeleteCharacter,
    InsertCharacter,
    SubstituteCharacter,
    SwapNeighbours,
)
from guard.attacks.transformations.contractions import Contract, WriteOut
from guard.attacks.transformations.deletion import DeleteWord
from guard.attacks.transformations.keys import PressKeyBeside, SwapHomoglyph
from guard.attacks.transformations.numbers import ChangeNumber
from guard.attacks.words import AttackedText
from guard.errors import ConfigError


def candidates(part: Transformation, text: str, *, seed: int = 0, indices: tuple[int, ...] | None = None) -> list[str]:
    attacked = AttackedText.of(text)
    places = tuple(range(attacked.n_words)) if indices is None else indices
    (found,) = part.propose([Ask(attacked, places, attacked, 0, RandomSource(seed))])
    return [new.text for new in found]


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        (SwapNeighbours(False), "abc", ["bac", "acb"]),
        (SwapNeighbours(False), "aab", ["aba"]),  # exchanging equal letters is no change
        (SwapNeighbours(False, True, True), "abcd", ["acbd"]),
        (SwapNeighbours(False, True, True), "abc", []),
        (SwapNeighbours(False), "a", []),
        (DeleteCharacter(False), "abc", ["bc", "ac", "ab"]),
        (DeleteCharacter(False, True, True), "abcd", ["acd", "abd"]),
        (DeleteCharacter(False), "a b", []),
        (InsertCharacter(False, letters="z"), "ab", ["zab", "azb"]),
        (InsertCharacter(False, True, True, letters="z"), "abc", ["azbc"]),
        (SubstituteCharacter(False, letters="z"), "ab", ["zb", "az"]),
        (PressKeyBeside(False, True, True), "apma", ["aoma", "alma", "apna", "apja", "apka"]),
        (PressKeyBeside(False, True, True), "apm", []),
        (PressKeyBeside(False), "PM", ["OM", "LM", "PN", "PJ", "PK"]),
        (PressKeyBeside(False, True, True), "a12b", []),
        (SwapHomoglyph(), "ab!", ["ɑb!", "aЬ!"]),
        (DeleteWord(), "one two, three", ["two, three", "one, three", "one two, "]),
        (DeleteWord(), "one", []),
        (WriteOut(), "I don't know. They're late, can't come", [
            "I do not know. They're late, can't come",
            "I don't know. They are late, can't come",
            "I don't know. They're late, can not come",
        ]),
        (WriteOut(), "Won't i'll", ["Will not i'll", "Won't I will"]),
        (WriteOut(), "John's dog", []),
        (Contract(), "It is late and I am not here", ["It's late and I am not here", "It is late and I'm not here"]),
        (Contract(), "it, is", []),
        (Contract(), "do  not", ["don't"]),
        (ChangeNumber(), "in 0 2 4 x1 ²", []),
    ],
)  # fmt: skip
def test_candidates(part: Transformation, text: str, expected: list[str]) -> None:
    assert candidates(part, text) == expected


@pytest.mark.parametrize("part", [SwapNeighbours(), DeleteCharacter(), InsertCharacter(), SubstituteCharacter()])
def test_one_place_is_drawn_a_word(part: Transformation) -> None:
    whole = type(part)(False)  # type: ignore[call-arg]
    found = candidates(part, "drawing words")
    assert len(found) == 2
    if isinstance(part, (SwapNeighbours, DeleteCharacter)):
        assert set(found) <= set(candidates(whole, "drawing words"))
    assert {tuple(candidates(part, "drawing words", seed=seed)) for seed in range(5)} > {tuple(found)}


def test_draws_are_those_of_the_published_code() -> None:
    # What numpy's and Python's global generators give in this order after both are seeded: place, then letter.
    numpy, python = np.random.RandomState(7), random.Random(7)
    place = numpy.randint(0, 5)
    letter = python.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert candidates(SubstituteCharacter(), "words", seed=7) == ["words"[:place] + letter + "words"[place + 1 :]]
    assert candidates(InsertCharacter(), "words", seed=7) == ["words"[:place] + letter + "words"[place:]]


def test_only_words_asked_for_change() -> None:
    assert candidates(DeleteWord(), "a b c", indices=(2, 0)) == ["a b ", "b c"]
    assert candidates(Contract(), "do not", indices=(0,)) == []


@pytest.mark.parametrize("text", ["7 days", "seven days", "Seven days", "1000 days"])
def test_numbers_stay_numbers_of_their_size(text: str) -> None:
    found = [new.split()[0] for seed in range(20) for new in candidates(ChangeNumber(), text, seed=seed)]
    assert len(set(found)) > 3
    word = text.split()[0]
    assert all(new.isdigit() == word.isdigit() and new[0].isupper() == word[0].isupper() for new in found)
    if word.isdigit():
        assert all(1 <= int(new) <= 2 * int(word) for new in found)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"n": 0}])
def test_numbers_refuse_settings_that_change_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ChangeNumber(**wrong)  # type: ignore[arg-type]
