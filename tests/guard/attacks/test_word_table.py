"""Whole words and their neighbours, by hand and in the table of the sentence encoder."""

from __future__ import annotations

import numpy as np
import pytest

from guard.attacks.word_table import WordTable, like_case
from guard.errors import AssetError, ConfigError

TABLE = WordTable(["good", "fine", "bad", "chair"], np.array([[2.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.0, 3.0]]))


def test_near_is_by_cosine_nearest_first_and_without_the_word() -> None:
    assert TABLE.near("good", n=9) == ["fine", "chair", "bad"]
    assert TABLE.near("good", n=1) == ["fine"]
    assert TABLE.near("good", n=9, least=0.6 - 1e-6) == ["fine"]
    assert TABLE.near("GOOD", n=1) == ["FINE"]
    assert TABLE.near("unheard", n=9) == []
    assert TABLE.near("good", n=0) == []


def test_cosine_is_none_for_what_the_table_lacks() -> None:
    assert TABLE.cosine("good", "Fine") == pytest.approx(0.6)
    assert TABLE.cosine("good", "unheard") is None


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (["[PAD]", "good", "##ness", "!", "Good", "don't", "b", "été", "12"], ["good", "don't", "b"]),
        (["<s>", "Ġgood", "ness", "Ġ!", "ĠGood", "Ġb"], ["good", "b"]),
    ],
)
def test_of_vocabulary_keeps_whole_words_once(vocabulary: list[str], words: list[str]) -> None:
    table = WordTable.of_vocabulary(vocabulary, np.eye(len(vocabulary)))
    assert [word for word in [*words, "ness", "[pad]", "s", "!", "été"] if word in table] == words
    assert len(table) == len(words)


def test_another_table_has_another_digest() -> None:
    other = WordTable(["good", "fine", "bad", "chair"], np.eye(4))
    assert TABLE.digest != other.digest
    assert TABLE.digest in repr(TABLE)


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one word"):
        WordTable([], np.empty((0, 2)))
    with pytest.raises(ConfigError, match="one vector each"):
        WordTable(["a"], np.empty((2, 2)))


@pytest.mark.parametrize(
    ("word", "model", "expected"),
    [("fine", "Good", "Fine"), ("fine", "GOOD", "FINE"), ("Fine", "good", "fine"), ("fine", "gOod", "fine")],
)
def test_like_case(word: str, model: str, expected: str) -> None:
    assert like_case(word, model) == expected


@pytest.mark.model
def test_minilm_puts_related_words_near() -> None:
    try:
        table = WordTable.minilm()
    except AssetError as error:
        pytest.skip(str(error))
    assert len(table) > 15_000
    assert "stupidity" in table.near("stupid", n=10) or "dumb" in table.near("stupid", n=10)
    near, far = table.cosine("stupid", "dumb"), table.cosine("stupid", "railway")
    assert near is not None
    assert far is not None
    assert near > far + 0.2
