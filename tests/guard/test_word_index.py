from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.views import words
from guard.views.word_index import WordIndex

WORDS = st.lists(st.text("abc", min_size=1, max_size=5), unique=True)


def letters(word: str) -> Iterable[str]:
    return sorted(set(word))


@given(given_words=WORDS, keys=st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
def test_words_are_found_by_every_key_in_their_order(given_words: list[str], keys: list[str]) -> None:
    index = WordIndex(given_words, letters)
    assert index.get(*keys) == [word for key in keys for word in given_words if key in word]


def test_no_key_finds_nothing() -> None:
    assert WordIndex(["a"], letters).get() == []


@pytest.mark.parametrize(
    ("written", "read"),
    [("b1tch", "bitch"), ("5h177y", "shitty"), ("a55hole", "asshole"), ("qxv1", None), ("4444", None)],
)
def test_signs_are_read_as_letters(written: str, read: str | None) -> None:
    assert words.leet(written) == read


@settings(deadline=None)  # the first call builds the index
@given(word=st.sampled_from(sorted(words.costs())[::97]), place=st.integers(0, 20))
def test_a_word_with_a_letter_repeated_is_read_as_one_that_could_be_meant(word: str, place: int) -> None:
    at = place % len(word)
    read = words.unstretched(word[:at] + word[at] * 3 + word[at:])
    assert len(word) < 2 or (read is not None and words.collapsed(read) == words.collapsed(word))
