"""Quadrature rules: exact where they must be, nested, in the order that their prior asks for."""

from __future__ import annotations

import numpy as np
import pytest

from guard.errors import ConfigError
from guard.explain.filters.quadrature import NESTED_SIZES, Rule, nested_points, nested_weights, points_and_weights


@pytest.mark.parametrize(
    ("rule", "n_steps", "points", "weights"),
    [
        ("gauss-legendre", 2, [0.5 - 12**-0.5, 0.5 + 12**-0.5], [0.5, 0.5]),
        ("riemann-left", 2, [0.0, 0.5], [0.5, 0.5]),
        ("riemann-middle", 2, [0.25, 0.75], [0.5, 0.5]),
        ("riemann-right", 2, [0.5, 1.0], [0.5, 0.5]),
        ("riemann-trapezoid", 3, [0.0, 0.5, 1.0], [1 / 6, 1 / 3, 1 / 6]),
    ],
)
def test_rules_by_hand(rule: Rule, n_steps: int, points: list[float], weights: list[float]) -> None:
    found = points_and_weights(rule, n_steps)
    assert found[0] == pytest.approx(points)
    assert found[1] == pytest.approx(weights)


@pytest.mark.parametrize(("rule", "n_steps"), [("gauss-legendre", 0), ("riemann-trapezoid", 1), ("simpson", 4)])
def test_no_rule_is_refused(rule: Rule, n_steps: int) -> None:
    with pytest.raises(ConfigError, match="give one of gauss-legendre"):
        points_and_weights(rule, n_steps)


def test_nested_points_are_the_grid_once_and_begin_with_the_ends() -> None:
    points = nested_points()
    assert points[:3].tolist() == pytest.approx([0.0, 1.0, 0.5])
    assert sorted(points) == pytest.approx(sorted((1 - np.cos(np.pi * np.arange(129) / 128)) / 2))
    assert all(sorted(points[:n]) == pytest.approx(sorted(1 - points[:n])) for n in NESTED_SIZES)


@pytest.mark.parametrize("n", NESTED_SIZES)
def test_nested_weights_integrate_what_they_promise(n: int) -> None:
    points, weights = nested_points()[:n], nested_weights(n)
    exact = n - 1 if n in (65, 129) else 4
    for degree in range(exact + 1):
        assert weights @ points**degree == pytest.approx(1 / (degree + 1), abs=1e-7)
    assert np.abs(weights).sum() < 1.01


def test_more_points_are_nearer_on_a_curve_like_those_of_filters() -> None:
    random = np.random.default_rng(0)
    errors = dict.fromkeys(NESTED_SIZES, 0.0)
    for _ in range(200):
        sizes = np.exp(-0.08 * np.maximum(0, np.arange(80) - 4))
        curve = np.polynomial.Chebyshev(random.normal(size=80) * sizes)
        whole = (curve.integ()(1) - curve.integ()(-1)) / 2
        for n in NESTED_SIZES:
            errors[n] += float(nested_weights(n) @ curve(2 * nested_points()[:n] - 1) - whole) ** 2 / 200
    assert errors[33] < errors[17] / 10 < errors[9] / 50
    gauss = points_and_weights("gauss-legendre", 16)
    assert np.sqrt(errors[17]) < 0.2
    assert len(gauss[0]) == 16


def test_order_of_the_points_is_the_greedy_one() -> None:
    """Each pair is the one after which the error to expect is least."""
    grid = np.cos(np.pi * np.arange(65) / 64)
    degrees = np.arange(80)
    sizes = np.where(degrees <= 4, 1e4, np.exp(-0.08 * np.maximum(0, degrees - 4)))
    moments = np.where(degrees % 2 == 0, 1 / (1 - np.where(degrees % 2 == 0, degrees, 0.0) ** 2), 0.0)
    terms = sizes[:, None] * np.polynomial.chebyshev.chebvander(grid, 79).T

    def left(places: list[int]) -> float:
        weights = np.linalg.lstsq(terms[:, places], sizes * moments, rcond=None)[0]
        return float(np.square(terms[:, places] @ weights - sizes * moments).sum())

    taken = [0, 64, 32]
    for at in range(3, 25, 2):
        errors = {place: left([*taken, place, 64 - place]) for place in range(1, 32) if place not in taken}
        pair = sorted(round(float(np.arccos(1 - 2 * nested_points()[at + side]) * 64 / np.pi)) for side in (0, 1))
        assert errors[pair[0]] <= min(errors.values()) * (1 + 1e-6)
        taken += [pair[0], 64 - pair[0]]
