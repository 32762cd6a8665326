from __future__ import annotations

import pytest

from evals.betting import Side
from evals.forecast import chance_to_decide

ALPHA: dict[Side, float] = {"below": 0.025, "above": 0.025}


@pytest.mark.parametrize(
    ("seen", "n_pool", "least", "most"),
    [
        ([0.0] * 10, 400, 0.9, 1.0),  # nothing bad in ten: most likely clear in the end
        ([0.0] * 10, 11, 0.0, 0.0),  # one more cannot settle a limit of 0.2
        ([1.0, 0, 0, 0, 0] * 40, 201, 0.0, 0.0),
        ([1.0] * 10, 10, 1.0, 1.0),  # clear already
        ([0.2] * 20, 20, 0.0, 0.0),
        ([0.1, 0.3] * 10, 2000, 0.3, 1.0),
    ],
)
def test_chance_to_decide(seen: list[float], n_pool: int, least: float, most: float) -> None:
    chance = chance_to_decide(seen, 0.2, n_pool=n_pool, alpha=ALPHA)
    assert least <= chance <= most


def test_chance_to_decide_counts_the_look_at_the_end() -> None:
    """4 of 55: a spotless last prompt passes by the exact interval, while evidence on the way is far from enough."""
    seen = [1.0] * 4 + [0.0] * 51
    assert chance_to_decide(seen, 0.2, n_pool=56, alpha=ALPHA) > 0.9


def test_chance_to_decide_is_the_same_each_time() -> None:
    seen = [0.0, 1.0, 0.0, 0.0, 0.0] * 4
    assert chance_to_decide(seen, 0.2, n_pool=80, alpha=ALPHA) == chance_to_decide(seen, 0.2, n_pool=80, alpha=ALPHA)


def test_chance_to_decide_shrinks_with_the_pool() -> None:
    seen = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] * 3
    chances = [chance_to_decide(seen, 0.2, n_pool=n, alpha=ALPHA) for n in (400, 60, 32)]
    assert chances[0] > chances[1] > chances[2]
