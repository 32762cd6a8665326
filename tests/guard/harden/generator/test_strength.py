from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError
from guard.harden.generator.strength import strongest
from guard.train.generator.examples import collate
from tests.guard.train.generator.parts import adapted, examples, moved


def _distance(one: object, batch: object) -> float:
    return float((one.logits(batch) - one.reference(batch)).abs().mean().detach())  # type: ignore[attr-defined]


def test_it_is_the_largest_factor_whose_cost_is_borne(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    moved(one)
    batch = collate([e for e in examples(tokenizer) if e.kind == "keep"], pad_id=0)
    trained = one.tensors()
    whole = _distance(one, batch)
    seen: list[float] = []

    def cost() -> float:
        seen.append(_distance(one, batch))
        return seen[-1]

    factor = strongest(one, cost, most=whole / 2, tries=6)
    assert 0 < factor < 1
    assert seen[0] == whole
    assert len(seen) == 6
    assert _distance(one, batch) <= whole / 2 < min(value for value in seen if value > whole / 2)
    for name, value in one.tensors().items():
        assert torch.equal(value, trained[name] * factor if "lora_B" in name else trained[name])


def test_what_costs_nothing_stays_and_what_always_costs_too_much_goes(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    moved(one)
    trained = one.tensors()
    assert strongest(one, lambda: 0.0, most=0.0) == 1.0
    assert all(torch.equal(value, trained[name]) for name, value in one.tensors().items())
    assert strongest(one, lambda: 1.0, most=0.5, tries=3) == 0.0
    batch = collate([e for e in examples(tokenizer) if e.kind == "keep"], pad_id=0)
    assert torch.equal(one.logits(batch), one.reference(batch))
    with pytest.raises(ConfigError):
        strongest(one, lambda: 0.0, most=0.0, tries=0)
