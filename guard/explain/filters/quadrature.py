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

NESTED_SIZES = (9, 17, 33, 65, 129)
"""How many points the stages of the nested rule have; each holds all points of the one before."""

_FINEST = 128


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
    Those of Clenshaw and Curtis 1960, "A method for numerical integration on an automatic computer", from coarse to
    fine: the first 9, 17, 33, 65 and 129 are their rule with so many points, so nothing is computed twice. On the
    shipped filter 17 of them leave the gap of 16 points of Gauss and Legendre (``docs/design/explain.md``); sizes in
    between bring nothing over the smaller one.
    """
    order, level = [0, _FINEST], _FINEST
    while level > 1:
        order += range(level // 2, _FINEST, level)
        level //= 2
    return (1 - np.cos(np.pi * np.array(order) / _FINEST)) / 2


@functools.cache
def nested_weights(n: int) -> Floats:
    """Return the weights of the first `n` nested points, by the moments that they have to meet.

    Parameters
    ----------
    n : int
        One of :data:`NESTED_SIZES`.

    Returns
    -------
    ndarray
        float64, shape (n,), positive, summing to 1.
    """
    points = 2 * nested_points()[:n] - 1
    degrees = np.arange(n)
    # Chebyshev polynomials integrate to 2 / (1 - k^2) over [-1, 1] at even degrees, and to 0 at odd ones.
    moments = np.where(degrees % 2 == 0, 1 / (1 - np.where(degrees % 2 == 0, degrees, 0.0) ** 2), 0.0)
    return np.linalg.solve(np.polynomial.chebyshev.chebvander(points, n - 1).T, moments).astype(np.float64)
