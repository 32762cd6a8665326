"""Cosines of sentence embeddings: paraphrases over other topics, the same in any batch, English only."""

from __future__ import annotations

import numpy as np
import pytest

from evals.scorers.similarity import SentenceEncoder
from guard.errors import AssetError, FilterError

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    try:
        return SentenceEncoder.load()
    except AssetError as error:
        pytest.skip(f"the asset minilm cannot be had: {error}")


def test_paraphrase_is_nearer_than_another_topic(encoder: SentenceEncoder) -> None:
    same, other, equal = encoder.similarity(
        ["The film was far too long.", "The film was far too long.", "Yes."],
        ["That movie went on forever.", "Add two eggs to the flour.", "Yes."],
    )
    assert same is not None
    assert other is not None
    assert same > 0.5 > 0.2 > other
    assert equal == pytest.approx(1.0, abs=1e-6)


def test_embedding_is_that_of_transformers(encoder: SentenceEncoder) -> None:
    """The model card's recipe: mean of the last states over the tokens, then unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from guard import assets

    folder = assets.path("minilm")
    texts = ["This is an example sentence", "Each sentence is converted"]
    inputs = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    mean = (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(mean, dim=-1).numpy()
    assert encoder.embed(texts) == pytest.approx(expected, abs=1e-5)


def test_embedding_does_not_depend_on_its_neighbours(encoder: SentenceEncoder) -> None:
    texts = ["short", "a much longer text about nothing in particular, " * 6, "the cat sat", ""]
    together = encoder.embed(texts)
    assert together.shape == (4, 384)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-6)
    for row, text in zip(together, texts, strict=True):
        assert (encoder.embed([text])[0] == row).all()


def test_what_cannot_be_read_is_unscored(encoder: SentenceEncoder) -> None:
    answers = ["你好，今天天气很好", None, "  ", "42", "a \ud800 lone surrogate"]
    found = encoder.similarity(answers, ["hello", "hello", "hello", "42", "a lone surrogate"])
    assert found[:3] == [None, None, None]
    assert found[3] == pytest.approx(1.0, abs=1e-6)
    assert found[4] is not None


def test_broken_folder_is_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(FilterError, match="cannot read"):
        SentenceEncoder.load(tmp_path_factory.mktemp("empty"))
