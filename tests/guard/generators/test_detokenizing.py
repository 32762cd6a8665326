"""Ids to pieces of text, over tokenizers of each kind."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from guard.errors import GeneratorError
from guard.generators.detokenizing import Detokenizer

TEXTS = st.text(alphabet=st.sampled_from("ab éß你好🙂👍🏽.,'!? \n"), max_size=30)


def _fast(tokenizer: Tokenizer, **options: Any) -> Any:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>", **options)


def byte_level() -> Any:
    """Ids: <end> 0, then the bytes."""
    letters = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _fast(tokenizer)


def byte_fallback(**options: Any) -> Any:
    """As Llama 2 and Gemma do: pieces with a sign for the blank, and bytes for the rest."""
    pieces = ["<end>", *(f"<0x{byte:02X}>" for byte in range(256)), *"\u2581ab.,'!?", "\u2581a", "\u2581b"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = [("\u2581", "a"), ("\u2581", "b")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return _fast(tokenizer, **options)


TOKENIZERS = [byte_level(), byte_fallback(), byte_fallback(clean_up_tokenization_spaces=True)]


def _pieces(tokenizer: Any, ids: list[int]) -> list[str]:
    text = Detokenizer(tokenizer)
    return [*(text.add(token) for token in ids), text.end()]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["byte level", "byte fallback", "tidied"])
@given(text=TEXTS, seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_pieces_of_a_text_add_up(tokenizer: Any, text: str, seed: int) -> None:
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    for place in sorted(random.Random(seed).sample(range(len(ids) + 1), min(2, len(ids))), reverse=True):
        ids.insert(place, 0)  # a special token in between leaves no text
    assert "".join(_pieces(tokenizer, ids)) == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["byte level", "byte fallback", "tidied"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_pieces_of_any_ids_add_up(tokenizer: Any, seed: int) -> None:
    ids = random.Random(seed).choices(range(len(tokenizer)), k=40)
    assert "".join(_pieces(tokenizer, ids)) == tokenizer.decode(ids, skip_special_tokens=True)


def test_character_comes_when_its_last_byte_does() -> None:
    tokenizer = TOKENIZERS[0]
    ids = tokenizer("a🙂", add_special_tokens=False)["input_ids"]
    assert _pieces(tokenizer, ids) == ["a", "", "", "", "🙂", ""]
    assert _pieces(tokenizer, ids[:-1])[-1] == "\ufffd"


def test_run_of_byte_tokens_comes_whole() -> None:
    tokenizer = TOKENIZERS[1]
    ids = tokenizer("aéa", add_special_tokens=False)["input_ids"]
    assert _pieces(tokenizer, ids) == ["a", "", "", "éa", ""]
    # With half a character after it, the same run has no text at all.
    assert "".join(_pieces(tokenizer, [*ids[:3], ids[1]])) == "a\ufffd\ufffd\ufffd"


class _Rewriting:
    """A tokenizer that no stream can follow."""

    all_special_ids: tuple[int, ...] = ()

    def convert_ids_to_tokens(self, token: int) -> str:
        return str(token)

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join(map(str, reversed(ids)))


def test_tokenizer_that_rewrites_what_was_given_is_an_error() -> None:
    with pytest.raises(GeneratorError, match="changes earlier text"):
        _pieces(_Rewriting(), [1, 2])
