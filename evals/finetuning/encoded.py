"""Checked rows as ids, with what of them cannot be learnt from, and the ids that a perplexity is taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.finetuning.request import Extras, FinetuneRequest
from evals.finetuning.texts import TrainingText
from guard.errors import DataError
from guard.train.generator.encoding import Encoded, encode_dialogue, encode_text
from guard.train.generator.token_rows import TokenRow

__all__ = ["EncodedRows", "counted", "encode_rows", "n_chars"]


@dataclass(frozen=True)
class EncodedRows:
    """Rows as ids.

    Parameters
    ----------
    rows : tuple of TokenRow
    n_cut : int
        Dialogues that lost their beginning.
    n_split : int
        Texts that go on in another row.
    n_empty : int
        Rows that nothing can be learnt from.
    """

    rows: tuple[TokenRow, ...]
    n_cut: int
    n_split: int
    n_empty: int


def encode_rows(
    tokenizer: Any, texts: Sequence[TrainingText], request: FinetuneRequest, *, most: int, extras: Extras | None = None
) -> EncodedRows:
    """Encode rows as the request asks for.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    texts : sequence of TrainingText
    request : FinetuneRequest
    most : int
        Ids of a row.
    extras : Extras, optional
        Of the rows that are learnt from; those that are measured on are encoded as they stand.

    Raises
    ------
    DataError
        Nothing can be learnt from any of them.
    """
    made = [_encoded(tokenizer, text, request, most, extras) for text in texts]
    rows = tuple(row for one in made for row in one.rows)
    if not rows:
        raise DataError(f"none of {len(texts)} rows has an id to learn: give longer texts, or more --max-tokens")
    return EncodedRows(
        rows,
        sum(one.n_cut > 0 for one in made),
        sum(len(one.rows) > 1 for one in made),
        sum(not one.rows for one in made),
    )


def _encoded(tokenizer: Any, text: TrainingText, request: FinetuneRequest, most: int, extras: Extras | None) -> Encoded:
    own = extras.encode(tokenizer, text, most) if extras is not None and extras.encode is not None else None
    if own is not None:
        return own
    unit = text.unit or text.id
    if text.is_plain:
        return encode_text(tokenizer, text.turns[0].content, most=most, unit=unit)
    return encode_dialogue(
        tokenizer,
        text.turns,
        most=most,
        unit=unit,
        answers_only=request.answers_only,
        templated=request.form != "plain",
    )


def counted(rows: Sequence[TokenRow], nats: Sequence[Sequence[float]], eos_id: int | None) -> list[list[float]]:
    """Leave the marks that end a text out of its nats.

    Parameters
    ----------
    rows : sequence of TokenRow
    nats : sequence of sequence of float
        Of every learnt id, by row.
    eos_id : int or None
    """
    return [
        [value for one, value in zip(_learnt(row), values, strict=True) if one != eos_id]
        for row, values in zip(rows, nats, strict=True)
    ]


def n_chars(tokenizer: Any, rows: Sequence[TokenRow], eos_id: int | None) -> int:
    """Return how many characters the ids that count come to."""
    return sum(len(tokenizer.decode([one for one in _learnt(row) if one != eos_id])) for row in rows)


def _learnt(row: TokenRow) -> list[int]:
    return [one for one, mark in zip(row.ids, row.learnt, strict=True) if mark]
