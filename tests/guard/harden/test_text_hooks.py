"""Slips, random noise, the greedy search and stored attacks change the texts that they say, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.harden.batch import Trainable
from guard.harden.random_hook import RandomHook
from guard.harden.recipe_hook import RecipeHook
from guard.harden.searched_hook import SearchedHook, word_importance
from guard.harden.slips import EDITS, WORD, slips
from tests.guard.harden.tiny_model import TinyModel, batch_of

ROWS = tuple((f"this is sentence number {name} of several", float(at % 2)) for at, name in enumerate("abcdefgh"))


@given(st.text(), st.floats(0, 1), st.integers())
def test_slips_change_at_most_that_share_of_the_words(text: str, share: float, seed: int) -> None:
    changed = slips(text, random.Random(seed), share=share)
    n_words = sum(len(match[0]) > 1 for match in WORD.finditer(text))
    most = max(1, round(share * n_words)) if n_words else 0
    assert abs(len(changed) - len(text)) <= most
    assert WORD.sub("", text) == WORD.sub("", changed)


@pytest.mark.parametrize(("kind", "grown"), [("swap", 0), ("put", 0), ("press", 0), ("delete", -1), ("insert", 1)])
def test_an_edit_moves_one_letter(kind: str, grown: int) -> None:
    for seed in range(50):
        word = EDITS[kind]("stupid", random.Random(seed))
        assert len(word) == 6 + grown
        assert sum(a != b for a, b in zip(word, "stupid", strict=False)) <= (2 if kind == "swap" else 6)
    assert EDITS["delete"]("a", random.Random(0)) == "a"


def test_random_noise_depends_on_the_row_and_not_on_its_neighbours() -> None:
    whole = RandomHook(seed=3).on_batch(batch_of(*ROWS), TinyModel())
    part = RandomHook(seed=3).on_batch(batch_of(*ROWS).only([5, 2]), TinyModel())
    assert part.texts[2:] == (whole.texts[8 + 5], whole.texts[8 + 2])
    again = RandomHook(seed=4).on_batch(batch_of(*ROWS), TinyModel())
    assert again.texts[8:] != whole.texts[8:]


def test_random_noise_is_made_anew_at_every_step() -> None:
    hook = RandomHook(seed=0)
    first, second = (hook.on_batch(batch_of(*ROWS), TinyModel()).texts[8:] for _ in range(2))
    assert first != second


def test_random_noise_may_take_the_place_of_the_row() -> None:
    batch = RandomHook(replace=1.0, garbled=0.0).on_batch(batch_of(*ROWS), TinyModel())
    assert len(batch) == len(ROWS)
    assert all(batch.altered)
    half = RandomHook(replace=0.5).on_batch(batch_of(*ROWS), TinyModel())
    assert len(ROWS) < len(half) < 2 * len(ROWS)
    with pytest.raises(ValueError, match="shares in"):
        RandomHook(replace=1.5)


def test_words_come_in_the_order_of_their_gradients() -> None:
    # The gradient of the loss at every embedding is the same multiple of w + 2 c mean, divided by the number of tokens,
    # so the order stays that of the text; a word behind the window has none and is left out.
    batch = batch_of(("so very bad", 1.0))
    assert word_importance(batch, TinyModel()) == [[(0, 2), (3, 7), (8, 11)]]


def _erase(word: str, rng: random.Random) -> Sequence[str]:
    return [f"x{word}"]


def test_search_takes_the_swap_that_raises_the_loss_and_stops_when_the_model_is_fooled() -> None:
    hook = SearchedHook(moves=_erase, most_words=9, share=1.0)
    # mean = (3/3, ..): log-odds 2/3 + ...; taking "bad" out leaves w . (very)/3 > 0, so "very" has to go as well.
    assert hook.search(batch_of(("bad very so", 1.0)), TinyModel((1.0, 0.0))) == ["xbad xvery so"]
    # A harmless text is attacked the other way: without "good" the model no longer says harmless.
    assert hook.search(batch_of(("good very so", 0.0)), TinyModel((1.0, 0.0))) == ["xgood very so"]


def test_search_never_takes_a_swap_that_lowers_the_loss() -> None:
    hook = SearchedHook(moves=_erase, most_words=9, share=1.0)
    # One "bad" less and the log-odds are 0, which is no longer harmful; "good" is tried first and kept.
    assert hook.search(batch_of(("good bad bad", 1.0)), TinyModel((1.0, 0.0))) == ["good xbad bad"]


def test_search_keeps_to_its_share_of_the_words_and_reads_all_rows_at_once() -> None:
    model = TinyModel((1.0, 0.0))
    hook = SearchedHook(moves=_erase, most_words=9, share=0.25)
    rows = (("bad bad bad bad", 1.0), ("very bad bad bad", 1.0))
    assert hook.search(batch_of(*rows), model) == ["xbad bad bad bad", "xvery bad bad bad"]
    assert model.read == [*(text for text, _ in rows)] * 2 + ["xbad bad bad bad", "xvery bad bad bad"]


def test_stored_attacks_are_searched_again_after_so_many_visits() -> None:
    asked: list[str] = []

    def attack(texts: Sequence[str], labels: npt.NDArray[np.float32], model: Trainable) -> list[str | None]:
        asked.extend(texts)
        return [None if "good" in text else f"{text} {len(asked)}" for text in texts]

    hook, batch = RecipeHook(attack, every=2), batch_of(("so good", 0.0), ("so bad", 1.0))
    seen = [hook.on_batch(batch, TinyModel()).texts[2:] for _ in range(3)]
    assert seen == [("so bad 2",), ("so bad 2",), ("so bad 4",)]
    assert asked == ["so good", "so bad"] * 2
    with pytest.raises(ValueError, match="at least 1"):
        RecipeHook(attack, every=0)
