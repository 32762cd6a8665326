from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from guard.errors import ConfigError
from guard.harden.zero_sum import Payoffs, equilibrium, exploitability

GAMES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1, allow_subnormal=False))
)


@pytest.mark.parametrize(
    ("payoffs", "value", "defenders", "attackers"),
    [
        ([[0.3]], 0.3, (1.0,), (1.0,)),
        ([[1.0, 0.0], [0.0, 1.0]], 0.5, (0.5, 0.5), (0.5, 0.5)),
        # A saddle point: the second defender is better against everything.
        ([[0.9, 0.6], [0.4, 0.2]], 0.4, (0.0, 1.0), (1.0, 0.0)),
        # By hand: x*0.8 + (1-x)*0.2 = x*0.1 + (1-x)*0.6 gives x = 4/11, value = 4.6/11.
        ([[0.8, 0.1], [0.2, 0.6]], 4.6 / 11, (4 / 11, 7 / 11), (5 / 11, 6 / 11)),
        # Rock, paper, scissors.
        ([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]], 0.5, (1 / 3,) * 3, (1 / 3,) * 3),
    ],
)
def test_equilibrium_of_a_game_that_can_be_solved_by_hand(
    payoffs: list[list[float]], value: float, defenders: tuple[float, ...], attackers: tuple[float, ...]
) -> None:
    found = equilibrium(np.array(payoffs))
    assert found.value == pytest.approx(value)
    assert found.defenders == pytest.approx(defenders)
    assert found.attackers == pytest.approx(attackers)


@given(GAMES)
def test_neither_side_gains_by_leaving_the_equilibrium(payoffs: Payoffs) -> None:
    found = equilibrium(payoffs)
    assert (np.array(found.defenders) @ payoffs).max() == pytest.approx(found.value, abs=1e-6)
    assert (payoffs @ np.array(found.attackers)).min() == pytest.approx(found.value, abs=1e-6)


@given(GAMES)
def test_only_an_equilibrium_cannot_be_exploited(payoffs: Payoffs) -> None:
    assert exploitability(payoffs, equilibrium(payoffs).defenders) == pytest.approx(0, abs=1e-6)
    last = exploitability(payoffs)
    assert last == pytest.approx(payoffs[-1].max() - equilibrium(payoffs).value, abs=1e-9)


@pytest.mark.parametrize("payoffs", [[], [[]], [0.5], [[1.5]], [[float("nan")]], [[-0.1, 0.2]]])
def test_payoffs_that_are_no_shares_are_refused(payoffs: list[object]) -> None:
    with pytest.raises(ConfigError, match="payoffs"):
        equilibrium(np.array(payoffs, dtype=np.float64))


def test_a_mixture_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 probabilities for 2 defenders"):
        exploitability(np.array([[0.1], [0.2]]), (1.0,))
