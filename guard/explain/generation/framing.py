"""A prompt as the token ids that its generator reads, with the characters of the prompt that each token covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guard.errors import ConfigError
from guard.explain.schema import Range

__all__ = ["FramedPrompt", "frame", "plain"]

_MARK = "\ue000\ue001"  # of the private use area: no template has it


@dataclass(frozen=True)
class FramedPrompt:
    """What a model reads of a prompt.

    Parameters
    ----------
    ids : tuple of int
        Chat template and special tokens included.
    ranges : tuple of (int, int)
        For each token the characters of the prompt that it covers; (0, 0) for what is not the prompt's.
    """

    ids: tuple[int, ...]
    ranges: tuple[Range, ...]


def plain(text: str) -> str:
    """Return a text as generators read it: a lone surrogate becomes a question mark, one character for one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def frame(tokenizer: Any, prompt: str, *, chat: bool, start_id: int, prefix: str = "") -> FramedPrompt:
    """Turn a prompt into ids, exactly as ``TransformersGenerator`` does.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one.
    prompt : str
    chat : bool
        Put the prompt into the chat template, where there is one.
    start_id : int
        The token that an empty prompt begins with.
    prefix : str
        Goes in front of every prompt: a control code.

    Raises
    ------
    ConfigError
        The tokenizer keeps no offsets, or the chat template changes the prompt.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError(f"{type(tokenizer).__name__} keeps no offsets; the model's folder needs a tokenizer.json")
    text = plain(prefix + prompt)
    before, inside, after = ("", text, "")
    chat = chat and bool(getattr(tokenizer, "chat_template", None))
    if chat:
        before, inside, after = _around(tokenizer, text)
    ids, offsets = _encoded(tokenizer, before + inside + after, special=not chat)
    # Where the prompt stands: behind the template's text and the prefix, of which the template may cut blanks off.
    shift = text.find(inside) - len(before) - len(prefix)
    first, last = max(len(before), -shift), len(before) + len(inside)
    ranges = [_within(range_, first, last, shift=shift) for range_ in offsets]
    return FramedPrompt(tuple(ids) or (start_id,), tuple(ranges) if ids else ((0, 0),))


def _encoded(tokenizer: Any, text: str, *, special: bool) -> tuple[list[int], list[Range]]:
    found = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    return list(found["input_ids"]), [(int(a), int(b)) for a, b in found["offset_mapping"]]


def _around(tokenizer: Any, text: str) -> tuple[str, str, str]:
    """Return what the chat template puts before the prompt, what it makes of the prompt, and what it puts after it."""
    before, mark, after = _rendered(tokenizer, _MARK).partition(_MARK)
    whole = _rendered(tokenizer, text)
    inside = whole[len(before) : len(whole) - len(after)]
    if not mark or not (whole.startswith(before) and whole.endswith(after)) or inside not in text:
        raise ConfigError("the chat template changes the prompt, so its words cannot be followed; give --no-chat")
    return before, inside, after


def _rendered(tokenizer: Any, text: str) -> str:
    messages = [{"role": "user", "content": text}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _within(range_: Range, start: int, end: int, *, shift: int) -> Range:
    """Return the part of a range that lies in the prompt, in characters of the prompt."""
    first, last = max(range_[0], start), min(range_[1], end)
    return (first + shift, last + shift) if first < last else (0, 0)
