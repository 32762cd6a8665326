from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from guard.errors import ConfigError
from guard.generators.loading import load_model
from guard.train.generator.examples import collate
from guard.train.generator.token_rows import TokenRow, as_batch, packed
from guard.train.generator.tuned import METHODS, Method, Tuned, Tuning, packing_separates, prepare
from tests.guard.train.generator.parts import examples

ROWS = [TokenRow(tuple(range(k, k + n)), (False, *[True] * (n - 1))) for k, n in ((5, 6), (40, 3), (90, 9))]


def tuned(folder: Path, method: Method, **settings: Any) -> tuple[Tuned, Any]:
    model, tokenizer = load_model(folder, device=torch.device("cpu"), dtype="float32")
    keep = settings.pop("keep_original", False)
    return prepare(model, Tuning(method, rank=4, prompt_tokens=3, **settings), seed=0, keep_original=keep), tokenizer


def moved(one: Tuned) -> None:
    generator = torch.Generator().manual_seed(1)
    one.load({n: v + 0.1 * torch.randn(v.shape, generator=generator) for n, v in one.tensors().items()})


def wanted_nats(model: Any, row: TokenRow) -> torch.Tensor:
    ids = torch.tensor([row.ids])
    with torch.no_grad():
        return functional.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("packing", [False, True])
def test_rows_beside_and_behind_each_other_have_the_loss_that_each_has_alone(
    tiny_llama: Path, method: Method, packing: bool
) -> None:
    one, _ = tuned(tiny_llama, method)
    moved(one)
    packs = packed(ROWS, width=10, budget=64)[0] if packing else [[row] for row in ROWS]
    together = as_batch(packs, pad_id=0)
    ordered = [row for pack in packs for row in pack]
    alone = [one.language_nats(as_batch([[row]], pad_id=0)) for row in ordered]
    assert together.is_packed == packing
    assert torch.allclose(one.language_nats(together), torch.cat(alone), atol=2e-4)
    assert one.language_loss(together).item() == pytest.approx(torch.cat(alone).sum().item(), rel=1e-4)
    if method != "prompt":
        wanted = torch.cat([wanted_nats(one.wrapped, row) for row in ordered])
        assert torch.allclose(torch.cat(alone), wanted, atol=2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_what_stands_before_in_a_packed_row_changes_nothing(tiny_llama: Path, method: Method) -> None:
    one, _ = tuned(tiny_llama, method)
    moved(one)
    n = ROWS[0].n_learnt
    other = TokenRow((200, 201, 202, 203, 204, 205), ROWS[0].learnt)
    first = one.language_nats(as_batch([[ROWS[0], ROWS[2]]], pad_id=0))
    second = one.language_nats(as_batch([[other, ROWS[2]]], pad_id=0))
    assert not torch.allclose(first[:n], second[:n])
    assert torch.equal(first[n:], second[n:])


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_reaches_everything_that_is_trained_and_nothing_else(tiny_llama: Path, method: Method) -> None:
    one, _ = tuned(tiny_llama, method)
    moved(one)
    one.backward(one.language_loss(as_batch([[row] for row in ROWS], pad_id=0)))
    assert all(v.grad is not None and bool((v.grad != 0).any()) for v in one.parameters.values())
    n_trained = sum(value.numel() for value in one.parameters.values())
    n_all = sum(value.numel() for value in one.model.parameters())
    assert (n_trained == n_all) == (method == "full")


def test_the_gradient_is_that_of_the_library(tiny_llama: Path) -> None:
    one, _ = tuned(tiny_llama, "full")
    other, _ = load_model(tiny_llama, device=torch.device("cpu"), dtype="float32")
    one.backward(one.language_loss(as_batch([[row] for row in ROWS], pad_id=0)))
    for row in ROWS:
        ids = torch.tensor([row.ids])
        (other(input_ids=ids, labels=ids).loss * row.n_learnt).backward()
    for name, value in other.named_parameters():
        assert torch.allclose(one.parameters[name].grad, value.grad, atol=1e-3, rtol=1e-3), name


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_is_the_original_whatever_was_learnt(tiny_llama: Path, method: Method) -> None:
    one, tokenizer = tuned(tiny_llama, method, keep_original=True)
    original, _ = tuned(tiny_llama, "lora")
    batch = collate([e for e in examples(tokenizer) if e.kind == "keep"], pad_id=0)
    before = original.logits(batch).detach()
    moved(one)
    real = batch.answered[..., None]
    assert torch.allclose(one.reference(batch) * real, before * real, atol=1e-4)
    assert not torch.allclose(one.logits(batch) * real, before * real, atol=1e-2)


def test_without_a_copy_all_weights_have_no_reference(tiny_llama: Path) -> None:
    one, tokenizer = tuned(tiny_llama, "full")
    with pytest.raises(ConfigError, match="no copy was kept"):
        one.reference(collate(examples(tokenizer)[:1], pad_id=0))
    with pytest.raises(ConfigError, match="no original"), one.untrained():
        pass


@pytest.mark.parametrize("method", ["lora", "full"])
def test_checkpointing_changes_no_gradient(tiny_llama: Path, method: Method) -> None:
    found = []
    for checkpointing in (False, True):
        one, _ = tuned(tiny_llama, method, checkpointing=checkpointing)
        moved(one)
        one.backward(one.language_loss(as_batch([[row] for row in ROWS], pad_id=0)))
        found.append(torch.cat([v.grad.flatten() for v in one.parameters.values() if v.grad is not None]))
    assert torch.allclose(found[0], found[1], atol=1e-4)


def test_a_model_whose_head_is_not_plain_takes_the_long_way(tiny_llama: Path) -> None:
    one, _ = tuned(tiny_llama, "lora")
    batch = as_batch([[row] for row in ROWS], pad_id=0)
    plain = one.language_nats(batch)
    one._plain_head = False
    assert torch.allclose(one.language_nats(batch), plain, atol=1e-4)
    assert one.language_loss(batch).item() == pytest.approx(plain.sum().item(), rel=1e-5)


def test_gpt2_is_trained_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=24, n_layer=1, n_head=2, n_positions=64)).eval()
    one = prepare(model, Tuning("lora", rank=2), seed=0)
    assert one.parameters
    moved(one)
    assert packing_separates(one)


def test_packing_is_tried_before_it_is_trusted(tiny_llama: Path) -> None:
    one, _ = tuned(tiny_llama, "lora")
    assert packing_separates(one)

    class Leaking(Tuned):
        def _separated(self, batch: Any, n_before: int) -> dict[str, Any]:
            return {}

    assert not packing_separates(Leaking(one.wrapped, "lora", attention="eager"))


@pytest.mark.parametrize("wrong", [{"method": "qlora"}, {"rank": 0}, {"alpha": 0.0}, {"prompt_tokens": 0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Tuning(**wrong)
