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

NESTED_SIZES = (*range(9, 34, 2), 37, 41, 49, 65, 129)
"""How many points the stages of the nested rule have; each holds all points of the one before."""

_FINEST, _COARSE = 128, 64
_DEGREES, _FREE, _FALL, _ANY = 80, 4, 0.08, 1e4
_PAIRS = (
    *(19, 25, 12, 29, 7, 15, 22, 27, 10, 17, 4, 31, 24, 20, 13, 9),
    *(26, 18, 11, 6, 2, 28, 30, 16, 14, 8, 23, 21, 5, 3, 1),
)
"""Places on the grid of 65 points, with their mirror images, in the order in which they are taken."""


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
    The ends and the middle, then pairs about the middle, each pair the one that leaves the least error to expect
    (sequential Bayesian quadrature: Huszar and Duvenaud 2012, "Optimally-weighted herding is Bayesian quadrature",
    section 2.2). Expected is a slope whose Chebyshev coefficients are free up to degree 4 and fall by 8% a degree
    from there, which is what they do on the shipped filter (``docs/design/explain.md``). All 65 are the points of
    Clenshaw and Curtis 1960, and so are all 129: a rule for whatever is not as expected.
    """
    pairs = [place for pair in _PAIRS for place in (pair, _COARSE - pair)]
    coarse = np.array([0, _COARSE, _COARSE // 2, *pairs]) * (_FINEST // _COARSE)
    order = np.concatenate((coarse, np.arange(1, _FINEST, 2)))
    return (1 - np.cos(np.pi * order / _FINEST)) / 2


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
        float64, shape (n,): those that leave the least error to expect, and none for polynomials of degree 4 (O'Hagan
        1991, "Bayes-Hermite quadrature", equation 3); of all 65 or 129 points, none up to degree 64 or 128.
    """
    points = 2 * nested_points()[:n] - 1
    degrees = np.arange(max(n, _DEGREES))
    sizes = np.where(degrees <= _FREE, _ANY, np.exp(-_FALL * np.maximum(0, degrees - _FREE)))
    if n in (_COARSE + 1, _FINEST + 1):
        degrees, sizes = degrees[:n], np.ones(n)
    # Chebyshev polynomials integrate to 2 / (1 - k^2) over [-1, 1] at even degrees, and to 0 at odd ones.
    moments = np.where(degrees % 2 == 0, 1 / (1 - np.where(degrees % 2 == 0, degrees, 0.0) ** 2), 0.0)
    terms = np.polynomial.chebyshev.chebvander(points, len(degrees) - 1).T
    weights: Floats = np.linalg.lstsq(sizes[:, None] * terms, sizes * moments, rcond=None)[0]
    return weights
