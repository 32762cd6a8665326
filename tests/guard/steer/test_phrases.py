"""Banned phrases over tokenizers whose tokens cut them in every way."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from guard.errors import ConfigError
from guard.steer.phrases import BannedPhrases, Trail
from guard.steer.vocabulary import token_bytes
from tests.guard.generators.test_detokenizing import byte_fallback

WORDS = ["bad", " bad", "Bad", " BAD", "ba", " b", "a", "d", "ad", "dword", "badge", " badge", "ge", " idea", "idea",
         " ", "  ", "-", "\n", ".", "bad idea", "bad i", "embad", "ä", "b", "i", "e"]  # fmt: skip


def _tokenizer() -> Any:
    """Byte-level: <end> 0, the bytes, then whole words, which no merge has to lead to."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = ["".join(piece for piece, _ in spell.pre_tokenize_str(word)) for word in WORDS]
    names = list(dict.fromkeys(["<end>", *letters, *words]))
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


TOKENIZER = _tokenizer()
SPELT = token_bytes(TOKENIZER)
ID = {spelt: index for index, spelt in enumerate(SPELT)}
PHRASES = BannedPhrases(["Bad", "bad  idea"], TOKENIZER)


def _trail(phrases: BannedPhrases, *tokens: bytes) -> Trail:
    trail = Trail()
    for token in tokens:
        trail = phrases.advance(trail, ID[token])
    return trail


def _bans(phrases: BannedPhrases, before: list[str], token: str) -> bool:
    return ID[token.encode()] in phrases.banned(_trail(phrases, *(one.encode() for one in before)))


@pytest.mark.parametrize(
    ("before", "token", "banned"),
    [
        *(([], "bad", True), ([], " bad", True), ([], " BAD", True), ([], "ba", False), (["ba"], "d", True)),
        *((["b", "a"], "d", True), (["b"], "ad", True), (["B"], "ad", True), ([" b"], "ad", True)),
        *(([], "badge", False), ([], " badge", False), (["ba"], "dword", False), (["ba"], "a", False)),
        *(([], "embad", False), (["a"], "bad", False), (["a"], " bad", True), (["-"], "bad", True)),
        *(([], "bad i", True), (["ba", "\n"], "d", False), (["e", "b"], "ad", False)),
    ],
)
def test_a_word_is_banned_however_it_is_cut(before: list[str], token: str, banned: bool) -> None:
    assert _bans(PHRASES, before, token) is banned


@pytest.mark.parametrize(
    ("before", "token", "banned"),
    [
        *((["bad"], " idea", True), (["bad", " "], "idea", True), (["bad", " "], " idea", True)),
        *((["bad", "\n"], "  ", False), (["bad", "\n", "  "], "idea", True), (["bad", "-"], "idea", False)),
        *((["bad i", "d", "e"], "a", True), (["bad i", "d", "e"], "b", False), (["badge"], " idea", False)),
        *((["bad"], "idea", False), ([], "bad idea", True), (["a"], "bad idea", False)),
    ],
)
def test_a_phrase_is_banned_across_any_blanks(before: list[str], token: str, banned: bool) -> None:
    assert _bans(BannedPhrases(["bad idea"], TOKENIZER), before, token) is banned


def test_accents_invisible_characters_and_full_width_do_not_help() -> None:
    assert ID[b"d"] in PHRASES.banned(_trail(PHRASES, b"b", "ä".encode()))
    hidden = [bytes([byte]) for byte in "b\u200bａ\u0301".encode()]
    assert ID[b"d"] in PHRASES.banned(_trail(PHRASES, *hidden))


def test_character_of_several_bytes_is_banned_at_its_last_one() -> None:
    phrases = BannedPhrases(["坏蛋", "💩"], TOKENIZER)
    for phrase in ("坏蛋", "很坏蛋", "💩", "a💩"):
        *before, last = [bytes([byte]) for byte in phrase.encode()]
        assert ID[last] in phrases.banned(_trail(phrases, *before))
        assert ID[bytes([last[0] ^ 1])] not in phrases.banned(_trail(phrases, *before))
    assert phrases.banned(Trail()) == ()


def _holds(phrases: list[str], text: str) -> bool:
    """Look for phrases the slow way: as whole words, in a text in small letters with single blanks."""
    plain = re.sub(r"\s+", " ", text.lower().replace("ä", "a"))
    edge = {phrase: r"\b" if phrase.isascii() and phrase[0].isalnum() else "" for phrase in phrases}
    return any(re.search(f"{edge[phrase]}{re.escape(phrase)}{edge[phrase]}", plain) for phrase in phrases)


@given(
    st.lists(st.integers(0, len(WORDS) - 1), max_size=12), st.sampled_from([["bad"], ["bad idea"], ["ad", "ge"], ["-"]])
)
@settings(max_examples=300, deadline=None)
def test_text_that_obeys_holds_no_phrase_and_what_is_banned_completes_one(places: list[int], banned: list[str]) -> None:
    phrases = BannedPhrases(banned, TOKENIZER)
    trail, text = Trail(), ""
    for place in places:
        token = ID[WORDS[place].encode()]
        if token in phrases.banned(trail):
            assert _holds(banned, text + WORDS[place])
            continue
        assert _holds(banned, text + WORDS[place]) <= _holds(banned, text)
        trail, text = phrases.advance(trail, token), text + WORDS[place]
    assert not _holds(banned, text)


def test_mask_leaves_rows_without_anything_banned_as_they_are() -> None:
    logits = torch.randn(2, len(SPELT), generator=torch.Generator().manual_seed(0))
    masked = PHRASES.mask(logits, [_trail(PHRASES, b"ba"), Trail(after_word=True)])
    assert masked[0, ID[b"d"]] == float("-inf")
    assert torch.equal(masked[0].isinf().nonzero()[:, 0], torch.tensor(PHRASES.banned(_trail(PHRASES, b"ba"))))
    only = BannedPhrases(["bad idea"], TOKENIZER)
    assert only.mask(logits, [Trail(after_word=True)] * 2) is logits


def test_processor_follows_the_rows_of_generate() -> None:
    processor = BannedPhrases(["bad idea"], TOKENIZER).processor(2)
    logits = torch.zeros(2, len(SPELT))
    ids = torch.tensor([[1, ID[b"bad"]], [1, 1]])  # the prompt does not count
    banned = []
    for column in ((ID[b"bad"], ID[b"a"]), (ID[b" "], ID[b" "])):
        banned.append(processor(ids, logits).isinf()[:, ID[b"idea"]].tolist())
        ids = torch.cat([ids, torch.tensor(column)[:, None]], dim=1)
    banned.append(processor(ids, logits).isinf()[:, ID[b"idea"]].tolist())
    assert banned == [[False, False], [False, False], [True, False]]


@pytest.mark.parametrize("phrases", [[], [""], ["fine", " \u200b "]])
def test_nothing_to_ban_is_refused(phrases: list[str]) -> None:
    with pytest.raises(ConfigError, match="visible characters"):
        BannedPhrases(phrases, TOKENIZER)


def test_digest_is_of_what_is_banned() -> None:
    digests = [BannedPhrases(phrases, TOKENIZER).digest for phrases in (["A", "b"], ["B", "a "], ["a"])]
    assert digests[0] == digests[1] != digests[2]


def test_tokens_are_spelt_in_bytes() -> None:
    fallback = byte_fallback()
    spelt = token_bytes(fallback)
    for text in ("a b", "é!", "好 a"):
        ids = fallback(text, add_special_tokens=False)["input_ids"]
        assert b"".join(spelt[i] for i in ids) == text.encode()
    assert spelt[0] == b""  # the end token
    assert all(len(spelt[i]) == 1 for i in range(1, 257))
    assert all(SPELT[ID[bytes([byte])]] == bytes([byte]) for byte in range(256))
    assert all(a != b for a, b in pairwise(spelt[1:]))
