"""The way from nothing to a prompt: exact where it can be, cut only where it misses, and no finer than allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from guard.explain.generation.path import Node, Path, walk


def _path(tolerance: float = 0.05, most: int = 161) -> Path:
    return Path(torch.zeros(1, 1), torch.ones(1, 1), tolerance, most)


def _along(function: Callable[[float], float], slope: Callable[[float], float], path: Path) -> list[float]:
    """Walk a function of one token with one number; return the points that were asked."""
    asked: list[float] = []

    def ask(wanted: Sequence[tuple[int, float]]) -> list[Node]:
        asked.extend(share for _, share in wanted)
        assert [float(path.at(share)[0, 0]) for _, share in wanted] == pytest.approx([share for _, share in wanted])
        return [Node(function(share), np.array([slope(share)])) for _, share in wanted]

    walk([path], ask)
    return asked


def test_polynomial_is_exact_without_a_cut() -> None:
    path = _path(tolerance=0.0, most=17)
    asked = _along(lambda x: x**7 + x, lambda x: 7 * x**6 + 1, path)
    assert len(asked) == len(set(asked)) == 17
    assert path.values()[0] == pytest.approx(2.0, abs=1e-12)


def test_steep_step_is_cut_where_it_is() -> None:
    path = _path()
    asked = _along(lambda x: math.tanh(80 * (x - 0.3)), lambda x: 80 / math.cosh(80 * (x - 0.3)) ** 2, path)
    change = math.tanh(80 * 0.7) - math.tanh(80 * -0.3)
    assert abs(path.values()[0] - change) <= 0.05 * change
    assert len(asked) == len(set(asked)) < 100
    assert sum(abs(x - 0.3) < 0.1 for x in asked) > 2 * 0.2 * len(asked)  # twice as dense as even points


def test_points_are_not_more_than_allowed() -> None:
    path = _path(tolerance=1e-12, most=40)
    asked = _along(lambda x: math.sin(90 * x), lambda x: 90 * math.cos(90 * x), path)
    assert len(asked) <= 40


def test_paths_do_not_wait_for_each_other() -> None:
    paths, asked = [_path(), _path()], [0, 0]

    def ask(wanted: Sequence[tuple[int, float]]) -> list[Node]:
        for place, _ in wanted:
            asked[place] += 1
        return [
            Node(x, np.ones(1))
            if place == 0
            else Node(math.tanh(80 * (x - 0.3)), np.array([80 / math.cosh(80 * (x - 0.3)) ** 2]))
            for place, x in wanted
        ]

    walk(paths, ask)
    assert asked[0] == 17 < asked[1]
    walk([], ask)
