from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals.betting import log_evidence
from evals.intervals import bounded_mean_interval
from evals.sizes import MOST_PROMPTS, fixed_prompts, need, no_hit_prompts, sequential_prompts
from guard.errors import ConfigError


def decides(n: int, hits: int, limit: float, side: str) -> bool:
    low, high = bounded_mean_interval([1.0] * hits + [0.0] * (n - hits))
    return bool(high <= limit if side == "below" else low >= limit)


@pytest.mark.parametrize("limit", [0.05, 0.1, 0.2, 0.25, 0.6])
def test_no_hit_prompts_are_the_fewest_that_pass(limit: float) -> None:
    n = no_hit_prompts(limit)
    assert n is not None
    assert decides(n, 0, limit, "below")
    assert not decides(n - 1, 0, limit, "below")


def test_no_hit_prompts_of_a_limit_that_no_run_reaches() -> None:
    assert no_hit_prompts(1e-6) is None


@pytest.mark.parametrize(
    ("limit", "rate", "side"),
    [(0.2, 0.1, "below"), (0.2, 0.0, "below"), (0.2, 0.4, "above"), (0.1, 0.2, "above"), (0.4, 0.2, "below")],
)
def test_fixed_prompts_are_the_fewest_with_the_power(limit: float, rate: float, side: str) -> None:
    """Counted out: the chance of the hit counts with which the ordinary interval lies on the right side."""
    n = fixed_prompts(limit, rate, side=side, power=0.8)  # type: ignore[arg-type]
    assert n is not None

    def power(size: int) -> float:
        right = [hits for hits in range(size + 1) if decides(size, hits, limit, side)]
        return float(stats.binom.pmf(right, size, rate).sum())

    assert power(n - 1) < 0.8 if n > 1 else True
    assert all(power(size) >= 0.8 for size in range(n, n + n // 2, max(1, n // 10)))


@settings(deadline=None, max_examples=15)
@given(st.floats(0.05, 0.4), st.floats(0.3, 0.9))
def test_fixed_prompts_grow_with_the_power_that_is_wanted(limit: float, share: float) -> None:
    sizes = [fixed_prompts(limit, limit * share, side="below", power=power) for power in (0.5, 0.8, 0.95)]
    assert sizes == sorted(sizes, key=lambda n: math.inf if n is None else n)


def test_sequential_prompts_are_those_of_the_evidence() -> None:
    """The first simulated run, drawn again, stops where the evidence says."""
    stops = sequential_prompts(0.1, 0.4, side="above", runs=1, seed=4)
    values = np.random.default_rng(4).random((1, 500))[0] < 0.4
    reached = log_evidence(values, 0.1, side="above") >= math.log(40)
    assert stops.tolist() == [int(reached.argmax()) + 1]


def test_sequential_prompts_without_a_hit() -> None:
    assert set(sequential_prompts(0.1, 0.0, side="below", runs=20).tolist()) == {51}


def test_sequential_prompts_seldom_decide_wrongly() -> None:
    stops = sequential_prompts(0.3, 0.3, side="above", runs=100)
    assert (stops <= MOST_PROMPTS).mean() <= 0.025 + 0.04
    assert stops.max() == MOST_PROMPTS + 1


def test_need_of_a_limit() -> None:
    found = need("max", 0.1, rate=0.05, power=0.9)
    assert (found.verdict, found.fixed, found.at_least) == ("pass", 316, 36)
    assert found.median is not None
    assert found.mean is not None
    assert found.most is not None
    assert found.median < found.mean < found.most


def test_need_of_a_lower_limit_is_that_of_the_misses() -> None:
    upper, lower = need("max", 0.25, rate=0.125), need("min", 0.75, rate=0.875)
    assert (lower.verdict, lower.rate) == ("pass", 0.875)
    assert (lower.fixed, lower.median, lower.most, lower.at_least) == (
        upper.fixed,
        upper.median,
        upper.most,
        upper.at_least,
    )


def test_need_of_a_failure_grows_with_the_number_of_limits() -> None:
    one, ten = (need("max", 0.1, rate=0.2, n_limits=n) for n in (1, 10))
    assert one.verdict == ten.verdict == "fail"
    assert one.fixed == ten.fixed
    assert one.median is not None
    assert ten.median is not None
    assert one.median < ten.median


def test_need_next_to_the_limit_is_beyond_any_run() -> None:
    found = need("max", 0.2, rate=0.199)
    assert (found.fixed, found.median, found.mean, found.most) == (None, None, None, None)


@pytest.mark.parametrize(
    ("limit", "rate", "options", "says"),
    [
        (0.1, 0.1, {}, "is the limit itself"),
        (0.0, 0.1, {}, "limit 0.0"),
        (1.0, 0.1, {}, "limit 1.0"),
        (0.1, -0.1, {}, "assumed rate -0.1"),
        (0.1, math.nan, {}, "assumed rate nan"),
        (0.1, 0.2, {"power": 1.0}, "power 1.0"),
        (0.1, 0.2, {"alpha": 0.0}, "alpha 0.0"),
    ],
)
def test_need_of_impossible_numbers_is_refused(limit: float, rate: float, options: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        need("max", limit, rate=rate, **options)  # type: ignore[arg-type]
