"""The sentence encoder: mean pooling against a plain computation, batches, and the real one's sense of meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from guard import assets
from guard.attacks.sentences import SentenceEncoder
from guard.errors import AssetError, FilterError
from tests.guard.filters.tiny_bert import tokenizer, write_tiny_bert

TEXTS = ["you are kind", "", "i hate the weather", "you " * 100, "\ud800 lone"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def test_vectors_are_the_mean_of_the_states_at_length_1(folder: Path) -> None:
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = torch.tensor([tokenizer(folder).encode(TEXTS[0]).ids])
    with torch.inference_mode():
        mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()
    (found,) = SentenceEncoder.load(folder).vectors([TEXTS[0]])
    assert np.allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_row_does_not_depend_on_its_batch_and_repeats_are_not_run_again(folder: Path) -> None:
    encoder = SentenceEncoder.load(folder)
    alone = np.concatenate([SentenceEncoder.load(folder).vectors([text]) for text in TEXTS])
    assert np.allclose(encoder.vectors(TEXTS), alone, atol=1e-6)
    encoder._weights = {"embeddings.position_embeddings.weight": torch.zeros((1, 24))}  # another pass would fail
    assert np.allclose(encoder.vectors(TEXTS[::-1] * 2), np.concatenate([alone[::-1]] * 2), atol=1e-6)
    assert encoder.vectors([]).shape == (0, 24)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="BERT"):
        SentenceEncoder.load(tmp_path)


@pytest.mark.model
def test_the_real_encoder_tells_paraphrase_from_other_matters() -> None:
    try:
        assets.path("minilm")
    except AssetError as error:
        pytest.skip(str(error))
    one, same, other = SentenceEncoder.load().vectors(
        ["The film was great.", "I loved the movie.", "Trains to Rome leave hourly."]
    )
    assert one @ same > 0.6
    assert one @ other < 0.3
