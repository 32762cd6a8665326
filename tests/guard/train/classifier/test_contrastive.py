"""The supervised contrastive loss: values by hand, gradients by finite differences, and what it must not see."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.train.classifier.contrastive import supervised_contrastive

RIGHT, UP = (1.0, 0.0), (0.0, 1.0)


def _loss(states: list[tuple[float, float]], labels: list[int], temperature: float = 1.0) -> float:
    return float(
        supervised_contrastive(torch.tensor(states, dtype=torch.float64), torch.tensor(labels), temperature=temperature)
    )


def test_two_rows_of_one_label_have_nothing_to_lose() -> None:
    assert _loss([RIGHT, UP], [1, 1]) == pytest.approx(0.0)  # the only other row is the positive


def test_value_by_hand_with_one_stranger() -> None:
    # Rows 0 and 1 point the same way (likeness 1), row 2 is at a right angle (likeness 0) and has no positive.
    assert _loss([RIGHT, RIGHT, UP], [1, 1, 0]) == pytest.approx(-math.log(math.e / (math.e + 1)))
    # At temperature 1/2 the likenesses are 2 and 0.
    assert _loss([RIGHT, RIGHT, UP], [1, 1, 0], 0.5) == pytest.approx(-math.log(math.e**2 / (math.e**2 + 1)))


def test_value_by_hand_with_two_positives_is_their_mean_outside_the_logarithm() -> None:
    # Row 0: positives 1 (likeness 1) and 2 (likeness 0), stranger 3 (likeness 0).
    row0 = -(1 + 0) / 2 + math.log(math.e + 1 + 1)
    row1 = row0
    row2 = -(0 + 0) / 2 + math.log(1 + 1 + math.e)  # its stranger points its way
    assert _loss([RIGHT, RIGHT, UP, UP], [1, 1, 1, 0]) == pytest.approx((row0 + row1 + row2) / 3)


def test_no_row_with_another_of_its_label_is_no_loss_and_no_gradient() -> None:
    states = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = supervised_contrastive(states, torch.tensor([0, 1]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert states.grad is not None
    assert torch.equal(states.grad, torch.zeros(2, 3, dtype=torch.float64))


def test_gradient_equals_finite_differences() -> None:
    states = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    labels = torch.tensor([0, 1, 0, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: supervised_contrastive(x, labels, temperature=0.3), (states,))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=8), st.integers(0, 1000), st.floats(0.5, 20))
def test_order_and_length_of_states_do_not_matter(labels: list[int], seed: int, length: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(len(labels), 5, dtype=torch.float64, generator=generator)
    order = torch.randperm(len(labels), generator=generator)
    found = supervised_contrastive(states, torch.tensor(labels))
    moved = supervised_contrastive(states[order] * length, torch.tensor(labels)[order])
    assert float(found) == pytest.approx(float(moved), abs=1e-9)
    assert float(found) >= 0 or math.isclose(float(found), 0, abs_tol=1e-12)


def test_a_lone_row_is_finite() -> None:
    states = torch.ones(1, 3, requires_grad=True)
    loss = supervised_contrastive(states, torch.tensor([1]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert states.grad is not None
    assert bool(torch.isfinite(states.grad).all())


def test_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        supervised_contrastive(torch.ones(2, 2), torch.tensor([0, 1]), temperature=0.0)
