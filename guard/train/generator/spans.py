"""Texts to learn from, with the tokens flagged that a judge points at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guard.errors import ConfigError
from guard.train.generator.examples import Example, prompt_ids
from guard.train.generator.judging import Ranges

__all__ = ["flagged_ids", "learn_example", "learn_examples"]


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


def learn_example(
    tokenizer: Any,
    text: str,
    ranges: Ranges = (),
    *,
    prompt: str | None = None,
    code: str = "",
    most: int | None = None,
) -> Example:
    """Encode a text to learn, whole where it fits, with the flagged tokens marked.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    text : str
        Plain text, or the answer to `prompt`.
    ranges : tuple of (int, int)
        Where `text` is unwanted.
    prompt : str, optional
        What a user said; None for plain text.
    code : str
        A control code, put in front of the prompt, or of the plain text.
    most : int, optional
        Ids of the text; its end is learnt only where it is whole.

    Raises
    ------
    DataError
        Fewer than one token to read and one to learn.
    """
    ids, flags = flagged_ids(tokenizer, text, ranges)
    ended = tokenizer.eos_token_id is not None
    marks = flags or (0.0,) * len(ids)
    if ended:
        ids, marks = (*ids, int(tokenizer.eos_token_id)), (*marks, 0.0)
    if prompt is not None:
        before: tuple[int, ...] = prompt_ids(tokenizer, code + prompt)
    elif code:
        before = tuple(tokenizer(code, add_special_tokens=False)["input_ids"])
    else:
        before, ids, marks = ids[:1], ids[1:], marks[1:]
    ids, marks = ids[:most], marks[:most]
    return Example("learn", before, ids, flagged=marks if any(marks) else ())


def learn_examples(
    tokenizer: Any, texts: Sequence[str], ranges: Sequence[Ranges], codes: Sequence[str], *, most: int | None = None
) -> list[Example]:
    """Encode plain texts, each with its ranges and its control code; the empty code is none."""
    rows = zip(texts, ranges, codes, strict=True)
    return [learn_example(tokenizer, text, where, code=code, most=most) for text, where, code in rows]
