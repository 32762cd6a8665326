"""Words from a masked language model whose predictions are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.attacks.schema import Ask, RandomSource
from guard.attacks.transformations.masked_lm import SwapByMaskedLM
from guard.attacks.words import AttackedText
from guard.errors import ConfigError, DataError
from tests.guard.attacks.tiny_masked_lm import write_tiny_masked_lm
from tests.tiny_llama import write_tiny_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_masked_lm(tmp_path_factory.mktemp("mlm"))


def ask(text: str, *indices: int) -> Ask:
    begun = AttackedText.of(text)
    return Ask(begun, indices, begun, 0, RandomSource(0))


def test_the_likeliest_whole_words_come_first_in_the_words_case(folder: Path) -> None:
    swap = SwapByMaskedLM.load(folder, device="cpu", n=3)
    (found,) = swap.propose([ask("You are awful, you", 0, 2)])
    assert [one.text for one in found] == [
        *("Nice are awful, you", "Kind are awful, you", "Awful are awful, you"),
        *("You are nice, you", "You are kind, you"),  # awful itself is no swap
    ]


def test_least_probability_cuts_the_list(folder: Path) -> None:
    checkpoint = SwapByMaskedLM.load(folder, device="cpu")
    checkpoint._least = 0.011  # the biases fall by 2 a rank, so probabilities by e squared: .86, .12, .016, .002
    (found,) = checkpoint.propose([ask("you are", 0)])
    assert [one.text for one in found] == ["nice are"]


def test_rows_do_not_depend_on_their_batch(folder: Path) -> None:
    swap = SwapByMaskedLM.load(folder, device="cpu", n=4)
    asks = [ask("you", 0), ask("you are awful", 0, 1, 2), ask("day " * 40, 0, 20, 39), ask("", *())]
    together = swap.propose(asks)
    assert [[c.text for c in mine] for mine in together] == [[c.text for c in swap.propose([a])[0]] for a in asks]
    assert together[3] == []
    assert len(together[2]) == 3 * 4  # in the window of 12 tokens wherever the word is


def test_keep_lets_the_model_read_the_word_and_skips_words_of_pieces(folder: Path) -> None:
    """With weights that copy, the word itself is likeliest and is no swap; ``kindly`` is two pieces."""
    swap = SwapByMaskedLM.load(folder, device="cpu", n=2, mode="keep")
    seen: list[list[int]] = []
    forward = swap._model.forward

    def spy(**inputs: torch.Tensor) -> object:
        seen.extend(inputs["input_ids"].tolist())
        return forward(**inputs)

    swap._model.forward = spy
    (found,) = swap.propose([ask("you kindly", 0, 1)])
    assert {one.words[1] for one in found} == {"kindly"}
    assert len(seen) == 1
    assert swap._mask not in seen[0]


def test_no_model_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="bert-base-uncased"):
        SwapByMaskedLM.load(None)


def test_a_model_that_is_none_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="AutoModelForMaskedLM"):
        SwapByMaskedLM.load(write_tiny_llama(tmp_path), device="cpu")
    with pytest.raises(ConfigError, match="n >= 1"):
        SwapByMaskedLM.load(folder, device="cpu", n=0)
    assert "n=7" in repr(SwapByMaskedLM.load(folder, device="cpu", n=7))
