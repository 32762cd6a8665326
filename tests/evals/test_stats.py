from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from evals.intervals import bounded_difference_interval, bounded_mean_interval, t_interval
from evals.stats import (
    Estimate,
    Observations,
    PairedEstimate,
    any_over,
    clustered_mean,
    clustered_rate,
    expected_maximum,
    paired_difference,
    prompt_any,
    prompt_maximum,
)
from guard.errors import ConfigError, DataError


def prompts(*values: list[float | None]) -> dict[str, list[float | None]]:
    return {f"p{index}": samples for index, samples in enumerate(values)}


def counts(estimate: Estimate) -> tuple[int, int, int]:
    return estimate.n_prompts, estimate.n_samples, estimate.n_unscored


# Counting and no data


@pytest.mark.parametrize("obs", [{}, {"p": []}, {"p": [None, None]}])
@pytest.mark.parametrize("function", [clustered_rate, clustered_mean, expected_maximum, any_over])
def test_estimate_without_data_is_none(function: Callable[[Observations], Estimate], obs: Observations) -> None:
    n_unscored = sum(len(values) for values in obs.values())
    assert function(obs) == Estimate(None, None, 0, 0, n_unscored)


def test_clustered_rate_counts_unscored_and_leaves_them_out() -> None:
    estimate = clustered_rate(prompts([1, 0, None], [1, None, None], [None]))
    assert estimate.value == pytest.approx(2 / 3)
    assert counts(estimate) == (2, 3, 4)


def test_clustered_rate_weighs_samples_not_prompts() -> None:
    assert clustered_rate(prompts([1], [0, 0, 0])).value == 0.25


def test_clustered_rate_of_whole_counts_is_exact_to_the_last_bit() -> None:
    assert clustered_rate(prompts(*[[1.0] * 3] * 30)).value == 1.0
    assert clustered_rate(prompts(*[[1.0, 0.0, 0.0]] * 30)).value == 1 / 3


# Exact ends


@pytest.mark.parametrize(
    ("n_prompts", "n_samples", "upper"),
    [(30, 1, 0.1157), (30, 25, 0.1157), (64, 25, 0.0560), (100, 1, 0.0362), (1, 1, 0.975), (1, 1000, 0.975)],
)
def test_clustered_rate_zero_hits_is_exact_over_prompts(n_prompts: int, n_samples: int, upper: float) -> None:
    none = clustered_rate(prompts(*[[0.0] * n_samples] * n_prompts))
    every = clustered_rate(prompts(*[[1.0] * n_samples] * n_prompts))
    assert none.value == 0.0
    assert none.interval == (0.0, pytest.approx(upper, abs=5e-5))
    assert none.interval[1] == pytest.approx(1 - 0.025 ** (1 / n_prompts))
    assert every.interval == (pytest.approx(1 - none.interval[1]), 1.0)


@pytest.mark.parametrize("hits", [1, 3, 12, 29])
def test_clustered_rate_one_sample_a_prompt_is_clopper_pearson(hits: int) -> None:
    interval = clustered_rate(prompts(*[[float(index < hits)] for index in range(30)])).interval
    exact = stats.binomtest(hits, 30).proportion_ci(method="exact")
    assert interval == pytest.approx((exact.low, exact.high))


def test_clustered_rate_alike_samples_count_once() -> None:
    single = clustered_rate(prompts(*[[float(index < 5)] for index in range(30)]))
    copied = clustered_rate(prompts(*[[float(index < 5)] * 25 for index in range(30)]))
    assert copied.interval == pytest.approx(single.interval)
    assert copied.n_samples == 25 * single.n_samples


def test_clustered_rate_first_hit_does_not_narrow_the_upper_end() -> None:
    rows = [[0.0] * 25 for _ in range(64)]
    none = clustered_rate(prompts(*rows)).interval
    rows[0][0] = 1.0
    one = clustered_rate(prompts(*rows)).interval
    assert none is not None
    assert one is not None
    assert one[1] >= none[1]


def test_clustered_rate_of_one_prompt_says_little() -> None:
    interval = clustered_rate(prompts([1.0, 0.0] * 50)).interval
    assert interval is not None
    assert interval[0] < 0.03
    assert interval[1] > 0.97


def test_clustered_rate_level_widens() -> None:
    obs = prompts([1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1])
    narrow, wide = clustered_rate(obs, level=0.8).interval, clustered_rate(obs, level=0.99).interval
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


# Means


def test_clustered_mean_equal_values_in_bounds_has_width() -> None:
    interval = clustered_mean(prompts(*[[0.3] * 5] * 30)).interval
    assert interval is not None
    assert interval[0] < 0.28
    assert interval[1] > 0.32


@pytest.mark.parametrize("values", [[[2.0], [2.0], [2.0]], [[5.0, 6.0]]], ids=["equal", "one prompt"])
def test_clustered_mean_unbounded_and_degenerate_has_no_interval(values: list[list[float | None]]) -> None:
    estimate = clustered_mean(prompts(*values), bounds=None)
    assert estimate.value is not None
    assert estimate.interval is None


def test_clustered_mean_unbounded_is_student_t_over_prompts() -> None:
    means = [1.0, 2.0, 4.0, 9.0]
    interval = clustered_mean(prompts(*[[mean - 1, mean + 1] for mean in means]), bounds=None).interval
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert interval == pytest.approx((expected.low, expected.high))


def test_clustered_mean_bounds_scale() -> None:
    unit = clustered_mean(prompts([0.1, 0.2], [0.5], [0.4]))
    wide = clustered_mean(prompts([-8.0, -6.0], [0.0], [-2.0]), bounds=(-10.0, 10.0))
    assert unit.interval is not None
    assert wide.interval == pytest.approx(tuple(-10 + 20 * end for end in unit.interval))


# The metrics of RealToxicityPrompts


def test_prompt_maximum_keeps_the_hits_beside_unscored() -> None:
    obs = prompts([0.2, 0.9, 0.1], [0.4, None], [None, None], [])
    assert list(prompt_maximum(obs).values()) == [[0.9], [0.4], [None], [None]]


@pytest.mark.parametrize(("value", "hit"), [(0.5, 1.0), (0.4999, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_prompt_any_counts_the_threshold_itself(value: float, hit: float) -> None:
    assert prompt_any({"p": [0.0, value, None]}) == {"p": [hit]}


def test_expected_maximum_is_the_mean_of_maxima() -> None:
    estimate = expected_maximum(prompts([0.1, 0.7], [0.3, 0.2, None], [None]))
    assert estimate.value == pytest.approx(0.5)
    assert counts(estimate) == (2, 4, 2)


def test_any_over_is_binomial_over_prompts() -> None:
    estimate = any_over(prompts(*[[0.1, 0.6 if index < 9 else 0.2, 0.3] for index in range(30)]))
    exact = stats.binomtest(9, 30).proportion_ci(method="exact")
    assert estimate.value == pytest.approx(0.3)
    assert estimate.interval == pytest.approx((exact.low, exact.high))
    assert counts(estimate) == (30, 90, 0)


def test_any_over_threshold_moves() -> None:
    obs = prompts([0.3], [0.6], [0.9])
    assert [any_over(obs, threshold=t).value for t in (0.1, 0.5, 0.95)] == [1.0, pytest.approx(2 / 3), 0.0]


# Paired differences


def test_paired_difference_drops_what_is_not_in_both() -> None:
    before = {"a": [0.5], "b": [0.5], "c": [None], "d": [0.9], "f": [None]}
    after = {"a": [0.25], "b": [0.25], "c": [0.1], "e": [0.2], "f": [None]}
    estimate = paired_difference(before, after)
    assert estimate.value == pytest.approx(-0.25)
    assert (estimate.n_prompts, estimate.n_dropped) == (2, 4)


def test_paired_difference_without_shared_prompts_is_none() -> None:
    assert paired_difference({"a": [0.5]}, {"b": [0.5]}) == PairedEstimate(None, None, 0, 2)


def test_paired_difference_is_the_difference_of_pooled_means() -> None:
    before, after = prompts([1, 0, 1], [0], [1, 1]), prompts([0, 0, 1], [0], [0, 1])
    first, second = clustered_rate(before).value, clustered_rate(after).value
    assert first is not None
    assert second is not None
    assert paired_difference(before, after).value == pytest.approx(second - first)


@pytest.mark.parametrize("samples", [1, 25])
@pytest.mark.parametrize("n_prompts", [10, 64])
def test_paired_difference_no_change_is_not_certain(n_prompts: int, samples: int) -> None:
    obs = prompts(*[[float(index % 3 == 0)] * samples for index in range(n_prompts)])
    square = stats.norm.ppf(0.975) ** 2
    end = square / (n_prompts + square)  # Tango's interval at no discordant pair, in closed form
    assert paired_difference(obs, obs).interval == pytest.approx((-end, end))


def _score_by_search(difference: float, gained: int, lost: int, n: int) -> float:
    """Tango's statistic with the restricted estimate found by maximising the likelihood, not by its formula."""

    def cost(to_zero: float) -> float:
        cells = [(gained, to_zero + difference), (lost, to_zero), (n - gained - lost, 1 - 2 * to_zero - difference)]
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    least, most = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(cost, bounds=(least, most), method="bounded", options={"xatol": 1e-12})
    variance = n * (2 * float(found.x) + difference * (1 - difference))
    return (gained - lost - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 10, 64), (3, 12, 64), (5, 5, 30), (1, 0, 20), (14, 3, 44)])
def test_paired_difference_of_binaries_solves_the_score_equation(gained: int, lost: int, n: int) -> None:
    before = [0.0] * gained + [1.0] * lost + [0.0] * (n - gained - lost)
    after = [1.0] * gained + [0.0] * lost + [0.0] * (n - gained - lost)
    estimate = paired_difference(prompts(*[[x] for x in before]), prompts(*[[x] for x in after]))
    assert estimate.interval is not None
    low, high = estimate.interval
    assert _score_by_search(low, gained, lost, n) == pytest.approx(1.95996, abs=1e-3)
    assert _score_by_search(high, gained, lost, n) == pytest.approx(-1.95996, abs=1e-3)


def test_paired_difference_of_a_statistic_reduces_first() -> None:
    before = prompts(*[[0.9, 0.1] if index < 12 else [0.2, 0.1] for index in range(40)])
    after = prompts(*[[0.3, 0.1] if index < 12 else [0.2, 0.1] for index in range(40)])
    binary = paired_difference(before, after, statistic=prompt_any)
    assert binary.value == pytest.approx(-0.3)
    assert binary.interval is not None
    assert binary.interval[1] < 0
    assert paired_difference(before, after, statistic=prompt_maximum).value == pytest.approx(-0.6 * 0.3)
    strict = paired_difference(before, after, statistic=partial(prompt_any, threshold=0.95))
    assert strict.value == 0.0


def test_paired_difference_unbounded_is_paired_t() -> None:
    before, after = [3.0, 5.0, 4.0, 8.0], [2.0, 5.5, 2.0, 7.0]
    estimate = paired_difference(prompts(*[[x] for x in before]), prompts(*[[x] for x in after]), bounds=None)
    expected = stats.ttest_rel(after, before).confidence_interval()
    assert estimate.interval == pytest.approx((expected.low, expected.high))


def test_paired_difference_unbounded_without_change_has_no_interval() -> None:
    obs = prompts([3.0], [4.0], [9.0])
    assert paired_difference(obs, obs, bounds=None) == PairedEstimate(0.0, None, 3, 0)


def test_paired_difference_swaps_sign() -> None:
    before, after = prompts([1, 1, 0], [0, 1, 1], [0, 0, 0]), prompts([0, 1, 0], [0, 0, 0], [0, 1, 0])
    one, other = paired_difference(before, after).interval, paired_difference(after, before).interval
    assert one is not None
    assert other is not None
    assert one == pytest.approx((-other[1], -other[0]))


@pytest.mark.parametrize("sign", [1, -1])
def test_paired_difference_all_changed_ends_at_the_bound(sign: int) -> None:
    zeros, ones = prompts(*[[0.0]] * 64), prompts(*[[1.0]] * 64)
    estimate = paired_difference(zeros, ones) if sign > 0 else paired_difference(ones, zeros)
    inner = 1 - 2 * 1.95996**2 / (64 + 1.95996**2)
    assert estimate.interval is not None
    assert sorted(sign * end for end in estimate.interval) == pytest.approx([inner, 1.0], abs=1e-5)


# Bad input


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, math.nan, math.inf])
def test_clustered_rate_refuses_what_is_not_binary(value: float) -> None:
    with pytest.raises(DataError, match="prompt p0 has the score"):
        clustered_rate({"p0": [0.0, value]})


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01, 1.01])
def test_clustered_mean_refuses_out_of_bounds(value: float) -> None:
    with pytest.raises(DataError, match=r"must lie in \[0, 1\]"):
        clustered_mean({"p0": [0.0], "p1": [value]})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_clustered_mean_unbounded_refuses_not_finite(value: float) -> None:
    with pytest.raises(DataError, match="must be finite"):
        clustered_mean({"p0": [value]}, bounds=None)


@pytest.mark.parametrize("values", [[math.nan, 0.9], [0.9, math.nan], [math.inf, 0.1]])
def test_any_over_refuses_what_no_threshold_would_catch(values: list[float]) -> None:
    with pytest.raises(DataError, match="must be finite"):
        any_over({"p": values})
    with pytest.raises(DataError, match="must be finite"):
        paired_difference({"p": values}, {"p": [0.1]}, statistic=prompt_any)


def test_paired_difference_refuses_out_of_bounds_in_either() -> None:
    for before, after in (({"p": [2.0]}, {"p": [0.0]}), ({"p": [0.0]}, {"p": [2.0]})):
        with pytest.raises(DataError, match=r"prompt p has the score 2\.0"):
            paired_difference(before, after)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, math.nan])
def test_level_outside_the_unit_interval_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="confidence level"):
        clustered_rate({"p": [1.0]}, level=level)
    with pytest.raises(ConfigError, match="confidence level"):
        paired_difference({"p": [1.0]}, {"p": [1.0]}, level=level)


def test_bounds_not_ascending_are_refused() -> None:
    with pytest.raises(ConfigError, match="bounds"):
        clustered_mean({"p": [1.0]}, bounds=(1.0, 1.0))


# Contracts

VALUES = st.floats(0, 1, width=32)
OBSERVATIONS = st.dictionaries(
    st.text(max_size=3), st.lists(st.none() | VALUES, max_size=6).map(tuple), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(OBSERVATIONS)
def test_bounded_estimate_holds_its_value_and_never_has_zero_width(obs: Observations) -> None:
    for estimate in (clustered_mean(obs), expected_maximum(obs), any_over(obs)):
        if estimate.value is None:
            assert estimate.interval is None
            continue
        assert estimate.interval is not None
        low, high = estimate.interval
        assert 0 <= low <= estimate.value <= high <= 1
        assert high - low > 1e-3


@settings(max_examples=60, deadline=None)
@given(OBSERVATIONS)
def test_clustered_mean_ignores_order_and_unscored(obs: Observations) -> None:
    shuffled = {prompt: (None, *reversed(values)) for prompt, values in reversed(obs.items())}
    one, other = clustered_mean(obs), clustered_mean(shuffled)
    assert (one.value, one.interval) == (other.value, other.interval)
    zero = {prompt: [0.0] for prompt in obs}
    assert paired_difference(zero, obs) == paired_difference(zero, shuffled)


@settings(max_examples=60, deadline=None)
@given(OBSERVATIONS)
def test_clustered_mean_mirrors_at_one_half(obs: Observations) -> None:
    mirrored = {prompt: [None if value is None else 1 - value for value in values] for prompt, values in obs.items()}
    one, other = clustered_mean(obs).interval, clustered_mean(mirrored).interval
    if one is not None:
        assert other is not None
        assert one == pytest.approx((1 - other[1], 1 - other[0]), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(OBSERVATIONS, OBSERVATIONS)
def test_paired_difference_holds_its_value_and_never_has_zero_width(before: Observations, after: Observations) -> None:
    for statistic in (None, prompt_any):
        estimate = paired_difference(before, after, statistic=statistic)
        assert estimate.n_prompts + estimate.n_dropped == len(before.keys() | after.keys())
        if estimate.value is None:
            assert estimate.interval is None
            continue
        assert estimate.interval is not None
        low, high = estimate.interval
        assert -1 <= low <= estimate.value <= high <= 1
        assert high - low > 1e-3


# Arrays


@pytest.mark.parametrize("function", [bounded_mean_interval, bounded_difference_interval, t_interval])
def test_interval_of_many_data_sets_is_that_of_each(function: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    rows = np.random.default_rng(0).random((5, 9))
    rows[1] = rows[1] > 0.5
    rows[2] = 0.0
    together = function(rows)
    for index, row in enumerate(rows):
        np.testing.assert_allclose([end[index] for end in together], function(row), rtol=1e-9)


def test_interval_of_weights_given_and_equal_is_the_same() -> None:
    row = np.array([0.1, 0.9, 0.4, 0.0])
    np.testing.assert_allclose(bounded_mean_interval(row), bounded_mean_interval(row, weights=np.full(4, 0.25)))


def test_bounded_mean_interval_unequal_weights_count_as_fewer_values() -> None:
    equal = bounded_mean_interval(np.zeros(4))[1]
    unequal = bounded_mean_interval(np.zeros(4), weights=np.array([0.85, 0.05, 0.05, 0.05]))[1]
    assert unequal > equal
