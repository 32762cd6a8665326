"""What a model is trained on: prompts with answers, as ids, and batches of them padded on the left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from guard.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "KINDS",
    "Example",
    "Kind",
    "TokenBatch",
    "chat_example",
    "collate",
    "digest",
    "pair_example",
    "plain_example",
    "prompt_ids",
]

Kind = Literal["refuse", "keep", "text", "unlearn", "prefer", "accept", "reject"]

KINDS: tuple[Kind, ...] = ("refuse", "keep", "text", "unlearn", "prefer", "accept", "reject")
"""Refuse an attack; keep an answer, or plain text; unlearn what an attack drew, or flagged words; prefer one of two
answers; accept or reject an answer that was judged by itself.
"""


@dataclass(frozen=True)
class Example:
    """An answer after a prompt.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`, by which the terms of an objective pick their examples.
    prompt : tuple of int
        Ids that are read and not learnt; at least one.
    answer : tuple of int
        Ids that are learnt, kept or unlearnt; at least one.
    rejected : tuple of int
        The worse answer, of the kind ``prefer`` only.
    flagged : tuple of float
        How unwanted each id of the answer is, in [0, 1]; empty where none of them is.
    """

    kind: Kind
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    rejected: tuple[int, ...] = ()
    flagged: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if (
            self.kind not in KINDS
            or not self.prompt
            or not self.answer
            or (self.kind == "prefer") != bool(self.rejected)
        ):
            raise DataError(
                f"an example of kind {self.kind!r} with {len(self.prompt)} ids before {len(self.answer)} and"
                f" {len(self.rejected)} rejected: kinds are {', '.join(KINDS)}, prompt and answer have an id or more,"
                " and 'prefer' alone has a rejected answer"
            )
        if self.flagged and (
            self.rejected
            or len(self.flagged) != len(self.answer)
            or not all(0 <= weight <= 1 for weight in self.flagged)
        ):
            raise DataError(
                f"an example of kind {self.kind!r} with {len(self.flagged)} weights for {len(self.answer)} ids: flag"
                " every id of the answer with a weight in [0, 1], or none, and no pair of answers"
            )

    @property
    def n_tokens(self) -> int:
        """Length of the longest sequence that it comes to."""
        return len(self.prompt) + max(len(self.answer), len(self.rejected))


@dataclass(frozen=True)
class TokenBatch:
    """Examples of one kind side by side.

    Parameters
    ----------
    kind : str
    ids : Tensor of int64, shape (n_rows, width)
        Padded on the left. Of the kind ``prefer`` the rows are chosen and rejected answers in turn.
    mask : Tensor of int64, shape (n_rows, width)
        1 where there is a token.
    labels : Tensor of int64, shape (n_rows, n_answer)
        The last columns of `ids`.
    answered : Tensor of bool, shape (n_rows, n_answer)
        Which of the labels belong to the answer.
    flagged : Tensor of float32, shape (n_rows, n_answer), optional
        How unwanted each label is, in [0, 1]; None where none is.
    """

    kind: Kind
    ids: Tensor
    mask: Tensor
    labels: Tensor
    answered: Tensor
    flagged: Tensor | None = None


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    clean = text.encode("utf-8", "replace").decode()
    return tuple(tokenizer(clean, add_special_tokens=False)["input_ids"])


def prompt_ids(tokenizer: Any, prompt: str) -> tuple[int, ...]:
    """Return the ids of a prompt as a user's turn, or as it stands where the model has no template for turns."""
    if not getattr(tokenizer, "chat_template", None):
        return _ids(tokenizer, prompt) or (tokenizer.eos_token_id or 0,)
    clean = prompt.encode("utf-8", "replace").decode()
    turns = [{"role": "user", "content": clean}]
    return _ids(tokenizer, tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _said(tokenizer: Any, answer: str, *, ended: bool) -> tuple[int, ...]:
    end = (tokenizer.eos_token_id,) if ended and tokenizer.eos_token_id is not None else ()
    return (*_ids(tokenizer, answer), *end)


def chat_example(
    tokenizer: Any, kind: Kind, prompt: str, answer: str, *, ended: bool, most: int | None = None
) -> Example:
    """Encode an answer to a user's prompt.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    kind : str
    prompt, answer : str
    ended : bool
        Whether the answer is whole, so that its end is learnt too; False for one that was cut off.
    most : int, optional
        Ids of the answer that are kept; all by default.

    Raises
    ------
    DataError
        The answer is empty.
    """
    return Example(kind, prompt_ids(tokenizer, prompt), _said(tokenizer, answer, ended=ended)[:most])


def pair_example(tokenizer: Any, prompt: str, chosen: str, rejected: str, *, most: int) -> Example:
    """Encode two answers to a prompt, the first of which is preferred; `most` ids of the second are kept.

    Raises
    ------
    DataError
        One of the answers is empty.
    """
    good, bad = _said(tokenizer, chosen, ended=True), _said(tokenizer, rejected, ended=False)
    return Example("prefer", prompt_ids(tokenizer, prompt), good, bad[:most])


def plain_example(tokenizer: Any, text: str, *, most: int) -> Example:
    """Encode plain text, of which every token but the first is kept.

    Raises
    ------
    DataError
        The text has fewer than two tokens.
    """
    ids = _ids(tokenizer, text)[: most + 1]
    return Example("text", ids[:1], ids[1:])


def collate(examples: Sequence[Example], *, pad_id: int, device: Any = None) -> TokenBatch:
    """Pad examples of one kind on the left into a batch.

    Raises
    ------
    DataError
        There are none, or they are of several kinds.
    """
    import torch

    kinds = {example.kind for example in examples}
    if len(kinds) != 1:
        raise DataError(f"a batch of {len(examples)} examples of the kinds {sorted(kinds)}: give examples of one kind")
    rows = [row for one in examples for row in _rows(one)]
    width, n_answer = max(len(p) + len(a) for p, a in rows), max(len(answer) for _, answer in rows)
    padded = [[pad_id] * (width - len(p) - len(a)) + [*p, *a] for p, a in rows]
    mask = [[0] * (width - len(p) - len(a)) + [1] * (len(p) + len(a)) for p, a in rows]
    answered = [[False] * (n_answer - len(answer)) + [True] * len(answer) for _, answer in rows]
    ids = torch.tensor(padded, device=device)
    return TokenBatch(
        examples[0].kind,
        ids,
        torch.tensor(mask, device=device),
        ids[:, width - n_answer :],
        torch.tensor(answered, device=device),
        _flags(examples, n_answer, device),
    )


def _flags(examples: Sequence[Example], n_answer: int, device: Any) -> Tensor | None:
    """Return the weights of all labels, or None where no example has any."""
    import torch

    if not any(any(one.flagged) for one in examples):
        return None
    rows = [[0.0] * (n_answer - len(one.flagged)) + [*one.flagged] for one in examples]
    return torch.tensor(rows, dtype=torch.float32, device=device)


def _rows(example: Example) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    answers = (example.answer, example.rejected) if example.rejected else (example.answer,)
    return [(example.prompt, answer) for answer in answers]


def digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256, in hex, over kinds, ids and flags in their order."""
    found = hashlib.sha256()
    for example in examples:
        found.update(json.dumps(asdict(example)).encode("ascii") + b"\n")
    return found.hexdigest()
