from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.betting import (
    ODDS_RATIOS,
    WEIGHTS,
    Side,
    confidence_sequence,
    last_interval,
    log_evidence,
    log_factors,
)
from guard.errors import ConfigError, DataError

SIDES: tuple[Side, Side] = ("above", "below")
unit = st.floats(0, 1)
values = st.lists(unit, min_size=1, max_size=40)


def test_capital_is_split_between_the_bets_without_a_rest() -> None:
    assert len(WEIGHTS) == len(ODDS_RATIOS)
    assert WEIGHTS.sum() == pytest.approx(1, abs=1e-12)


def test_log_evidence_of_one_hit_is_the_mean_likelihood_ratio() -> None:
    # A hit is as likely as r / (1 + (r - 1) * 0.1) times what it is at a rate of 0.1, for each odds ratio r.
    expected = sum(w * r / (1 + (r - 1) * 0.1) for w, r in zip(WEIGHTS, ODDS_RATIOS, strict=True))
    assert log_evidence([1.0], 0.1, side="above")[0] == pytest.approx(math.log(expected))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mean", [0.05, 0.5, 0.9])
def test_log_evidence_is_a_fair_bet_at_the_limit(side: Side, mean: float) -> None:
    """Over all outcomes of three prompts, weighed by their chance, the capital stays what it was."""
    outcomes = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    chance = np.prod(np.where(outcomes == 1, mean, 1 - mean), axis=1)
    capital = np.exp(log_evidence(outcomes, mean, side=side))
    assert chance @ capital == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("side", "true"), [("above", 0.2), ("below", 0.4)])
def test_log_evidence_loses_where_the_limit_is_kept(side: Side, true: float) -> None:
    assert true * np.exp(log_evidence([1.0], 0.3, side=side)) + (1 - true) * np.exp(
        log_evidence([0.0], 0.3, side=side)
    ) < [1]


@given(values, unit)
def test_log_evidence_of_misses_mirrors_that_of_hits(rows: list[float], mean: float) -> None:
    mirrored = log_evidence(1 - np.array(rows), 1 - mean, side="above")
    assert log_evidence(rows, mean, side="below") == pytest.approx(mirrored, abs=1e-6)


@given(values, unit, unit)
def test_log_evidence_moves_one_way_with_the_candidate(rows: list[float], one: float, other: float) -> None:
    least, most = sorted((one, other))
    assert (log_evidence(rows, least, side="above") >= log_evidence(rows, most, side="above") - 1e-9).all()
    assert (log_evidence(rows, least, side="below") <= log_evidence(rows, most, side="below") + 1e-9).all()


@given(values, unit, st.randoms())
def test_log_evidence_in_the_end_does_not_depend_on_the_order(rows: list[float], mean: float, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert log_evidence(shuffled, mean, side="below")[-1] == pytest.approx(log_evidence(rows, mean, side="below")[-1])


def test_log_factors_add_up_to_the_evidence() -> None:
    rows = np.array([0.0, 1.0, 0.3, 0.0])
    total = log_factors(rows, 0.2, side="above").sum(axis=0) + np.log(WEIGHTS)
    assert np.logaddexp.reduce(total) == pytest.approx(log_evidence(rows, 0.2, side="above")[-1])


@pytest.mark.parametrize(("limit", "prompts"), [(0.05, 104), (0.1, 51), (0.2, 24), (0.25, 19)])
def test_prompts_without_a_hit_that_settle_a_limit(limit: float, prompts: int) -> None:
    reached = log_evidence(np.zeros(200), limit, side="below") >= math.log(1 / 0.025)
    assert int(reached.argmax()) + 1 == prompts


@pytest.mark.parametrize("n_samples", [1, 25])
@pytest.mark.parametrize("side", SIDES)
def test_evidence_at_the_limit_seldom_reaches_what_it_must(side: Side, n_samples: int) -> None:
    """One in forty at most, at any of 300 looks (Ville's inequality)."""
    rng = np.random.default_rng(3)
    own = np.full((1000, 300), 0.2) if n_samples == 1 else rng.beta(0.2 * 2 / 3, 0.8 * 2 / 3, (1000, 300))
    paths = log_evidence(rng.binomial(n_samples, own) / n_samples, 0.2, side=side)
    assert (paths >= math.log(40)).any(axis=1).mean() <= 0.025


# Confidence sequences


def test_last_interval_without_data_is_everything() -> None:
    assert last_interval([]) == (0.0, 1.0)


@settings(deadline=None, max_examples=50)
@given(values, unit)
def test_confidence_sequence_leaves_out_what_the_evidence_rejects(rows: list[float], mean: float) -> None:
    low, high = confidence_sequence(rows, level=0.95)
    above, below = (np.maximum.accumulate(log_evidence(rows, mean, side=side)) for side in SIDES)
    clear = math.log(2 / 0.05)
    np.testing.assert_array_equal((mean < low)[np.abs(low - mean) > 1e-9], (above >= clear)[np.abs(low - mean) > 1e-9])
    np.testing.assert_array_equal(
        (mean > high)[np.abs(high - mean) > 1e-9], (below >= clear)[np.abs(high - mean) > 1e-9]
    )


@settings(deadline=None, max_examples=50)
@given(values)
def test_confidence_sequence_only_narrows(rows: list[float]) -> None:
    low, high = confidence_sequence(rows)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()
    assert ((low >= 0) & (high <= 1)).all()


def test_confidence_sequence_holds_the_truth_at_all_looks_at_once() -> None:
    rng = np.random.default_rng(5)
    low, high = confidence_sequence((rng.random((400, 150)) < 0.1).astype(float))
    assert ((low <= 0.1) & (high >= 0.1)).all(axis=1).mean() >= 0.95


def test_confidence_sequence_of_equal_fractions_closes_in_on_them() -> None:
    low, high = last_interval([0.3] * 400)
    assert low < 0.3 < high
    assert high - low < 0.1


def test_last_interval_holds_the_mean_where_the_bounds_of_several_looks_cross() -> None:
    rows = [1.0] * 20 + [0.0] * 380
    low, high = confidence_sequence(rows)
    assert low[-1] > high[-1]
    low_now, high_now = last_interval(rows)
    assert low_now < 0.05 < high_now


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_out_of_bounds_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        log_evidence([0.5, value], 0.1, side="above")


@pytest.mark.parametrize("mean", [-0.1, 1.1, math.nan])
def test_a_candidate_out_of_bounds_is_refused(mean: float) -> None:
    with pytest.raises(ConfigError, match="candidate"):
        log_evidence([0.5], mean, side="above")


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_out_of_bounds_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="confidence level"):
        last_interval([], level=level)
