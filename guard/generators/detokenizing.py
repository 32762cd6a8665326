"""Ids as they come -> the text that no later id can change, so that the pieces add up to the text of all ids."""

from __future__ import annotations

import re
from typing import Any

from guard.errors import GeneratorError

__all__ = ["Detokenizer"]

_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
_CLEANED_CHARS = 8  # a tokenizer that tidies blanks before punctuation looks at no more than this many together


class Detokenizer:
    """Turns the ids of one text into pieces.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase

    Notes
    -----
    Held back are characters that lack bytes; the whole of a run of byte tokens, since tokenizers with byte fallback
    decode such a run all or nothing; and a few characters where the tokenizer tidies up blanks. All ids are decoded
    each time: in no tokenizer does the text of a part have to stand in the text of the whole, so nothing shorter is
    exact for all. It costs about 0.2 ms for a thousand ids.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._hold = _CLEANED_CHARS if getattr(tokenizer, "clean_up_tokenization_spaces", False) else 0
        self._ids: list[int] = []
        self._given = ""

    def add(self, token: int) -> str:
        """Add an id and return the text that is settled by now and was not given before."""
        self._ids.append(token)
        if token in self._special or _BYTE_TOKEN.fullmatch(str(self._tokenizer.convert_ids_to_tokens(token))):
            return ""
        text = self._decode(self._ids).rstrip("\ufffd")
        return self._piece(text[: len(text) - self._hold] if self._hold else text)

    def end(self) -> str:
        """Return what was held back.

        Raises
        ------
        GeneratorError
            The tokenizer rewrote what was given already.
        """
        whole = self._decode(self._ids)
        if not whole.startswith(self._given):
            raise GeneratorError(
                f"the tokenizer {type(self._tokenizer).__name__} changes earlier text with later tokens; use generate"
            )
        return self._piece(whole)

    def _piece(self, text: str) -> str:
        if len(text) <= len(self._given) or not text.startswith(self._given):
            return ""
        piece = text[len(self._given) :]
        self._given = text
        return piece

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))
