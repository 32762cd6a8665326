"""What a game came to, for the terminal, the page and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evals.harden_filter.figures import Change
from evals.harden_guard.figures import Standing
from evals.schema import Check, Outcome

__all__ = ["GameResult"]


@dataclass(frozen=True)
class GameResult:
    """A game that was played and measured.

    Parameters
    ----------
    filter, category : str
        The filter before the first round.
    threshold : float
    out : pathlib.Path
    seed : int
    strategies : tuple of str
        The pool, in the order of its columns.
    payoffs : tuple of tuple of float
        Success on held-out rows, one row a defender.
    standings : tuple of Standing
        One a defender.
    weights : tuple of tuple of float
        Shares of the pool in the training of each round.
    changes : tuple of Change
    outcome : Outcome
    sentence : str
    checks : tuple of Check
    n_rows : tuple of int
        To train on, to choose by, to measure on.
    """

    filter: str
    category: str
    threshold: float
    out: Path
    seed: int
    strategies: tuple[str, ...]
    payoffs: tuple[tuple[float, ...], ...]
    standings: tuple[Standing, ...]
    weights: tuple[tuple[float, ...], ...]
    changes: tuple[Change, ...]
    outcome: Outcome
    sentence: str
    checks: tuple[Check, ...]
    n_rows: tuple[int, int, int]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values only."""
        return {
            **asdict(self),
            "out": str(self.out),
            "outcome": self.outcome.name,
            "checks": [{**asdict(check), "outcome": check.outcome.name} for check in self.checks],
        }
