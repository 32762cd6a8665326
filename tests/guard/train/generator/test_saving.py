from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError, OutputError
from guard.generators.loading import folder_digest
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from guard.train.generator.saving import ADAPTER, MERGED, merged_model, require_free, save
from tests.guard.train.generator.parts import adapted, moved

IDS = torch.tensor([[5, 30, 60, 9, 12, 80]])


def test_plain_transformers_opens_the_merged_model_and_gives_the_logits_of_the_updates(
    tiny_llama: Path, tmp_path: Path
) -> None:
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    one, tokenizer = adapted(tiny_llama)
    original = one.model(input_ids=IDS).logits.detach()
    moved(one)
    learnt = one.model(input_ids=IDS).logits.detach()
    save(one, tokenizer, tmp_path / "out", base=tiny_llama, card="# Card\n", record={"seed": 3})
    assert torch.equal(one.model(input_ids=IDS).logits, learnt)  # saving changes nothing

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / MERGED)
    assert torch.allclose(model(input_ids=IDS).logits, learnt, atol=1e-4)
    assert not torch.allclose(learnt, original, atol=0.1)
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / MERGED).chat_template == tokenizer.chat_template

    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with_updates = peft.PeftModel.from_pretrained(base, tmp_path / "out" / ADAPTER)
    assert torch.allclose(with_updates(input_ids=IDS).logits, learnt, atol=1e-4)
    for folder in (ADAPTER, MERGED):
        assert (tmp_path / "out" / folder / "README.md").read_text() == "# Card\n"
        assert json.loads((tmp_path / "out" / folder / "hardening.json").read_text()) == {"seed": 3}
    assert not list(tmp_path.glob(".assay-tmp-*"))


def test_the_merged_model_is_an_ordinary_model_of_ours(tiny_llama: Path, tmp_path: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    moved(one)
    save(one, tokenizer, tmp_path / "out", base=tiny_llama, card="", record={})
    generator = TransformersGenerator.load(tmp_path / "out" / MERGED, device="cpu", decoding=Decoding(4, 0.0))
    assert len(generator.generate(["Hi", "there"], seed=0)) == 2
    assert folder_digest(tmp_path / "out" / MERGED) != folder_digest(tiny_llama)


def test_sums_in_bfloat16_are_rounded_once(tiny_llama: Path) -> None:
    one, _ = adapted(tiny_llama, dtype="bfloat16")
    moved(one)
    merged = merged_model(one)
    assert all(weight.requires_grad for weight in merged.parameters())  # frozen ones are slower on a CPU
    name = "model.layers.0.mlp.up_proj"
    layer = one.wrapped.get_submodule(f"base_model.model.{name}")
    expected = layer.get_base_layer().weight.float() + layer.get_delta_weight("default").float()
    assert torch.equal(merged.get_submodule(name).weight, expected.to(torch.bfloat16))


def test_a_folder_that_holds_something_is_left_alone(tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    one, tokenizer = adapted(tiny_llama)
    with pytest.raises(ConfigError, match="is there already"):
        save(one, tokenizer, tmp_path / "full", base=tiny_llama, card="", record={})
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
    require_free(tmp_path / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save(one, tokenizer, tmp_path / "file" / "inside", base=tiny_llama, card="", record={})
