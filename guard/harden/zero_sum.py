"""Equilibria of a zero-sum game between defenders and attackers, from the attackers' success against each defender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError

__all__ = ["Equilibrium", "Payoffs", "equilibrium", "exploitability"]

Payoffs = npt.NDArray[np.float64]
"""float64, shape (n_defenders, n_attackers): success of each attacker against each defender, in [0, 1]."""


@dataclass(frozen=True)
class Equilibrium:
    """A pair of mixtures from which neither side gains by leaving alone.

    Parameters
    ----------
    value : float
        Attack success when both play their mixture.
    defenders, attackers : tuple of float
        Probabilities in the order of rows and of columns, each summing to 1.
    """

    value: float
    defenders: tuple[float, ...]
    attackers: tuple[float, ...]


def equilibrium(payoffs: Payoffs) -> Equilibrium:
    """Solve the game; the defender chooses a row to keep success low, the attacker a column to make it high.

    Parameters
    ----------
    payoffs : Payoffs
        At least one row and one column.

    Raises
    ------
    ConfigError
        The matrix is empty, or has a value that is not in [0, 1].

    Notes
    -----
    The minimax theorem as a linear program (von Neumann 1928; Dantzig 1951): the attacker's mixture is the solution of
    the dual.

    Examples
    --------
    >>> import numpy as np
    >>> pennies = equilibrium(np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> pennies.value, pennies.defenders
    (0.5, (0.5, 0.5))
    """
    from scipy.optimize import linprog

    table = _checked(payoffs)
    n_rows, n_columns = table.shape
    # Minimise v such that no column makes more than v of the mixture of rows: x'A <= v, sum(x) = 1.
    solved: Any = linprog(
        c=[*[0.0] * n_rows, 1.0],
        A_ub=np.hstack([table.T, -np.ones((n_columns, 1))]),
        b_ub=np.zeros(n_columns),
        A_eq=[[*[1.0] * n_rows, 0.0]],
        b_eq=[1.0],
        bounds=[*[(0.0, 1.0)] * n_rows, (0.0, 1.0)],
        method="highs",
    )
    return Equilibrium(
        float(solved.x[-1]), _mixture(solved.x[:-1]), _mixture(-np.asarray(solved.ineqlin.marginals, dtype=np.float64))
    )


def exploitability(payoffs: Payoffs, defenders: tuple[float, ...] | None = None) -> float:
    """Return how much success a best response has over the value of the game against a mixture of defenders.

    Parameters
    ----------
    payoffs : Payoffs
        With every attacker that could respond as a column.
    defenders : tuple of float, optional
        A probability a row; the last row alone by default.

    Returns
    -------
    float
        In [0, 1]; 0 when the mixture is the defender's part of an equilibrium.

    Raises
    ------
    ConfigError
        As :func:`equilibrium`, or as many probabilities as rows were not given.

    Notes
    -----
    The defender's term of NashConv (Lanctot et al. 2017, "A Unified Game-Theoretic Approach to Multiagent
    Reinforcement Learning", section 2.1).
    """
    table = _checked(payoffs)
    mixture = np.eye(len(table))[-1] if defenders is None else np.asarray(defenders, dtype=np.float64)
    if mixture.shape != (len(table),):
        raise ConfigError(f"{len(mixture)} probabilities for {len(table)} defenders: give one for each")
    return max(0.0, float((mixture @ table).max()) - equilibrium(table).value)


def _checked(payoffs: Payoffs) -> Payoffs:
    table = np.asarray(payoffs, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ConfigError(f"payoffs of shape {table.shape}: give one row a defender and one column an attacker")
    if not ((table >= 0) & (table <= 1)).all():
        raise ConfigError("payoffs outside [0, 1] or not a number: give shares of attacks that succeed")
    return table


def _mixture(weights: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Clear what the solver leaves of rounding; a game in which all attackers are alike may give no prices at all."""
    kept = np.clip(weights, 0.0, None)
    total = float(kept.sum())
    shares = kept / total if total > 0 else np.full(len(kept), 1 / len(kept))
    return tuple(float(share) for share in shares)
