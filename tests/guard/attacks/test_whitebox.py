"""White-box victims: gradients against finite differences, windows, padding, and the labels of filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from guard import assets
from guard.attacks.schema import Probabilities, WhiteBox
from guard.attacks.whitebox import WhiteBoxVictim
from guard.errors import AssetError, ConfigError
from guard.filters.differentiable import Differentiable, padded_rows
from guard.filters.encoder import EncoderFilter
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

TEXTS = ["you are a stupid person", "i hate you", "", "the weather is not kind and you are a stupid person " * 3]
STEP = 1e-5


class Binary:
    """The two sides of one category of a filter as a victim."""

    def __init__(self, filter_: EncoderFilter, category: str) -> None:
        self._filter, self._column = filter_, filter_.categories.index(category)
        self.name, self.labels = filter_.name, (f"not {category}", category)

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        score = self._filter.score_batch(texts)[:, self._column].astype(np.float64)
        return np.stack([1 - score, score], axis=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_tiny_bert(tmp_path_factory.mktemp("bert")), write_tiny_adapter(tmp_path_factory.mktemp("adapter"))


def encoder(folders: tuple[Path, Path], dtype: str = "float32") -> EncoderFilter:
    return EncoderFilter.load(base=folders[0], weights=folders[1], device="cpu", dtype=dtype)


def victim(filter_: EncoderFilter, category: str = "toxicity") -> WhiteBoxVictim:
    column = filter_.categories.index(category)
    return WhiteBoxVictim(Binary(filter_, category), filter_, [(column, -1), (column, 1)])


def cross_entropy(model: Differentiable, words: torch.Tensor, column: int, sign: int) -> float:
    """Of one window alone, without padding."""
    mask = torch.ones(words.shape[:1], dtype=torch.bool)[None]
    with torch.inference_mode():
        return float(torch.nn.functional.softplus(-sign * model.logits_of(words[None], mask)[0, column]))


def test_encoder_is_differentiable_and_the_victim_a_white_box(folders: tuple[Path, Path]) -> None:
    filter_ = encoder(folders)
    assert isinstance(filter_, Differentiable)
    assert isinstance(victim(filter_), WhiteBox)
    assert filter_.vocabulary[5] == "you"
    assert filter_.word_embeddings.shape == (len(filter_.vocabulary), 24)


def test_token_windows_are_the_windows_that_are_scored(folders: tuple[Path, Path]) -> None:
    filter_ = encoder(folders)
    windows = filter_.token_windows(TEXTS)
    logits = np.full((len(TEXTS), 2), -np.inf)
    for rows, words, mask in padded_rows(filter_.word_embeddings, windows):
        with torch.inference_mode():
            found = filter_.logits_of(words, mask).double().numpy()
        np.maximum.at(logits, [windows[row].owner for row in rows], found)
    assert np.allclose(1 / (1 + np.exp(-logits)), filter_.score_batch(TEXTS), atol=1e-6)


def test_logits_of_passes_gradcheck_in_float64(folders: tuple[Path, Path]) -> None:
    filter_ = encoder(folders, "float64")
    (window,) = filter_.token_windows(["you hate"])
    words = filter_.word_embeddings[list(window.ids)].double()[None].requires_grad_(True)
    mask = torch.ones((1, len(window.ids)), dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: filter_.logits_of(x, mask), (words,), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("label", [0, 1])
def test_gradients_match_central_differences(folders: tuple[Path, Path], label: int) -> None:
    """The differences in float64, to 1e-4 of the largest entry; the gradients in float32, as attacks use them."""
    exact = encoder(folders, "float64")
    found = victim(encoder(folders)).gradients([TEXTS[0]], [label])[0]
    (window,) = exact.token_windows([TEXTS[0]])
    words = exact.word_embeddings[list(window.ids)].double()
    expected = np.zeros(words.shape)
    for place in np.ndindex(*words.shape):
        for step in (STEP, -STEP):
            moved = words.clone()
            moved[place] += step
            expected[place] += cross_entropy(exact, moved, 0, 2 * label - 1) / (2 * step)
    assert found.shape == words.shape
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_gradients_halfway_to_a_token_are_those_of_the_midpoint(folders: tuple[Path, Path]) -> None:
    """Special tokens stay where they are; the differences are of the loss at the midpoint."""
    exact = encoder(folders, "float64")
    token = exact.vocabulary.index("[UNK]")
    found = victim(encoder(folders)).gradients([TEXTS[0]], [1], halfway_to=token)[0]
    (window,) = exact.token_windows([TEXTS[0]])
    words = exact.word_embeddings[list(window.ids)].double()
    words[1:-1] = (words[1:-1] + exact.word_embeddings[token].double()) / 2
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=words.shape))
    slope = sum(s * cross_entropy(exact, words + s * STEP * direction, 0, 1) for s in (1, -1)) / (2 * STEP)
    assert (found.astype(np.float64) * direction.numpy()).sum() == pytest.approx(slope, rel=1e-3)


def test_gradients_do_not_depend_on_the_batch(folders: tuple[Path, Path]) -> None:
    white = victim(encoder(folders))
    together = white.gradients(TEXTS, [1, 0, 1, 1])
    alone = [white.gradients([text], [label])[0] for text, label in zip(TEXTS, [1, 0, 1, 1], strict=True)]
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(together, alone, strict=True))


def test_gradient_of_a_long_text_lies_in_its_highest_window(folders: tuple[Path, Path]) -> None:
    filter_ = encoder(folders)
    white = victim(filter_)
    gradient, tokens = white.gradients([TEXTS[3]], [1])[0], white.tokens([TEXTS[3]])[0]
    windows = filter_.token_windows([TEXTS[3]])
    batches = padded_rows(filter_.word_embeddings, windows, token_budget=1)
    scores = [filter_.logits_of(words, mask)[0, 0].item() for _, words, mask in batches]
    assert len(windows) > 1
    assert len(gradient) == len(tokens.ids)
    inside = [place + 1 for place in windows[int(np.argmax(scores))].places if place >= 0]
    moved = np.flatnonzero(np.abs(gradient[1:-1]).sum(axis=1)) + 1
    assert moved.tolist() == inside


def test_tokens_point_at_their_words(folders: tuple[Path, Path]) -> None:
    white = victim(encoder(folders))
    text = "You  are ＳＴＵＰＩＤ"
    tokens, again, none = white.tokens([text, text, ""])
    assert tokens == again
    assert len(none.ids) == 2
    assert [text[start:end] for start, end in tokens.offsets[1:-1]] == ["You", "are", "ＳＴＵＰＩＤ"]
    assert [white.vocabulary[token] for token in tokens.ids] == ["[CLS]", "you", "are", "stupid", "[SEP]"]


def test_columns_that_do_not_fit_the_labels_are_refused(folders: tuple[Path, Path]) -> None:
    filter_ = encoder(folders)
    with pytest.raises(ConfigError, match="for each label"):
        WhiteBoxVictim(Binary(filter_, "toxicity"), filter_, [(0, 1)])


@pytest.mark.model
def test_gradients_of_the_shipped_encoder_match_differences() -> None:
    """Along eight random directions, to 1e-3 of the gradient's length (float32 against float64)."""
    try:
        assets.path("minilm")
    except AssetError as error:
        pytest.skip(str(error))
    exact, text = EncoderFilter.load(device="cpu", dtype="float64"), "you are a stupid person, i said"
    white = victim(EncoderFilter.load(device="cpu", dtype="float32"))
    gradient = white.gradients([text], [1])[0].astype(np.float64)
    (window,) = exact.token_windows([text])
    words = exact.word_embeddings[list(window.ids)].double()
    draws = np.random.default_rng(0)
    for _ in range(8):
        direction = draws.normal(size=words.shape)
        direction /= np.linalg.norm(direction)
        step = torch.from_numpy(direction * 1e-5)
        slope = (cross_entropy(exact, words + step, 0, 1) - cross_entropy(exact, words - step, 0, 1)) / 2e-5
        assert abs(slope - (gradient * direction).sum()) < 1e-3 * np.linalg.norm(gradient)
