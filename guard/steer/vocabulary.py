"""A tokenizer's ids -> the bytes that each adds to a text."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

__all__ = ["token_bytes"]

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@cache
def _byte_of() -> dict[str, int]:
    """Letters with which byte-level tokenizers, since GPT-2, spell bytes: those that print, others from U+0100 on."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return {chr(byte if byte in prints else next(spare)): byte for byte in range(256)}


def token_bytes(tokenizer: Any) -> list[bytes]:
    """Spell every token.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase

    Returns
    -------
    list of bytes
        By id; empty for special tokens, which leave no text, and for ids that the tokenizer lacks.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    spelt = [b""] * (max(vocabulary.values()) + 1)
    special, added = set(tokenizer.all_special_ids), set(tokenizer.get_added_vocab().values())
    byte_level = _is_byte_level(tokenizer, vocabulary)
    for token, index in vocabulary.items():
        if index in special:
            continue
        if index in added:
            spelt[index] = token.encode("utf-8", "replace")
        elif byte_level:
            spelt[index] = bytes(_byte_of().get(letter, 0x20) for letter in token)
        elif byte := _BYTE_TOKEN.fullmatch(token):
            spelt[index] = bytes([int(byte[1], 16)])
        else:
            spelt[index] = token.replace("\u2581", " ").encode("utf-8", "replace")
    return spelt


def _is_byte_level(tokenizer: Any, vocabulary: dict[str, int]) -> bool:
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return "\u0120" in vocabulary  # how byte-level tokenizers spell a blank
    return b"ByteLevel" in bytes(decoder.__getstate__())
