"""What a model writes behind the beginnings of a few held-out rows, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guard.train.generator.continuing import continue_greedily
from guard.train.generator.token_rows import TokenRow
from guard.train.generator.tuned import Tuned

__all__ = ["Sample", "continuations", "samples_of"]

_TOKENS = 32
_MOST_PROMPT = 256


@dataclass(frozen=True)
class Sample:
    """One row.

    Parameters
    ----------
    prompt, reference : str
        How it begins and goes on in the data.
    before, after : str
    """

    prompt: str
    reference: str
    before: str
    after: str


def _parted(row: TokenRow) -> tuple[list[int], list[int]]:
    """Part a row in front of what is learnt; a plain text behind its first third."""
    first = row.learnt.index(True)
    place = first if first > 1 else max(1, len(row.ids) // 3)
    return list(row.ids[:place][-_MOST_PROMPT:]), list(row.ids[place : place + 2 * _TOKENS])


def continuations(tuned: Tuned, tokenizer: Any, rows: Sequence[TokenRow]) -> list[str]:
    """Return what the model writes behind the beginning of each row, the likeliest id at each step."""
    made = continue_greedily(
        tuned,
        [_parted(row)[0] for row in rows],
        n_tokens=_TOKENS,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.pad_token_id or 0,
    )
    return [tokenizer.decode(one) for one in made]


def samples_of(
    tokenizer: Any, rows: Sequence[TokenRow], before: Sequence[str], after: Sequence[str]
) -> tuple[Sample, ...]:
    """Put the sides beside each other."""
    parts = [_parted(row) for row in rows]
    return tuple(
        Sample(
            tokenizer.decode(prompt, skip_special_tokens=True),
            tokenizer.decode(rest, skip_special_tokens=True),
            old,
            new,
        )
        for (prompt, rest), old, new in zip(parts, before, after, strict=True)
    )
