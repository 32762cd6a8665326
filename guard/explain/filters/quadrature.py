"""Where on a straight path gradients are taken, and with which weights they are summed."""

from __future__ import annotations

import functools
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError

__all__ = ["NESTED_SIZES", "Rule", "nested_points", "nested_weights", "points_and_weights"]

Floats = npt.NDArray[np.float64]

Rule = Literal["gauss-legendre", "riemann-left", "riemann-middle", "riemann-right", "riemann-trapezoid"]

NESTED_SIZES = (*range(9, 21), 22, 24, 26, 29, 33, 65, 129)
"""How many points the stages of the nested rule have; each holds all points of the one before."""

_FINEST, _COARSE = 128, 64
_ORDER = (
    *(0, 64, 31, 22, 16, 26, 41, 19, 11),
    *(23, 28, 34, 24, 53, 21, 30, 14, 6, 17, 37, 47, 25, 32, 27, 20, 18, 29, 8, 46, 40, 36, 52, 12),
)
"""Places on the grid of 65 points, in the order in which they are taken; the others follow in their own order."""

_FREE, _NOISE = 2, 1e-5


def points_and_weights(rule: Rule, n_steps: int) -> tuple[Floats, Floats]:
    """Return the points in [0, 1] and the weights of a quadrature rule.

    Parameters
    ----------
    rule : Rule
        The trapezoid's outer steps weigh ``1 / (2 n_steps)``, as Captum has it, so its weights sum to
        ``1 - 1 / n_steps``; those of the others sum to 1.
    n_steps : int
        At least 1; of the trapezoid at least 2.

    Returns
    -------
    points, weights : ndarray
        float64, shape (n_steps,).

    Raises
    ------
    ConfigError
        An unknown rule, or too few steps.

    Notes
    -----
    Gauss-Legendre with n points is exact for polynomials of degree 2 n - 1. The sums over equal steps are equation 3
    of Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", with the points at one end or the middle
    of their step.
    """
    fewest = 2 if rule == "riemann-trapezoid" else 1
    if rule not in get_args(Rule) or n_steps < fewest:
        raise ConfigError(f"rule {rule!r} with {n_steps} steps: give one of {', '.join(get_args(Rule))} and 2 or more")
    if rule == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(n_steps)
        return (points + 1) / 2, weights / 2
    weights = np.full(n_steps, 1 / n_steps)
    if rule == "riemann-trapezoid":
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, n_steps), weights
    shift = {"riemann-left": 0.0, "riemann-middle": 0.5, "riemann-right": 1.0}[rule]
    return (np.arange(n_steps) + shift) / n_steps, weights


@functools.cache
def nested_points() -> Floats:
    """Return the points of the nested rule in the order in which they are taken: float64, shape (129,), in [0, 1].

    Notes
    -----
    The ends first. With seven more they are the nine that leave the least error to expect, which no exchange of one of
    them makes smaller, and from there on each is the one that leaves the least (sequential Bayesian quadrature: Huszar
    and Duvenaud 2012, "Optimally-weighted herding is Bayesian quadrature", section 2.2). Expected is what
    :func:`_expected` says of slopes. All 65 are the points of Clenshaw and Curtis 1960, and so are all 129: a rule for
    whatever is not as expected.
    """
    rest = [place for place in range(_COARSE + 1) if place not in _ORDER]
    coarse = np.array([*_ORDER, *rest]) * (_FINEST // _COARSE)
    points: Floats = _grid(_FINEST)[np.concatenate((coarse, np.arange(1, _FINEST, 2)))]
    return points


@functools.cache
def nested_weights(n: int) -> Floats:
    """Return the weights of the first `n` nested points.

    Parameters
    ----------
    n : int
        One of :data:`NESTED_SIZES`.

    Returns
    -------
    ndarray
        float64, shape (n,): those that leave the least error to expect, and none for polynomials of degree 2 (O'Hagan
        1991, "Bayes-Hermite quadrature", equation 3); of all 65 or 129 points, none up to degree 64 or 128.
    """
    points = nested_points()[:n]
    if n in (_COARSE + 1, _FINEST + 1):
        return _interpolating(points)
    grid = _grid(_COARSE)
    whole = _interpolating(grid)
    kernel = _expected(points, points) + _NOISE * np.mean(np.diag(_expected(grid, grid))) * np.eye(n)
    powers = np.polynomial.chebyshev.chebvander(2 * points - 1, _FREE)
    system = np.block([[kernel, powers], [powers.T, np.zeros((_FREE + 1, _FREE + 1))]])
    moments = np.concatenate((_expected(points, grid) @ whole, _moments(_FREE + 1)))
    weights: Floats = np.linalg.solve(system, moments)[:n]
    return weights


def _expected(x: Floats, y: Floats) -> Floats:
    """Return how slopes at `x` go with slopes at `y`: float64, shape (len(x), len(y)).

    Notes
    -----
    On the way from masks to a text little happens near the text, and most between a tenth and a half of the way. So
    the kernel, Matern's with 7/2, has a bump for its scale, and the coordinate it is of runs fast at first and slowly
    later on. The numbers are those under which the slopes of the shipped filter on 390 texts of training splits are
    most likely, rounded (``docs/design/explain.md``).
    """
    scales = [0.2 + np.exp(-(((at - 0.27) / 0.15) ** 2)) for at in (x, y)]
    # The integral of 1.7 + 9 / (1 + exp((at - 0.55) / 0.08)).
    ways = [10.7 * at - 0.72 * np.log1p(np.exp((at - 0.55) / 0.08)) for at in (x, y)]
    r = np.sqrt(7) * np.abs(ways[0][:, None] - ways[1])
    matern: Floats = (1 + r + 2 * r**2 / 5 + r**3 / 15) * np.exp(-r)
    return np.outer(*scales) * matern


def _grid(n: int) -> Floats:
    """Return the n + 1 points of Clenshaw and Curtis in [0, 1]."""
    grid: Floats = (1 - np.cos(np.pi * np.arange(n + 1) / n)) / 2
    return grid


def _interpolating(points: Floats) -> Floats:
    """Return the weights that integrate every polynomial that the points can tell apart."""
    terms = np.polynomial.chebyshev.chebvander(2 * points - 1, len(points) - 1)
    return np.linalg.solve(terms.T, _moments(len(points))).astype(np.float64)


def _moments(n: int) -> Floats:
    """Return the means over [-1, 1] of the first `n` Chebyshev polynomials: 1 / (1 - k^2) at even degrees, else 0."""
    degrees = np.arange(n)
    even = np.where(degrees % 2 == 0, degrees, 0)
    return np.where(degrees % 2 == 0, 1 / (1 - even.astype(np.float64) ** 2), 0.0)
