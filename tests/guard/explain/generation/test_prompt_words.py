"""Words of a prompt: found in any script, left out or replaced, and never a character lost besides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.explain.generation.prompt_words import PromptWords, over_words

TEXTS = st.text(alphabet=st.sampled_from("ab \n.,!(\u4f60\u597d\ud800\U0001f600'-"), max_size=24)


@pytest.mark.parametrize(
    ("text", "places", "left"),
    [
        ("one two three", [1], "one three"),
        ("one two three", [0], "two three"),
        ("one two three", [2], "one two"),
        ("one two three", [0, 1, 2], ""),
        ("Stop, you (fool)!", [2], "Stop, you ()!"),
        ("Stop you!", [1], "Stop!"),
        ("one  two", [0], " two"),
        ("\u4f60\u597d\u5417", [1], "\u4f60\u5417"),
        ("", [], ""),
    ],
)
def test_words_are_left_out_with_one_blank(text: str, places: list[int], left: str) -> None:
    assert PromptWords.of(text).without(places) == left


def test_scripts_without_blanks_are_cut_into_letters() -> None:
    words = PromptWords.of("iPhone\u4f60\u597d42 ok")
    assert [words.word(at) for at in range(len(words.ranges))] == ["iPhone", "\u4f60", "\u597d", "42", "ok"]


@given(TEXTS)
def test_words_are_in_order_and_hold_all_letters(text: str) -> None:
    words = PromptWords.of(text)
    assert all(a < b for a, b in words.ranges)
    assert all(one[1] <= two[0] for one, two in zip(words.ranges, words.ranges[1:], strict=False))
    outside = "".join(words.edited(dict.fromkeys(range(len(words.ranges)), "")))
    assert not any(letter.isalnum() for letter in outside)


@given(TEXTS, st.data())
def test_replacing_a_word_by_itself_changes_nothing(text: str, data: st.DataObject) -> None:
    words = PromptWords.of(text)
    chosen = data.draw(st.sets(st.sampled_from(range(len(words.ranges))))) if words.ranges else set()
    assert words.edited({at: words.word(at) for at in chosen}) == text


def test_tokens_over_two_words_are_shared_out() -> None:
    values = over_words([(0, 1), (1, 2), (3, 5)], [(0, 2), (2, 4), (4, 5), (0, 0)], np.array([2.0, 1.0, 0.5, 9.0]))
    assert values.tolist() == [1.0, 1.0, 1.5]
