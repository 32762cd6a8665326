"""Text as it is written: the pieces add up to what generate returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.errors import DataError, GeneratorError
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding

PROMPTS = ["Hi", "The quick brown fox jumps over it", "", "naïve café 🙂", "x" * 70, "y" * 500]
DECODINGS = [Decoding(24, chat=False), Decoding(24, top_p=0.8, chat=False), Decoding(24, 0.0), Decoding(24, 0.7)]


@pytest.fixture(scope="module")
def generator(tiny_llama: Path) -> TransformersGenerator:
    return TransformersGenerator.load(tiny_llama, device="cpu", dtype="bfloat16")


@pytest.mark.parametrize("decoding", DECODINGS)
def test_pieces_add_up_to_the_text_of_generate(generator: TransformersGenerator, decoding: Decoding) -> None:
    generator = generator.with_decoding(decoding)
    for seed, prompt in enumerate(PROMPTS):
        pieces = list(generator.stream(prompt, seed=seed))
        assert "".join(pieces) == generator.generate([prompt], seed=seed)[0]
        assert all(pieces)
    assert len(pieces) > 1


def test_pieces_add_up_in_float32_too(tiny_llama: Path) -> None:
    generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32", decoding=DECODINGS[0])
    for seed in range(4):
        assert "".join(generator.stream("Tell me", seed=seed)) == generator.generate(["Tell me"], seed=seed)[0]


def test_tokens_are_counted_as_generate_counts_them(generator: TransformersGenerator) -> None:
    streamed, whole = (generator.with_decoding(DECODINGS[0]) for _ in range(2))
    list(streamed.stream("Hi", seed=3))
    whole.generate(["Hi"], seed=3)
    assert streamed.n_tokens == whole.n_tokens > 0


def test_closed_stream_stops_generation_at_once(generator: TransformersGenerator) -> None:
    calls: list[int] = []
    handle = generator.model.register_forward_pre_hook(lambda *_: calls.append(1))
    threads = threading.active_count()
    stream = generator.with_decoding(Decoding(200, chat=False)).stream("Hi", seed=0)
    assert isinstance(stream, Iterator)
    assert calls == []  # nothing runs before it is asked
    next(stream)
    before = len(calls)
    stream.close()  # type: ignore[attr-defined]
    handle.remove()
    assert len(calls) == before < 20
    assert threading.active_count() == threads
    assert not torch.is_inference_mode_enabled()


def test_prompt_that_does_not_fit_is_refused(generator: TransformersGenerator) -> None:
    with pytest.raises(DataError, match="the prompt has"):
        next(generator.stream("a" * 5000, seed=0))


class _Broken:
    """A model that fails after its prompts are read."""

    def __init__(self, inner: Any, error: Exception) -> None:
        self._inner, self._error, self._calls = inner, error, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, **inputs: Any) -> Any:
        self._calls += 1
        if self._calls > 2:
            raise self._error
        return self._inner(**inputs)


@pytest.mark.parametrize(
    ("error", "message"),
    [(RuntimeError("boom"), "failed while generating: boom"), (torch.OutOfMemoryError("full"), "memory with one row")],
)
def test_failure_is_a_generator_error(generator: TransformersGenerator, error: Exception, message: str) -> None:
    broken = TransformersGenerator(
        _Broken(generator.model, error), generator.tokenizer, name="broken", decoding=DECODINGS[0]
    )
    with pytest.raises(GeneratorError, match=message):
        list(broken.stream("Hi", seed=0))


def test_model_without_a_growing_cache_streams_in_one_piece(generator: TransformersGenerator) -> None:
    class Fixed(_Broken):
        _supports_default_dynamic_cache = staticmethod(lambda: False)

        def __call__(self, **inputs: Any) -> Any:
            return self._inner(**inputs)

    model = Fixed(generator.model, RuntimeError())
    fixed = TransformersGenerator(model, generator.tokenizer, name="fixed", decoding=DECODINGS[0])
    assert list(fixed.stream("Hi", seed=1)) == fixed.generate(["Hi"], seed=1)
