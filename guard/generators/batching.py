"""Which prompts run together, and how wide they are padded, so that no row feels its neighbours.

Exactness on a CPU needs three things (docs/design/determinism.md has the measurements): every row keeps its position
relative to the vector lanes, so widths are multiples of 16; a row never crosses another attention block than it would
alone, so rows of different 512-blocks are not mixed; and no batch is so small, or so free of padding, that the library
takes another kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MIN_ROWS", "batches", "padded_width"]

MIN_ROWS = 4
"""Smaller batches are filled up with copies: a matrix product of fewer rows takes another kernel in float32."""

_LANES = 16
_BLOCK = 512


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def padded_width(n_tokens: int, max_new_tokens: int) -> int:
    """Return the width to which a prompt is padded on the left.

    Parameters
    ----------
    n_tokens : int
        Length of the prompt, in tokens.
    max_new_tokens : int

    Returns
    -------
    int
        More than `n_tokens`, so that every batch has a mask; a multiple of 16 while prompt and continuation fit
        one attention block of 512 keys, else a multiple of 512.
    """
    width = _up(n_tokens + 1, _LANES)
    return width if width + max_new_tokens <= _BLOCK else _up(n_tokens + 1, _BLOCK)


def batches(lengths: Sequence[int], *, rows: int, max_new_tokens: int) -> list[list[int]]:
    """Group prompts by length into batches of at most `rows`.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each prompt.
    rows : int
        At least 1.
    max_new_tokens : int

    Returns
    -------
    list of list of int
        Indices into `lengths`, longest first, so that memory runs out at the start if it runs out at all. Rows that
        do not fit one attention block only meet rows of their own width.
    """
    groups: list[list[int]] = []
    last_key = None
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        width = padded_width(lengths[index], max_new_tokens)
        key = width if width + max_new_tokens > _BLOCK else 0
        if key != last_key or len(groups[-1]) == rows:
            groups.append([])
        groups[-1].append(index)
        last_key = key
    return groups
