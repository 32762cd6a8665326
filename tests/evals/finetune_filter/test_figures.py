"""Figures of two scorers on the same texts: values by hand, agreement with scikit-learn, and what pairing buys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from evals.finetune_filter.figures import average_precision, best_threshold, compared, f1

CASES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: any(hit for _, hit in rows)
)


@settings(deadline=None)
@given(CASES, st.integers(0, 6))
def test_figures_are_those_of_scikit_learn(rows: list[tuple[int, bool]], level: int) -> None:
    scores, truth = np.array([float(score) for score, _ in rows]), np.array([hit for _, hit in rows])
    one = np.ones((1, len(rows)))
    assert average_precision(scores, truth, one)[0] == pytest.approx(average_precision_score(truth, scores))
    expected = f1_score(truth, scores >= level, zero_division=0)
    assert f1(scores, truth, one, threshold=level)[0] == pytest.approx(expected)


@settings(deadline=None)
@given(CASES, st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_weight_is_that_many_copies(rows: list[tuple[int, bool]], counts: list[int]) -> None:
    scores, truth = np.array([float(score) for score, _ in rows]), np.array([hit for _, hit in rows])
    times = np.array(counts[: len(rows)])
    if not (times * truth).sum():
        return
    weighted = average_precision(scores, truth, times[None].astype(float))[0]
    assert weighted == pytest.approx(average_precision_score(np.repeat(truth, times), np.repeat(scores, times)))


def test_the_best_threshold_is_the_middle_of_the_best() -> None:
    scores, truth = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, False, True, True])
    assert best_threshold(scores, truth) == 0.6


def _texts(n: int, apart: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    return rng.normal(size=n) + apart * truth, truth


def test_a_scorer_against_itself_differs_by_nothing() -> None:
    scores, truth = _texts(100, 1.0, 0)
    for change in compared(scores, scores, truth, thresholds=(0.5, 0.5)):
        assert change.difference == 0
        assert change.interval == pytest.approx((0, 0), abs=1e-12)


def test_a_better_scorer_is_seen_and_the_same_seed_gives_the_same_interval() -> None:
    scores, truth = _texts(300, 0.5, 1)
    better = scores + 1.5 * truth
    found = [compared(scores, better, truth, thresholds=(1.0, 1.0), seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    for change in found[0]:
        assert change.interval is not None
        assert 0 < change.interval[0] <= change.difference <= change.interval[1]
        assert change.n_paired == 300


def test_intervals_hold_the_true_difference_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(3), 0
    true = [np.concatenate((rng.normal(1.0, 1, 3000), rng.normal(0, 1, 7000))), np.arange(10_000) < 3000]
    noisy = true[0] + rng.normal(0, 1, 10_000)
    one = np.ones((1, 10_000))
    gap = average_precision(true[0], true[1], one)[0] - average_precision(noisy, true[1], one)[0]
    for seed in range(40):
        at = np.random.default_rng(seed).choice(10_000, 150, replace=False)
        change = compared(noisy[at], true[0][at], true[1][at], thresholds=(1, 1), seed=seed)[1]
        assert change.interval is not None
        held += change.interval[0] <= gap <= change.interval[1]
    assert 33 <= held <= 40
