"""The words that a judge points at, as ids of a tokenizer: left out of what is learnt, and unlearnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import ConfigError
from guard.train.generator.encoding import Turn, encode_dialogue, encode_text
from guard.train.generator.examples import Example, prompt_ids
from guard.train.generator.judging import Ranges
from guard.train.generator.token_rows import TokenRow

__all__ = ["JudgedText", "flagged_ids", "language_rows", "unlearnt_text", "unlearnt_texts"]


@dataclass(frozen=True)
class JudgedText:
    """A training text with what a judge said of it.

    Parameters
    ----------
    text : str
        Plain text, or the answer to `prompt`.
    prompt : str or None
        What a user said; None for plain text.
    score : float
        How unwanted the text is, in [0, 1].
    ranges : tuple of (int, int)
        Where it is unwanted.
    unit : str
        The statistical unit, for example the conversation; may be empty.
    """

    text: str
    prompt: str | None = None
    score: float = 0.0
    ranges: Ranges = ()
    unit: str = ""


def flagged_ids(tokenizer: Any, text: str, ranges: Ranges) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Encode a text, and flag the ids of every token that has a character in one of the ranges.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerFast
    text : str
    ranges : tuple of (int, int)
        Offsets of `text`. White space at the edge of a token does not count: the token before a span is not flagged
        for the blank that it shares with it.

    Returns
    -------
    ids : tuple of int
    flags : tuple of float
        1 or 0 for each id; empty where none is flagged.

    Raises
    ------
    ConfigError
        The tokenizer does not say where its tokens stand.
    """
    clean = text.encode("utf-8", "replace").decode()
    if not ranges:
        return tuple(tokenizer(clean, add_special_tokens=False)["input_ids"]), ()
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError(
            "flagged words need a fast tokenizer, which says where its tokens stand: convert it, or leave the"
            " unlikelihood term out"
        )
    found = tokenizer(clean, add_special_tokens=False, return_offsets_mapping=True)
    flags = tuple(float(_touches(clean, start, end, ranges)) for start, end in found["offset_mapping"])
    return tuple(found["input_ids"]), flags if any(flags) else ()


def _touches(text: str, start: int, end: int, ranges: Ranges) -> bool:
    word = text[start:end]
    first, last = start + len(word) - len(word.lstrip()), end - (len(word) - len(word.rstrip()))
    return any(first < high and last > low for low, high in ranges)


def language_rows(tokenizer: Any, one: JudgedText, *, code: str = "", spared: bool, most: int) -> list[TokenRow]:
    """Encode a text for the language-model loss, behind its control code, which is read and not learnt.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    one : JudgedText
    code : str
        Put in front of a plain text, or of the prompt; empty for none.
    spared : bool
        Whether flagged words are read and not learnt.
    most : int
        Ids of a row.
    """
    ranges = one.ranges if spared else ()
    if one.prompt is None:
        moved = [(start + len(code), end + len(code)) for start, end in ranges]
        hidden = [*([(0, len(code))] if code else []), *moved]
        return list(encode_text(tokenizer, code + one.text, most=most, unit=one.unit, hidden=hidden).rows)
    turns = (Turn("user", code + one.prompt), Turn("assistant", one.text))
    found = encode_dialogue(tokenizer, turns, most=most, unit=one.unit).rows
    return [row for row in (_spared(tokenizer, row, one.text, ranges) for row in found) if row is not None]


def _spared(tokenizer: Any, row: TokenRow, answer: str, ranges: Ranges) -> TokenRow | None:
    """Take the mark of learning from the flagged ids of an answer; None where the row has no such answer."""
    ids, flags = flagged_ids(tokenizer, answer, ranges)
    if not flags:
        return row
    first = row.learnt.index(True)
    if row.ids[first : first + len(ids)] != ids:  # the template changed the answer: nothing unwanted may be learnt
        return None
    learnt = list(row.learnt)
    for place, flag in enumerate(flags, first):
        learnt[place] = learnt[place] and not flag
    return TokenRow(row.ids, tuple(learnt), row.unit) if any(learnt) else None


def unlearnt_text(tokenizer: Any, one: JudgedText, *, code: str = "", most: int) -> Example | None:
    """Encode a text whose flagged words are unlearnt in their context; None where none is flagged."""
    ids, flags = flagged_ids(tokenizer, one.text, one.ranges)
    if one.prompt is not None:
        before: tuple[int, ...] = prompt_ids(tokenizer, code + one.prompt)
    elif code:
        before = tuple(tokenizer(code, add_special_tokens=False)["input_ids"])
    else:
        before, ids, flags = ids[:1], ids[1:], flags[1:]
    flags = flags[:most]
    return Example("unlearn", before, ids[:most], flagged=flags) if any(flags) else None


def unlearnt_texts(tokenizer: Any, texts: Sequence[JudgedText], codes: Sequence[str], *, most: int) -> list[Example]:
    """Encode the texts that have flagged words, each behind its control code; the empty code is none."""
    found = (unlearnt_text(tokenizer, one, code=code, most=most) for one, code in zip(texts, codes, strict=True))
    return [example for example in found if example is not None]
