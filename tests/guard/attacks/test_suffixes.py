"""Suffixes on a tiny Llama: losses as by a plain pass, gradients as differences, a loss that falls."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.attacks.causal_lm import CausalWhiteBox
from guard.attacks.suffixes import Behaviour, SuffixSearch, find_suffix
from guard.errors import ConfigError, DataError
from guard.generators.transformers import TransformersGenerator

START = " !" * 6
SEARCH = SuffixSearch(n_steps=8, n_candidates=48, top_k=32, start=START)


@pytest.fixture(scope="module", params=[True, False], ids=["chat", "plain"])
def white(request: pytest.FixtureRequest, tiny_llama: Path) -> CausalWhiteBox:
    generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32")
    return CausalWhiteBox(generator.model, generator.tokenizer, chat=request.param, token_budget=256)


def plain_loss(white: CausalWhiteBox, text: str, target: str, *, chat: bool) -> float:
    """Of the whole text in one pass, from its characters."""
    tokenizer, model = white.tokenizer, white._model
    if chat:
        messages = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before = tokenizer(text, add_special_tokens=not chat)["input_ids"]
    after = tokenizer(target, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*before, *after]])
    labels = torch.tensor([[*[-100] * len(before), *after]])
    with torch.inference_mode():
        return float(model(input_ids=ids, labels=labels).loss)


def test_losses_equal_a_plain_forward_pass(white: CausalWhiteBox) -> None:
    framed, start = white.frame("say it", START, "Sure")
    rows = torch.tensor([start, *[[*start[:at], 70 + at, *start[at + 1 :]] for at in range(5)]])
    losses, matches = white.losses(framed, rows)
    texts = white.spells(framed, rows.tolist())
    expected = [plain_loss(white, f"say it{text}", "Sure", chat=white._chat) for text in texts]
    assert texts[0] == START
    assert losses.tolist() == pytest.approx(expected, rel=1e-4)
    assert matches.tolist() == [False] * 6


def test_losses_without_a_cache_are_the_same(white: CausalWhiteBox) -> None:
    framed, start = white.frame("say it", START, "Sure")
    whole = CausalWhiteBox(white._model, white.tokenizer, chat=white._chat)
    whole._grows_a_cache = False
    rows = torch.tensor([start])
    assert torch.allclose(white.losses(framed, rows)[0], whole.losses(framed, rows)[0], atol=1e-5)


def test_token_gradients_match_differences(white: CausalWhiteBox) -> None:
    """Along the way from the token that stands there to another, to 1 per cent of the steepest."""
    framed, start = white.frame("say it", START, "Sure")
    found = white.token_gradients(framed, start)
    table, step = white.word_embeddings, 1e-3
    for place, token in [(0, 80), (3, 100), (5, 200)]:
        slopes = []
        for sign in (1, -1):
            words = table[torch.tensor([start])].clone()
            words[0, place] += sign * step * (table[token] - table[start[place]])
            with torch.inference_mode():
                logits = white._logits(framed, words)
            wanted = torch.tensor([framed.target])
            slopes.append(sign * float(torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted)))
        slope = sum(slopes) / (2 * step)
        assert abs(slope - float(found[place, token] - found[place, start[place]])) < 0.01 * float(found.abs().max())


def test_the_targets_loss_falls_and_is_the_texts_own(white: CausalWhiteBox) -> None:
    found = find_suffix(white, [Behaviour("say it", "Sure")], SEARCH, seed=1)
    assert found.loss < found.loss_before - 0.5
    assert list(found.losses) == sorted(found.losses, reverse=True)
    assert found.loss == pytest.approx(plain_loss(white, f"say it{found.suffix}", "Sure", chat=white._chat), rel=1e-4)
    assert found.suffix.isascii()
    assert 0 < found.n_candidates <= 8 * 48


def test_the_seed_alone_decides(white: CausalWhiteBox) -> None:
    behaviour, search = [Behaviour("say it", "Sure")], SuffixSearch(n_steps=3, n_candidates=16, top_k=16, start=START)
    small = CausalWhiteBox(white._model, white.tokenizer, chat=white._chat, token_budget=1)
    first, again = find_suffix(white, behaviour, search, seed=5), find_suffix(small, behaviour, search, seed=5)
    other = find_suffix(white, behaviour, search, seed=6)
    assert (first.suffix, first.n_candidates) == (again.suffix, again.n_candidates)
    assert other.suffix != first.suffix


def test_one_suffix_serves_several_behaviours(white: CausalWhiteBox) -> None:
    behaviours = [Behaviour("say it", "Sure"), Behaviour("write that down", "Yes")]
    found = find_suffix(white, behaviours, SEARCH, seed=2)
    alone = [plain_loss(white, one.prompt + found.suffix, one.target, chat=white._chat) for one in behaviours]
    assert found.loss == pytest.approx(sum(alone) / 2, rel=1e-4)
    assert found.loss < found.loss_before
    assert len(found.matched) == 2


def test_a_target_that_is_written_ends_the_search(white: CausalWhiteBox) -> None:
    framed, start = white.frame("say it", START, "x")
    with torch.inference_mode():
        likeliest = int(white._logits(framed, white._embed(torch.tensor([start])))[0, 0].argmax())
    target = white.tokenizer.decode([likeliest])
    if target and white.tokenizer(target, add_special_tokens=False)["input_ids"] == [likeliest]:
        found = find_suffix(white, [Behaviour("say it", target)], SEARCH, seed=1)
        assert found.matched == (True,)
        assert found.losses == ()


def test_what_cannot_be_searched_is_refused(white: CausalWhiteBox) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        find_suffix(white, [], SEARCH, seed=0)
    with pytest.raises(ConfigError, match="at least 1"):
        SuffixSearch(n_steps=0)
    with pytest.raises(DataError, match="give a target"):
        find_suffix(white, [Behaviour("x", "")], SEARCH, seed=0)
    with pytest.raises(DataError, match="tokens in all"):
        find_suffix(white, [Behaviour("x" * 2000, "Sure")], SEARCH, seed=0)
