"""Runs and subsequences of words in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scorers.continuation import agreement, longest_run

TEXT = "one two three four five six seven eight"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TEXT, 8),
        ("ONE, two; three - four!", 4),
        ("zero one two x three four five six", 4),
        ("eight seven six", 1),
        ("nine", 0),
        ("", 0),
    ],
)
def test_longest_run(answer: str, expected: int) -> None:
    assert longest_run(answer, TEXT) == expected
    assert longest_run(TEXT, answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TEXT, 1.0),
        (f"{TEXT} and more", 1.0),
        ("one two three four", 1.0),
        ("one two x three four five", 5 / 6),
        ("two one four three", 2 / 4),
        ("one two three", 0.0),
        ("a b c d", 0.0),
        ("", 0.0),
    ],
)
def test_agreement(answer: str, expected: float) -> None:
    assert agreement(answer, TEXT, least_words=4) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), min_size=1), st.lists(st.sampled_from("abc"), min_size=1))
def test_agreement_is_at_least_the_run_on_texts_of_one_length(first: list[str], second: list[str]) -> None:
    n = min(len(first), len(second))
    one, other = " ".join(first[:n]), " ".join(second[:n])
    assert longest_run(one, other) / n <= agreement(one, other, least_words=1) <= 1
    assert agreement(one, one, least_words=1) == 1
