"""Words, their evidence, and the spans that they join to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.filters.attribution import evident_spans, evident_words, joined, word_evidence, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("   ", []),
        ("you idiot", ["you", "idiot"]),
        ('"You, idiot!" he said.', ["You", "idiot", "he", "said"]),
        ("a**hole f***!", ["a**hole", "f***"]),
        (":-) !!!", [":-)", "!!!"]),
        ("don't", ["don't"]),
    ],
)
def test_words_leaves_punctuation_out_and_masks_in(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in words(text)] == found


@given(st.text(max_size=60))
def test_words_are_ordered_ranges_without_space(text: str) -> None:
    last = 0
    for start, end in words(text):
        assert last <= start < end <= len(text)
        assert not any(char.isspace() for char in text[start:end])
        last = end


def test_word_evidence_sums_the_pieces_of_a_word() -> None:
    sums = word_evidence([(0, 3), (4, 9)], [(0, 3), (4, 6), (6, 9), (9, 10)], np.array([1.0, 2.0, 3.0, 50.0]))
    assert sums.tolist() == [1.0, 5.0]


@pytest.mark.parametrize(
    ("sums", "chosen"),
    [
        ([], []),
        ([0.0, -1.0], []),
        ([0.1, 2.0, -3.0, 1.0], [1, 3]),
        ([0.5, 2.0, 0.5, 0.5], [0, 1, 2, 3]),
        ([0.5, 0.1, 2.0], [2]),
        ([0.79, 0.0, 2.0], [2]),
        ([0.8, 0.0, 2.0], [0, 2]),
    ],
)
def test_evident_words_takes_strong_words_and_their_weaker_neighbours(sums: list[float], chosen: list[int]) -> None:
    assert evident_words(np.array(sums)) == chosen


def test_joined_bridges_punctuation_but_no_word() -> None:
    text = "you filthy, vile or idiotic"
    assert joined(text, [(4, 10), (12, 16), (20, 27)]) == [(4, 16), (20, 27)]
    assert joined(text, []) == []


@pytest.mark.parametrize(
    ("evidence", "attended", "expected"),
    [
        ([0.0, 0.0, 2.0, 0.9], [0.0, 0.0, 0.0, 0.0], [("filthy", 2.0)]),  # 0.9 is under half of 2.0
        ([0.0, 0.0, 2.0, 1.3], [0.0, 0.0, 0.0, 0.0], [("filthy, idiot", 3.3)]),
        ([0.0, 0.0, 2.0, 0.9], [0.0, 0.0, 0.0, 0.1], [("filthy, idiot", 2.9)]),  # 0.9 + 6 * 0.1, of which 0.9 counts
        ([0.0, 0.0, 0.1, 0.2], [0.0, 0.0, 0.0, 0.0], [("idiot", 0.2)]),  # too little to count, so the strongest alone
        ([-1.0, -2.0, -3.0, -4.0], [0.0, 0.0, 0.0, 0.0], [("you", -1.0)]),
        ([1.0, 0.0, 0.3, 0.9], [0.0, 0.0, 0.0, 0.0], [("you", 1.0), ("idiot", 0.9)]),
    ],
)
def test_evident_spans_are_strong_words_joined(
    evidence: list[float], attended: list[float], expected: list[tuple[str, float]]
) -> None:
    text = "you are filthy, idiot"
    tokens = [(0, 3), (4, 7), (8, 14), (16, 21)]
    found = evident_spans(text, tokens, np.array(evidence), np.array(attended))
    assert [(text[start:end], pytest.approx(worth)) for (start, end), worth in found] == expected
