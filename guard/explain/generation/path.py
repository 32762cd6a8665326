"""The way from nothing to a prompt, cut finer where the gradient does not yet add up to what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from guard.explain.schema import Values

__all__ = ["Node", "Path", "walk"]

# Lobatto's rule of five points: its ends and its middle serve the halves too, so cutting costs six points, not ten.
_POINTS = (0.0, (1 - (3 / 7) ** 0.5) / 2, 0.5, (1 + (3 / 7) ** 0.5) / 2, 1.0)
_SHARES = (1 / 20, 49 / 180, 16 / 45, 49 / 180, 1 / 20)
_PIECES = 4


@dataclass(frozen=True)
class Node:
    """What is known of one point of a path.

    Parameters
    ----------
    number : float
        The function there.
    slopes : ndarray
        float64, shape (n_tokens,): how it changes with each token's way from nothing to the prompt.
    """

    number: float
    slopes: Values


@dataclass
class Path:
    """A straight way between embeddings, in pieces.

    Parameters
    ----------
    start, end : Tensor
        float, shape (n_tokens, hidden).
    tolerance : float
        The pieces' gaps may add up to this share of the whole change.
    most_nodes : int
        Points at which the function may be asked.
    """

    start: Tensor
    end: Tensor
    tolerance: float
    most_nodes: int
    nodes: dict[float, Node] = field(default_factory=dict)
    pieces: list[tuple[float, float]] = field(
        default_factory=lambda: [(at / _PIECES, (at + 1) / _PIECES) for at in range(_PIECES)]
    )

    def at(self, share: float) -> Tensor:
        """Return the embeddings at a share of the way, from 0 to 1."""
        return self.start + share * (self.end - self.start)

    def wanted(self) -> list[float]:
        """Return the points that the pieces need and that are not known."""
        points = {point for piece in self.pieces for point in _places(piece)}
        return sorted(points - self.nodes.keys())

    def refine(self) -> bool:
        """Halve the pieces that miss most; False where all of them fit, or no more points may be asked."""
        gaps = {piece: abs(self._gap(piece)) for piece in self.pieces}
        allowed = self.tolerance * abs(self.nodes[1.0].number - self.nodes[0.0].number)
        excess = sum(gaps.values()) - allowed
        room = (self.most_nodes - len(self.nodes)) // 6
        chosen = []
        for piece in sorted(self.pieces, key=lambda one: (-gaps[one], one))[:room]:
            if excess <= 0:
                break
            chosen.append(piece)
            excess -= gaps[piece]
        for start, end in chosen:
            middle = (start + end) / 2
            self.pieces.remove((start, end))
            self.pieces += [(start, middle), (middle, end)]
        return bool(chosen)

    def values(self) -> Values:
        """Return each token's share of the change; float64, shape (n_tokens,)."""
        return np.asarray(sum(self._integral(piece) for piece in sorted(self.pieces)))

    def _integral(self, piece: tuple[float, float]) -> Values:
        known = [self.nodes[point] for point in _places(piece)]
        total = sum(share * node.slopes for share, node in zip(_SHARES, known, strict=True))
        return np.asarray((piece[1] - piece[0]) * total)

    def _gap(self, piece: tuple[float, float]) -> float:
        """How far the slopes along a piece are from what the function changes by: both are known."""
        changed = self.nodes[piece[1]].number - self.nodes[piece[0]].number
        return float(self._integral(piece).sum() - changed)


def _places(piece: tuple[float, float]) -> list[float]:
    start, end = piece
    return [start, *(start + point * (end - start) for point in _POINTS[1:-1]), end]


def walk(paths: Sequence[Path], ask: Callable[[Sequence[tuple[int, float]]], Sequence[Node]]) -> None:
    """Ask for the points that paths need, all paths together, until each is fine enough.

    Parameters
    ----------
    paths : sequence of Path
    ask : callable
        Gets pairs of a path's place and a share of its way; returns what is known there, in order. How fine a path is
        cut depends on it alone.
    """
    going = list(range(len(paths)))
    while going:
        wanted = [(place, share) for place in going for share in paths[place].wanted()]
        for (place, share), node in zip(wanted, ask(wanted), strict=True):
            paths[place].nodes[share] = node
        going = [place for place in going if paths[place].refine()]
