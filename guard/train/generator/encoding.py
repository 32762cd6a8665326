"""Texts and dialogues -> token rows: what is read only, what is learnt, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import DataError
from guard.train.generator.token_rows import TokenRow

__all__ = ["Encoded", "Turn", "encode_dialogue", "encode_text"]


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue.

    Parameters
    ----------
    role : str
        ``system``, ``user`` or ``assistant``.
    content : str
    """

    role: str
    content: str


@dataclass(frozen=True)
class Encoded:
    """What became of one text or dialogue.

    Parameters
    ----------
    rows : tuple of TokenRow
        Several where a plain text is longer than a row; none where nothing can be learnt from it.
    n_cut : int
        Ids at the beginning of a dialogue that did not fit.
    """

    rows: tuple[TokenRow, ...]
    n_cut: int = 0


def encode_text(
    tokenizer: Any, text: str, *, most: int, unit: str = "", hidden: Sequence[tuple[int, int]] = (), ended: bool = True
) -> Encoded:
    """Encode plain text; every id but the first is learnt, and its end too.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        Its own first id, where it adds one, is read.
    text : str
    most : int
        Ids of a row; a longer text goes on in the next row, so that nothing is cut.
    unit : str
        The statistical unit.
    hidden : sequence of (int, int)
        Spans of `text` that are read and not learnt; an id that touches one is not learnt.
    ended : bool
        Whether the text's end is learnt.
    """
    clean = text.encode("utf-8", "replace").decode()
    made = tokenizer(clean, return_offsets_mapping=bool(hidden), add_special_tokens=True)
    ids = list(made["input_ids"])
    offsets = made["offset_mapping"] if hidden else [(0, 0)] * len(ids)
    learnt = [not any(start < high and low < end for low, high in hidden) for start, end in offsets]
    eos = tokenizer.eos_token_id
    if ended and eos is not None and (not ids or ids[-1] != eos or len(ids) == 1):
        ids, learnt = [*ids, eos], [*learnt, True]
    rows = []
    for start in range(0, len(ids), most):
        part, marks = ids[start : start + most], learnt[start : start + most]
        marks[0] = False
        if any(marks):
            rows.append(TokenRow(tuple(part), tuple(marks), unit))
    return Encoded(tuple(rows))


def encode_dialogue(
    tokenizer: Any,
    turns: Sequence[Turn],
    *,
    most: int,
    unit: str = "",
    answers_only: bool = True,
    templated: bool = True,
) -> Encoded:
    """Encode a dialogue in the model's own template, or turn by turn where it has none.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    turns : sequence of Turn
    most : int
        Ids of a row. What is too long loses its beginning, so that the last answer is whole.
    unit : str
    answers_only : bool
        Learn the assistant's turns and not the others.
    templated : bool
        False stands turns line by line, whatever template the model has.

    Raises
    ------
    DataError
        The template refuses the order of the turns.
    """
    ids, learnt = [], list[bool]()
    for text, is_answer in _pieces(tokenizer, turns, templated=templated):
        part = _ids(tokenizer, text)
        if is_answer and tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in part:
            part.append(tokenizer.eos_token_id)
        ids += part
        learnt += [is_answer or not answers_only] * len(part)
    n_cut = max(0, len(ids) - most)
    ids, learnt = ids[n_cut:], learnt[n_cut:]
    if learnt:
        learnt[0] = False
    return Encoded((TokenRow(tuple(ids), tuple(learnt), unit),) if any(learnt) else (), n_cut)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text.encode("utf-8", "replace").decode(), add_special_tokens=False)["input_ids"])


def _pieces(tokenizer: Any, turns: Sequence[Turn], *, templated: bool) -> list[tuple[str, bool]]:
    """Split a rendered dialogue into what is read and the answers, each with the mark that ends it.

    A template that renders the beginning of a dialogue otherwise than the whole of it, as those do that leave out
    earlier thoughts, allows only the last answer to be told apart.
    """
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    if not templated or not getattr(tokenizer, "chat_template", None):
        return [(_untemplated(turn), turn.role == "assistant") for turn in turns]
    found, done = [], ""
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        asked = _rendered(tokenizer, messages[:index], ask=True)
        answered = _rendered(tokenizer, messages[: index + 1], ask=False)
        if not (asked.startswith(done) and answered.startswith(asked)):
            return _last_answer(tokenizer, messages)
        found += [(asked[len(done) :], False), *_ended(tokenizer, answered[len(asked) :])]
        done = answered
    return found


def _ended(tokenizer: Any, text: str) -> list[tuple[str, bool]]:
    """Part an answer behind the mark that ends it from what the template adds before the next turn."""
    mark = tokenizer.eos_token or ""
    place = text.rfind(mark) + len(mark) if mark and mark in text else len(text)
    return [(text[:place], True), *([(text[place:], False)] if place < len(text) else [])]


def _last_answer(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[tuple[str, bool]]:
    last = max(index for index, one in enumerate(messages) if one["role"] == "assistant")
    return [(_rendered(tokenizer, messages[:last], ask=True), False), (messages[last]["content"], True)]


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, str]], *, ask: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask))
    except Exception as error:  # templates raise errors of their own, of jinja and of Python
        roles = ", ".join(one["role"] for one in messages)
        raise DataError(
            f"the model's chat template refuses the turns {roles} ({error}): give turns as it wants them"
        ) from error


def _untemplated(turn: Turn) -> str:
    return turn.content if turn.role == "assistant" else f"{turn.content}\n"
