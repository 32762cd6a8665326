"""Sign-flip tests: numbers that a reader can check, exactness against brute force, and the level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.permutation import ENUMERATED, PValue, holm, mcnemar, sign_flip


def _brute_force(parts: list[float]) -> float:
    """The share of all sign patterns whose sum is at least as far from zero."""
    observed = abs(sum(parts))
    sums = [
        abs(sum(s * p for s, p in zip(signs, parts, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(parts))
    ]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1, 1, 1, 1, 1, 0, 0], PValue(2 / 32, "exact (McNemar)", 5)),  # five heads or five tails
        ([1, 1, 1, 1, -1], PValue(2 * 6 / 32, "exact (McNemar)", 5)),
        ([1, -1], PValue(1.0, "exact (McNemar)", 2)),
        ([0.0, 0.0], PValue(1.0, "no change", 0)),
        ([], PValue(1.0, "no change", 0)),
        ([1, 2, 4], PValue(2 / 8, "exact", 3)),  # only +++ and --- reach 7
        ([-1, 2, 4], PValue(4 / 8, "exact", 3)),  # 5 and 7, either sign
    ],
)
def test_p_values_that_can_be_counted_by_hand(differences: list[float], expected: PValue) -> None:
    assert sign_flip(differences) == expected


@given(st.lists(st.integers(-4, 4).map(lambda k: k / 5), min_size=1, max_size=10))
def test_any_exact_way_agrees_with_brute_force(differences: list[float]) -> None:
    assert sign_flip(differences).p == pytest.approx(_brute_force(differences), abs=1e-12)


def test_counting_agrees_with_enumeration() -> None:
    rng = np.random.default_rng(1)
    few = rng.integers(-5, 6, ENUMERATED).astype(float)
    few[few == 0] = 3
    many = np.concatenate([few, np.zeros(5), [0.0]])
    enumerated = sign_flip(many)
    # One tiny pair more is one prompt over the limit, and cancels: p barely moves, the way does.
    counted = sign_flip(np.concatenate([few, [1.0, -1.0]]))
    assert (enumerated.method, counted.method) == ("exact", "exact (counted)")
    assert counted.p == pytest.approx(_by_enumeration(np.concatenate([few, [1.0, -1.0]])), abs=1e-12)


def _by_enumeration(parts: np.ndarray) -> float:
    sums = np.zeros(1)
    for part in np.abs(parts):
        sums = np.concatenate((sums + part, sums - part))
    return float(np.mean(np.abs(sums) >= abs(parts.sum()) - 1e-9))


def test_random_patterns_come_close_to_the_exact_share_and_repeat() -> None:
    rng = np.random.default_rng(2)
    parts = rng.normal(0.4, 1.0, ENUMERATED)
    drawn = sign_flip(np.concatenate([parts, [1e-12 * np.pi]]))  # one prompt over the limit that changes nothing
    assert drawn.method == "Monte Carlo"
    assert drawn.p == pytest.approx(sign_flip(parts).p, abs=0.012)
    assert sign_flip(np.concatenate([parts, [1e-12 * np.pi]])) == drawn


def test_random_patterns_never_give_zero() -> None:
    parts = np.random.default_rng(3).normal(5.0, 0.1, 60)
    assert sign_flip(parts, draws=99).p == 1 / 100


def test_weights_scale_each_prompt() -> None:
    assert sign_flip([1, 1, 1], weights=[1, 2, 4]) == sign_flip([1, 2, 4])


@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=12))
def test_swapping_the_sides_changes_nothing(differences: list[float]) -> None:
    assert sign_flip(differences).p == sign_flip([-d for d in differences]).p


def test_mcnemar_takes_arrays() -> None:
    assert mcnemar([5, 0, 3], [0, 0, 3]).tolist() == [2 / 32, 1.0, 1.0]


def test_the_level_is_kept_by_random_patterns_on_skewed_continuous_differences() -> None:
    rng = np.random.default_rng(4)
    draws = rng.exponential(1.0, (400, 40)) - rng.exponential(1.0, (400, 40))
    rejected = sum(sign_flip(row, seed=i, draws=199).p <= 0.05 for i, row in enumerate(draws))
    assert rejected <= 33  # 20 expected, standard deviation 4.4


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x 0.01, then 2 x 0.03, then at least that
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
        ([0.01, 0.01], [0.02, 0.02]),
    ],
)
def test_holm_steps_down(given_values: list[float], expected: list[float]) -> None:
    assert holm(given_values) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, corrected, strict=True))
    ranked = sorted(range(len(values)), key=lambda i: values[i])
    assert all(corrected[a] <= corrected[b] for a, b in itertools.pairwise(ranked))
