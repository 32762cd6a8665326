"""Swaps for near words."""

from __future__ import annotations

import numpy as np
import pytest

from guard.attacks.schema import Ask, RandomSource
from guard.attacks.transformations.neighbours import SwapNearWord
from guard.attacks.word_table import WordTable
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

TABLE = WordTable(["good", "fine", "bad"], np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]))


def test_each_word_gets_its_neighbours_nearest_first() -> None:
    text = AttackedText.of("A Good, bad day")
    (found,) = SwapNearWord(TABLE, n=2).propose([Ask(text, (1, 2, 3), text, 0, RandomSource(0))])
    assert [one.text for one in found] == [
        "A Fine, bad day", "A Bad, bad day", "A Good, fine day", "A Good, good day",
    ]  # fmt: skip


def test_words_too_far_are_left_out() -> None:
    text = AttackedText.of("good")
    (found,) = SwapNearWord(TABLE, least=0.5).propose([Ask(text, (0,), text, 0, RandomSource(0))])
    assert [one.text for one in found] == ["fine"]


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="n is at least 1"):
        SwapNearWord(TABLE, n=0)
    with pytest.raises(ConfigError, match="least in"):
        SwapNearWord(TABLE, least=2.0)
