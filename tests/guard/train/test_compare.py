"""Paired differences and length matching, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.train.compare import auroc_difference, f1_at, length_auroc, match_lengths
from guard.train.measure import auroc


def test_auroc_difference_is_the_difference_of_the_areas() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    first, second = rng.normal(labels * 1.5), rng.normal(labels * 0.5)
    change = auroc_difference(first, second, labels)
    assert change.value == pytest.approx(auroc(first, labels).value - auroc(second, labels).value)
    assert change.interval[0] < change.value < change.interval[1]
    assert change.interval[0] > 0


def test_auroc_difference_of_a_scorer_to_itself_is_nothing() -> None:
    scores, labels = [0.1, 0.4, 0.3, 0.9], [0, 0, 1, 1]
    change = auroc_difference(scores, scores, labels)
    assert (change.value, change.interval) == (0.0, (0.0, 0.0))


def test_auroc_difference_covers_the_truth_in_most_draws() -> None:
    rng, labels, hits = np.random.default_rng(1), np.arange(120) % 2, 0
    for _ in range(200):
        shared = rng.normal(size=120) + labels
        low, high = auroc_difference(shared + rng.normal(size=120), shared + rng.normal(size=120), labels).interval
        hits += low <= 0 <= high
    assert 180 <= hits <= 200


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.0, 4 / 6), (0.5, 1.0), (0.85, 2 / 3), (0.95, 0.0)]
)  # 2 caught of 4 fired; 2 of 2; 1 of 1; none
def test_f1_at(threshold: float, expected: float) -> None:
    assert f1_at([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], threshold) == pytest.approx(expected)


@given(
    st.lists(st.integers(1, 500), max_size=20),
    st.lists(st.integers(1, 500), max_size=20),
)
def test_match_lengths_uses_each_once_and_keeps_the_tolerance(positives: list[int], negatives: list[int]) -> None:
    pairs = match_lengths(positives, negatives)
    for side in (0, 1):
        used = [pair[side] for pair in pairs]
        assert len(used) == len(set(used))
    assert all(abs(positives[one] - negatives[other]) <= 0.15 * positives[one] for one, other in pairs)


def test_length_auroc_is_blind_on_matched_lengths_and_never_under_a_half() -> None:
    assert length_auroc([10, 20, 10, 20], [1, 1, 0, 0]) == 0.5
    assert length_auroc([10, 20, 30, 40], [1, 1, 0, 0]) == 1.0
