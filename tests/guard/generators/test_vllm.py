"""vLLM's own engine does not run here: a stand-in with the part of its interface that is used takes its place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.vllm import VllmGenerator
from guard.schema import Decoding, Generator


@dataclass
class SamplingParams:
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


class LLM:
    """Says what it was asked, as vllm.LLM would be."""

    def __init__(self, model: str, *, dtype: str, trust_remote_code: bool) -> None:
        if "broken" in model:
            raise RuntimeError("no config.json\nin it")
        self.loaded = (model, dtype, trust_remote_code)
        self.template: str | None = "{{ messages }}"

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(chat_template=self.template)

    def generate(self, prompts: Sequence[str], params: Sequence[SamplingParams], *, use_tqdm: bool) -> list[Any]:
        if any("fail" in prompt for prompt in prompts):
            raise RuntimeError("out of memory")
        return [_output(f"raw {p} {one}") for p, one in zip(prompts, params, strict=True)]

    def chat(self, chats: Sequence[Any], params: Sequence[SamplingParams], *, use_tqdm: bool) -> list[Any]:
        return [_output(f"chat {chat[0]['content']} {one.seed}") for chat, one in zip(chats, params, strict=True)]


def _output(text: str) -> Any:
    return SimpleNamespace(outputs=[SimpleNamespace(text=text, token_ids=[1, 2, 3])])


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


@pytest.mark.usefixtures("vllm")
def test_each_row_has_its_own_seed() -> None:
    generator = VllmGenerator.load("folder", digest="ab" * 32)
    assert isinstance(generator, Generator)
    assert (generator.name, generator.batch_size) == ("vllm@abababababab", 256)
    assert generator.generate(["a", "b"], seed=[5, 6]) == ["chat a 5", "chat b 6"]
    assert generator.n_tokens == 6
    assert generator.generate([], seed=0) == []


@pytest.mark.usefixtures("vllm")
def test_raw_prompts_are_continued_with_the_decoding() -> None:
    raw = VllmGenerator.load("folder", digest="ab").with_decoding(Decoding(9, temperature=0.5, top_p=0.8, chat=False))
    (text,) = raw.generate(["a\ud800"], seed=3)
    assert text == "raw a? SamplingParams(temperature=0.5, top_p=0.8, max_tokens=9, seed=3)"


@pytest.mark.usefixtures("vllm")
def test_failures_are_one_line() -> None:
    with pytest.raises(DataError, match=r"cannot load the folder broken: no config\.json in it"):
        VllmGenerator.load("broken", digest="ab")
    raw = VllmGenerator.load("folder", digest="ab").with_decoding(Decoding(9, chat=False))
    with pytest.raises(GeneratorError, match="out of memory"):
        raw.generate(["fail"], seed=0)


def test_without_vllm_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"pip install vllm.*endpoint:URL#MODEL"):
        VllmGenerator.load("folder", digest="ab")
