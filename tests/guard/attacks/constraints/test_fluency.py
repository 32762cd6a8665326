"""Perplexities against the model's own loss, and the ratio that a candidate may have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from guard.attacks.constraints.fluency import FluentEnough, Perplexities
from guard.attacks.schema import Check
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from guard.generators.transformers import TransformersGenerator

TEXTS = ["a fine day", "", "x", "a much longer text that is cut into more tokens than the others are"]


@pytest.fixture(scope="module")
def perplexities(tiny_llama: Path) -> Perplexities:
    generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32")
    return Perplexities(generator.model, generator.tokenizer, name=generator.name)


def test_perplexity_is_the_models_own_loss(perplexities: Perplexities) -> None:
    model, tokenizer = perplexities._model, perplexities._tokenizer
    for text, found in zip(TEXTS, perplexities.of(TEXTS), strict=True):
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        if ids.shape[1] == 1:
            assert found == 1.0
            continue
        with torch.inference_mode():
            assert found == pytest.approx(math.exp(float(model(input_ids=ids, labels=ids).loss)), rel=1e-4)


def test_rows_do_not_depend_on_their_batch_and_are_kept(perplexities: Perplexities) -> None:
    fresh = Perplexities(perplexities._model, perplexities._tokenizer, name="x")
    assert [fresh.of([text])[0] for text in TEXTS] == pytest.approx(perplexities.of(TEXTS), rel=1e-5)
    fresh._model = None  # another pass would fail
    assert len(fresh.of(TEXTS * 2)) == 8


def test_candidates_over_the_ratio_go(perplexities: Perplexities) -> None:
    original = AttackedText.of("a fine day")
    candidates = [original.replace(1, word) for word in ("nice", "zqzqz", "bad", "x")]
    base, *found = perplexities.of([original.text, *(text.text for text in candidates)])
    limit = sorted(found)[1] / base  # two pass
    ratio = max(1.0, limit)
    (kept,) = FluentEnough(perplexities, ratio).keep([Check(original, original, candidates)])
    assert kept == [text for text, value in zip(candidates, found, strict=True) if value <= ratio * base]
    assert 0 < len(kept) < 4


def test_a_ratio_below_1_is_refused(perplexities: Perplexities) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        FluentEnough(perplexities, 0.5)
