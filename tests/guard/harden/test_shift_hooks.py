"""Adversaries in embedding space: steps and balls by hand, gradients against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from guard.harden.batch import Batch, task_loss
from guard.harden.freelb import FreeLBHook
from guard.harden.shifts import along, divergence, masked_norms, within
from guard.harden.smart import SmartHook
from guard.harden.virtual import VirtualHook
from tests.guard.harden.tiny_model import TinyModel, batch_of

BATCH = batch_of(("so very bad", 1.0), ("good", 0.0))


def test_a_step_has_its_length_and_the_ball_its_radius() -> None:
    gradient = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert along(gradient, torch.tensor([10.0, 1.0])).tolist() == [[[6.0, 0.0], [0.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert within(gradient, torch.tensor([2.5, 1.0]))[0].tolist() == [[1.5, 0.0], [0.0, 2.0]]
    assert within(gradient, torch.tensor([9.0, 1.0])).equal(gradient)
    mask = torch.tensor([[True, False], [True, True]])
    assert masked_norms(gradient, mask).tolist() == [3.0, 0.0]


def test_divergence_is_that_of_two_coins() -> None:
    fair, other = torch.tensor([[0.0]]), torch.tensor([[math.log(3)]])
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert float(divergence(fair, other)) == pytest.approx(expected)
    assert float(divergence(other, other)) == pytest.approx(0, abs=1e-7)


def _difference(value: Callable[[TinyModel], float], model: TinyModel, eps: float = 1e-6) -> list[float]:
    """Central differences of a number by each weight of the model."""
    found = []
    with torch.no_grad():
        for at in range(2):
            ends = []
            for sign in (1, -1):
                model.w[at] += sign * eps
                ends.append(value(model))
                model.w[at] -= sign * eps
            found.append((ends[0] - ends[1]) / (2 * eps))
    return found


def _grads(model: TinyModel) -> list[float]:
    assert model.w.grad is not None
    return [float(value) for value in model.w.grad]


def test_freelb_without_a_shift_is_the_plain_gradient_once() -> None:
    model = TinyModel(c=0.3)
    assert FreeLBHook(steps=3, step_size=0.0, radius=0.0, weight=0.5).on_batch(BATCH, model) is BATCH

    def plain(model: TinyModel) -> float:
        tokens = model.tokens(BATCH.texts)
        return 0.5 * float(task_loss(model.logits(model.embed(tokens), tokens.mask), BATCH))

    assert _grads(model) == pytest.approx(_difference(plain, model), abs=1e-7)


def test_freelb_steps_where_the_loss_rises_and_averages_its_passes() -> None:
    model, seen = TinyModel((1.0, 0.0)), []
    read = model.logits

    def spy(embedded: Tensor, mask: Tensor) -> Tensor:
        seen.append(embedded.detach().clone())
        return read(embedded, mask)

    model.logits = spy  # type: ignore[method-assign]
    harmful = batch_of(("bad", 1.0))
    FreeLBHook(steps=3, step_size=0.25, radius=0.3, weight=1.0).on_batch(harmful, model)
    shifts = [one[0, 0] - torch.tensor([2.0, 0.0]) for one in seen]
    # The start lies in the box inside the ball of radius 0.3 * |(2, 0)|; each step goes towards less toxic, and ends on
    # the sphere: -0.6 along the only direction that the model looks at, but for what is left of the start.
    assert float(shifts[0].norm()) <= 0.6 + 1e-9
    assert float(shifts[1][0]) < float(shifts[0][0])
    assert float(shifts[2].norm()) == pytest.approx(0.6)
    # The gradient of -log sigmoid(w . x) by w is -(1 - p) x: the mean over the three passes.
    expected = torch.stack([-(1 - torch.sigmoid(one[0, 0, 0])) * one[0, 0] for one in seen]).mean(dim=0)
    assert _grads(model) == pytest.approx(expected.tolist())


def test_freelb_leaves_padding_alone() -> None:
    model, seen = TinyModel(), []
    read = model.logits

    def spy(embedded: Tensor, mask: Tensor) -> Tensor:
        seen.append((embedded.detach().clone(), mask))
        return read(embedded, mask)

    model.logits = spy  # type: ignore[method-assign]
    FreeLBHook(steps=2).on_batch(BATCH, model)
    assert all(float(embedded[~mask].abs().sum()) == 0 for embedded, mask in seen)


def test_smart_goes_the_way_that_changes_the_answer_most() -> None:
    model = TinyModel((1.0, 0.0))
    text = batch_of(("very", 1.0))
    SmartHook(radius=0.2, spread=1e-4, steps=2, weight=2.0).on_batch(text, model)
    x, length = 0.5, 0.2 * math.sqrt(0.5)
    # The model sees the first number alone, so the adversary moves it by the whole radius, up or down.
    candidates = []
    for sign in (1, -1):

        def penalty(model: TinyModel, sign: int = sign) -> float:
            still, moved = (
                torch.stack([model.w.detach() @ torch.tensor([x + shift, 0.5], dtype=torch.float64)])[:, None]
                for shift in (0.0, sign * length)
            )
            return 2 * float(divergence(still, moved) + divergence(moved, still))

        candidates.append(_difference(penalty, model))
    found = _grads(model)
    assert any(found == pytest.approx(expected, rel=2e-3, abs=1e-5) for expected in candidates)


def _virtual_direction(model: TinyModel, batch: Batch, **settings: float) -> Tensor:
    hook = VirtualHook(seed=1, radius=0.2, probe=1e-3, **settings)  # type: ignore[arg-type]
    tokens = model.tokens(batch.texts)
    embedded = model.embed(tokens)
    still = model.logits(embedded, tokens.mask).detach()
    return hook.adversary(model, tokens, embedded, still)


def test_virtual_adversary_is_the_first_eigenvector_of_the_hessian() -> None:
    # The Hessian of the divergence at zero is p (1 - p) g g' with g the gradient of the log-odds: its first eigenvector
    # is g itself, here w for a text of one word.
    shift = _virtual_direction(TinyModel((3.0, 4.0)), batch_of(("very", 1.0)))[0, 0]
    length = 0.2 * math.sqrt(0.5)
    assert shift.abs().tolist() == pytest.approx([0.6 * length, 0.8 * length], rel=1e-3)
    assert float(shift[0] * shift[1]) > 0


def test_virtual_training_holds_the_answer_still() -> None:
    model = TinyModel((1.0, 0.0))
    hook = VirtualHook(unlabelled=("very",), radius=0.2, probe=1e-3, weight=3.0)
    assert hook.on_batch(BATCH, model) is BATCH
    still = torch.tensor([[0.5]], dtype=torch.float64)  # w . (0.5, 0.5) before any change
    length = 0.2 * math.sqrt(0.5)
    candidates = []
    for sign in (1, -1):

        def penalty(model: TinyModel, sign: int = sign) -> float:
            moved = model.w.detach() @ torch.tensor([0.5 + sign * length, 0.5], dtype=torch.float64)
            return 3 * float(divergence(still, moved[None, None]))

        candidates.append(_difference(penalty, model))
    found = _grads(model)
    assert any(found == pytest.approx(expected, rel=1e-3, abs=1e-6) for expected in candidates)


@pytest.mark.parametrize("hook", [FreeLBHook(seed=5), SmartHook(seed=5), VirtualHook(seed=5)], ids=repr)
def test_the_same_seed_gives_the_same_gradients(hook: FreeLBHook | SmartHook | VirtualHook) -> None:
    model, twin = TinyModel(c=0.2), TinyModel(c=0.2)
    again = type(hook)(seed=5)
    hook.on_batch(BATCH, model)
    again.on_batch(BATCH, twin)
    assert _grads(model) == _grads(twin)
