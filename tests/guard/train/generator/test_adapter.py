from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError, DataError
from guard.train.generator.adapter import AdapterSettings
from guard.train.generator.examples import collate
from guard.train.generator.objective import Objective
from guard.train.generator.terms import Leash, Likelihood, Preference
from tests.guard.train.generator.parts import adapted, examples, moved


def test_nothing_is_changed_at_the_start(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    objective = Objective([Leash(), Preference()], pad_id=tokenizer.pad_token_id)
    losses = objective.measure(one, examples(tokenizer))
    assert losses["leash"] == 0.0
    assert losses["preference"] == pytest.approx(0.6931472)
    moved(one)
    assert objective.measure(one, examples(tokenizer))["leash"] > 0.01


def test_the_reference_is_the_original_whatever_was_learnt(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    batch = collate([e for e in examples(tokenizer) if e.kind == "keep"], pad_id=0)
    before = one.logits(batch).detach()
    moved(one)
    assert torch.equal(one.reference(batch), before)
    assert not torch.allclose(one.logits(batch), before)


def test_logits_are_those_of_the_labels_whatever_the_padding(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    moved(one)
    kept = [e for e in examples(tokenizer) if e.kind == "keep"]
    together = one.logits(collate(kept, pad_id=0))
    for row, example in enumerate(kept):
        whole = one.model(input_ids=torch.tensor([[*example.prompt, *example.answer]])).logits[0]
        n = len(example.answer)
        assert torch.allclose(together[row, -n:], whole[-n - 1 : -1], atol=1e-4)


def test_losses_do_not_depend_on_how_examples_were_batched(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    moved(one)
    found = {}
    for budget in (1, 60, 4096):
        objective = Objective([Likelihood(), Leash(weight=0.5)], pad_id=0, budget=budget)
        for value in one.parameters.values():
            value.grad = None
        losses = objective.learn(one, examples(tokenizer))
        gradient = torch.cat([v.grad.flatten() for v in one.parameters.values() if v.grad is not None])
        found[budget] = (losses["total"], gradient)
        assert losses["total"] == pytest.approx(losses["likelihood"] + 0.5 * losses["leash"])
    assert found[1][0] == pytest.approx(found[4096][0], rel=1e-4) == pytest.approx(found[60][0], rel=1e-4)
    assert torch.allclose(found[1][1], found[4096][1], atol=1e-4)


def test_lower_layers_stay_as_they_are_where_asked(tiny_llama: Path) -> None:
    one, _ = adapted(tiny_llama, first_layer=0.5)
    assert one.parameters
    assert all(".layers.1." in name for name in one.parameters)


def test_a_model_in_bfloat16_learns_in_float32(tiny_llama: Path) -> None:
    one, _ = adapted(tiny_llama, dtype="bfloat16")
    assert {value.dtype for value in one.parameters.values()} == {torch.float32}
    assert {v.dtype for v in one.wrapped.parameters()} == {torch.bfloat16}


def test_the_seed_decides_where_updates_start_and_leaves_other_draws_alone(tiny_llama: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (adapted(tiny_llama, seed=seed)[0].tensors() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_updates_of_another_model_are_refused(tiny_llama: Path) -> None:
    one, _ = adapted(tiny_llama)
    with pytest.raises(DataError, match="not of this model"):
        one.load({name: value[:1] for name, value in one.tensors().items()})
    with pytest.raises(ConfigError):
        AdapterSettings(rank=0)
