from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from guard.train.generator import language_loss
from guard.train.generator.language_loss import chunked_nats, token_nats


@pytest.mark.parametrize("chunk", [1, 3, 512])
@pytest.mark.parametrize("biased", [False, True])
def test_loss_and_gradients_are_those_of_the_whole_product(
    monkeypatch: pytest.MonkeyPatch, chunk: int, biased: bool
) -> None:
    monkeypatch.setattr(language_loss, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=generator) for shape in ((7, 5), (11, 5), (11,))]
    labels = torch.randint(11, (7,), generator=generator)
    ours, theirs = ([value.clone().requires_grad_() for value in made] for _ in range(2))
    found = chunked_nats(ours[0], ours[1], labels, ours[2] if biased else None)
    logits = functional.linear(theirs[0], theirs[1], theirs[2] if biased else None)
    wanted = functional.cross_entropy(logits, labels, reduction="sum")
    (found * 0.25).backward()
    (wanted * 0.25).backward()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    for one, other in zip(ours[: 2 + biased], theirs, strict=False):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-6)
    each = token_nats(made[0], made[1], labels, made[2] if biased else None)
    assert torch.allclose(each, functional.cross_entropy(logits.detach(), labels, reduction="none"), atol=1e-5)


def test_a_frozen_head_gets_no_gradient_and_nothing_is_nothing() -> None:
    hidden, head = torch.randn(4, 3).requires_grad_(), torch.randn(6, 3)
    chunked_nats(hidden, head, torch.tensor([0, 1, 2, 3])).backward()
    assert hidden.grad is not None
    assert head.grad is None
    assert token_nats(hidden[:0], head, torch.tensor([], dtype=torch.long)).tolist() == []
