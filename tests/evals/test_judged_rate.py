from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.judged_rate import LEAST_YOUDEN, correct_rate, judged_rate, youden_interval
from evals.scorers.linear import JudgeRates, LinearJudge
from evals.stats import clustered_rate
from guard.errors import ConfigError


def judge(sensitivity: float, specificity: float, n: int = 10_000) -> JudgeRates:
    return JudgeRates(0.5, sensitivity, specificity, n, n)


# By hand


@pytest.mark.parametrize(
    ("seen", "rate"),
    [(0.24, 0.2), (0.1, 0.0), (0.8, 1.0), (0.45, 0.5)],  # seen = 0.8 * rate + 0.1 * (1 - rate)
)
def test_corrected_rate(seen: float, rate: float) -> None:
    found = correct_rate(seen, (seen - 0.02, seen + 0.02), judge(0.8, 0.9))
    assert found.value == pytest.approx(rate, abs=1e-9)
    assert found.seen == seen


def test_a_perfect_judge_leaves_rate_and_interval_as_they_are() -> None:
    found = correct_rate(0.2, (0.15, 0.27), judge(1.0, 1.0, 10**9))
    assert found.value == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.15, 0.27), abs=2e-4)


def test_a_judge_known_for_certain_widens_the_interval_by_its_index_alone() -> None:
    found = correct_rate(0.24, (0.2, 0.3), judge(0.8, 0.9, 10**9))
    assert found.interval == pytest.approx((0.1 / 0.7, 0.2 / 0.7), abs=2e-4)


def test_few_labelled_texts_widen_the_interval() -> None:
    sure, unsure = (correct_rate(0.24, (0.2, 0.28), judge(0.8, 0.9, n)).interval for n in (10_000, 100))
    assert sure is not None
    assert unsure is not None
    assert unsure[0] < sure[0] < sure[1] < unsure[1]


def test_negatives_are_corrected_as_positives_of_the_opposite_judge() -> None:
    found = correct_rate(0.76, (0.72, 0.8), judge(0.8, 0.9), counts_negatives=True)
    mirrored = correct_rate(0.24, (0.2, 0.28), judge(0.8, 0.9))
    assert found.value is not None
    assert mirrored.value is not None
    assert found.interval is not None
    assert mirrored.interval is not None
    assert found.value == pytest.approx(1 - mirrored.value)
    assert found.interval == pytest.approx((1 - mirrored.interval[1], 1 - mirrored.interval[0]), abs=2e-4)


@given(
    st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.2), st.floats(0.5, 1), st.floats(0.5, 1), st.integers(50, 9999)
)
def test_interval_holds_the_value_in_bounds(
    seen: float, down: float, up: float, sensitivity: float, specificity: float, n: int
) -> None:
    found = correct_rate(seen, (max(seen - down, 0), min(seen + up, 1)), judge(sensitivity, specificity, n))
    if found.refused:
        assert (found.value, found.interval) == (None, None)
    else:
        assert found.interval is not None
        assert found.value is not None
        assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 1


# Coverage


@pytest.mark.parametrize(("n_prompts", "n_samples"), [(200, 1), (64, 25)])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_interval_holds_the_truth(n_prompts: int, n_samples: int, rate: float) -> None:
    """At least 93 of 100, with samples of a prompt that correlate by 0.6 and 300 labelled texts of each kind."""
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(300):
        own = rng.beta(rate * 2 / 3, (1 - rate) * 2 / 3, n_prompts) if n_samples > 1 else np.full(n_prompts, rate)
        toxic = rng.random((n_prompts, n_samples)) < own[:, None]
        seen = rng.random(toxic.shape) < np.where(toxic, 0.63, 0.11)
        sensitivity, specificity = rng.binomial(300, [0.63, 0.89]) / 300
        estimate = clustered_rate({f"p{i}": row for i, row in enumerate(seen.astype(float).tolist())})
        known = judge(float(sensitivity), float(specificity), 300)
        interval = correct_rate(estimate.value, estimate.interval, known).interval
        held += interval is not None and interval[0] <= rate <= interval[1]
    assert held >= 0.93 * 300


# Refused


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "n", "refused"),
    [(0.63, 0.89, 1000, False), (0.6, 0.7, 10_000, False), (0.6, 0.7, 100, True), (0.5, 0.5, 10**6, True)],
)
def test_a_judge_that_is_too_weak_is_refused(sensitivity: float, specificity: float, n: int, refused: bool) -> None:
    known = judge(sensitivity, specificity, n)
    found = correct_rate(0.5, (0.4, 0.6), known)
    assert (youden_interval(known)[0] < LEAST_YOUDEN) == refused
    assert bool(found.refused) == refused
    assert (found.value is None) == refused
    assert "too weak" in found.refused or not refused


@pytest.mark.parametrize(("seen", "says"), [(0.01, "at least 0.11"), (0.99, "at most 0.63")])
def test_what_the_judge_could_not_have_seen_is_refused(seen: float, says: str) -> None:
    found = correct_rate(seen, (max(seen - 0.01, 0), min(seen + 0.01, 1)), judge(0.63, 0.89))
    assert (found.seen, found.value, found.interval) == (seen, None, None)
    assert says in found.refused


def test_few_hits_that_chance_explains_are_a_rate_of_zero() -> None:
    found = correct_rate(0.09, (0.05, 0.15), judge(0.63, 0.89))
    assert found.value == 0.0
    assert found.interval is not None
    assert found.interval[0] == 0.0
    assert found.interval[1] == pytest.approx(0.08, abs=0.01)


def test_no_data_is_no_rate() -> None:
    assert judged_rate({}, judge(0.8, 0.9)).refused == "no data"


@pytest.mark.parametrize(
    ("rates", "level", "says"),
    [
        (JudgeRates(0.5, 1.2, 0.9, 10, 10), 0.95, "sensitivity 1.2"),
        (JudgeRates(0.5, 0.8, math.nan, 10, 10), 0.95, "specificity nan"),
        (JudgeRates(0.5, 0.8, 0.9, 10, 0), 0.95, "of 0 labelled"),
        (JudgeRates(0.5, 0.8, 0.9, 10, 10), 1.0, "confidence level"),
    ],
)
def test_impossible_rates_are_refused(rates: JudgeRates, level: float, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        correct_rate(0.2, (0.1, 0.3), rates, level=level)


def test_the_shipped_judge_is_good_enough_to_correct_for() -> None:
    for category, rates in LinearJudge.load().rates.items():
        assert youden_interval(rates)[0] >= LEAST_YOUDEN, category
