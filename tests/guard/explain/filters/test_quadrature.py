"""Quadrature rules: exact where they must be, nested, in the order that their prior asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
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
    assert points[:2].tolist() == pytest.approx([0.0, 1.0])
    assert sorted(points) == pytest.approx(sorted((1 - np.cos(np.pi * np.arange(129) / 128)) / 2))
    assert sorted(points[:65]) == pytest.approx(sorted((1 - np.cos(np.pi * np.arange(65) / 64)) / 2))


@pytest.mark.parametrize("n", NESTED_SIZES)
def test_nested_weights_integrate_what_they_promise(n: int) -> None:
    points, weights = nested_points()[:n], nested_weights(n)
    exact = n - 1 if n in (65, 129) else 2
    for degree in range(exact + 1):
        assert weights @ points**degree == pytest.approx(1 / (degree + 1), abs=1e-7)
    assert np.abs(weights).sum() < 1.1


def _expected() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the grid, and how slopes on it go together: written down a second time, the coordinate by summing."""
    grid = (1 - np.cos(np.pi * np.arange(65) / 64)) / 2
    fine = np.linspace(0, 1, 20_001)
    rate = 1.7 + 9 / (1 + np.exp((fine - 0.55) / 0.08))
    way = np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * (fine[1] - fine[0]))))
    r = 7**0.5 * np.abs(np.subtract.outer(*2 * [np.interp(grid, fine, way)]))
    scale = 0.2 + np.exp(-(((grid - 0.27) / 0.15) ** 2))
    return grid, np.outer(scale, scale) * (1 + r + 2 * r**2 / 5 + r**3 / 15) * np.exp(-r)


def test_more_points_are_nearer_on_slopes_as_expected_of_filters() -> None:
    grid, kernel = _expected()
    curves = np.linalg.cholesky(kernel + 1e-9 * np.eye(65)) @ np.random.default_rng(0).normal(size=(65, 400))
    order = [int(np.abs(grid - point).argmin()) for point in nested_points()[:65]]
    whole = nested_weights(65) @ curves[order]
    off = {n: np.std(nested_weights(n) @ curves[order[:n]] - whole) for n in NESTED_SIZES if n < 65}
    assert off[9] < 0.012
    assert off[33] < off[20] / 4 < off[9] / 40
    points, weights = points_and_weights("gauss-legendre", 12)
    gauss = [np.interp(points, grid, curve) @ weights for curve in curves.T]
    assert off[9] < np.std(gauss - whole)


def test_order_of_the_points_is_the_greedy_one() -> None:
    """No exchange makes the first nine better, and each that follows is the one after which least error is left."""
    grid, kernel = _expected()
    kernel += 1e-5 * np.trace(kernel) / 65 * np.eye(65)
    order = [int(np.abs(grid - point).argmin()) for point in nested_points()[:33]]
    integral = np.empty(65)
    integral[[int(np.abs(grid - point).argmin()) for point in nested_points()[:65]]] = nested_weights(65)
    terms = np.polynomial.chebyshev.chebvander(2 * grid - 1, 2)

    def left(some: list[int]) -> float:
        system = np.block([[kernel[np.ix_(some, some)], terms[some]], [terms[some].T, np.zeros((3, 3))]])
        weights = np.zeros(65)
        weights[some] = np.linalg.solve(system, np.concatenate((kernel[some] @ integral, terms.T @ integral)))[:-3]
        return float((weights - integral) @ kernel @ (weights - integral))

    others = [place for place in range(65) if place not in order[:9]]
    nine = left(order[:9])
    for at in range(2, 9):
        assert all(left([*order[:at], *order[at + 1 : 9], place]) >= nine * (1 - 1e-6) for place in others)
    for n in range(9, 25):
        best = min(left([*order[:n], place]) for place in range(65) if place not in order[:n])
        assert left(order[: n + 1]) <= best * (1 + 1e-6)
