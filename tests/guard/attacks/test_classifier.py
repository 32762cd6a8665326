"""A Hugging Face classifier as a victim, over families of tiny random models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from guard.attacks.classifier import ClassifierVictim
from guard.attacks.schema import WhiteBox
from guard.errors import ConfigError
from tests.guard.filters.tiny_classifier import LENGTH, write_tiny_classifier

FAMILIES = ["bert", "roberta", "distilbert", "llama"]
TEXTS = ["you are awful", "nice day", "you are nice, you are awful, you are nice", "x" * 200, "a"]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = ("A", "B", "C")
    return write_tiny_classifier(tmp_path_factory.mktemp(request.param), family=request.param, labels=labels)


def test_probabilities_are_the_models_own(folder: Path) -> None:
    victim = ClassifierVictim.load(folder, device="cpu")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH)
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            expected.append(model(**inputs).logits.softmax(dim=1)[0].numpy())
    found = victim.probabilities(TEXTS)
    assert isinstance(victim, WhiteBox)
    assert victim.labels == ("A", "B", "C")
    assert found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)
    if "llama" not in str(folder):  # our reading keeps the closing token when it cuts a text, as BERT's does
        assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose(found[:3], expected[:3], atol=1e-5)


def test_a_special_token_spelled_out_is_read_as_its_users_tokenizer_reads_it(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = f"you {tokenizer.all_special_tokens[0]} nice"
    (found,) = ClassifierVictim.load(folder, device="cpu").tokens([text])
    assert list(found.ids) == tokenizer(text)["input_ids"]


def test_a_row_does_not_depend_on_its_batch(folder: Path) -> None:
    victim = ClassifierVictim.load(folder, device="cpu")
    alone = np.concatenate([victim.probabilities([text]) for text in TEXTS])
    assert np.allclose(victim.probabilities(TEXTS), alone, atol=1e-6)
    assert victim.probabilities([]).shape == (0, 3)


def test_gradients_match_central_differences(folder: Path) -> None:
    """Differences in float64, to 1e-4 of the largest entry; Llama keeps float32 inside, so 2e-3."""
    victim = ClassifierVictim.load(folder, device="cpu")
    exact = ClassifierVictim.load(folder, device="cpu")
    exact._model.double()
    text = "nice day"
    step, tolerance = (1e-3, 2e-3) if "llama" in str(folder) else (1e-5, 1e-4)
    (window,) = exact.token_windows([text])
    words, mask = exact.word_embeddings[list(window.ids)], torch.ones((1, len(window.ids)), dtype=torch.bool)
    for label in range(3):
        found = victim.gradients([text], [label])[0]
        expected = np.zeros(words.shape)
        for place in np.ndindex(*words.shape):
            for sign in (1, -1):
                moved = words.clone()
                moved[place] += sign * step
                with torch.inference_mode():
                    loss = -exact.logits_of(moved[None], mask).sigmoid()[0, label].log()
                expected[place] += sign * float(loss) / (2 * step)
        assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


def test_labels_that_do_not_exclude_each_other_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_classifier(tmp_path, problem_type="multi_label_classification")
    with pytest.raises(ConfigError, match="one category at a time"):
        ClassifierVictim.load(folder, device="cpu")
