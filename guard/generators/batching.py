"""Which prompts run together, and how wide they are padded, so that no row feels its neighbours.

Exactness on a CPU needs three things (docs/design/determinism.md has the measurements): every row keeps its position
relative to the vector lanes, so widths are multiples of 32; a row never crosses another attention block than it would
alone, so rows of different 512-blocks are not mixed; and no batch is so small, or so free of padding, that the library
takes another kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MIN_ROWS", "batches", "may_join", "padded_width", "refill_pays", "spare_slots"]

MIN_ROWS = 4
"""Smaller batches are filled up with copies: a matrix product of fewer rows takes another kernel in float32."""

_LANES = 32
"""Of bfloat16 in 512 bits; float32 has half as many."""
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
        More than `n_tokens`, so that every batch has a mask; a multiple of 32 while prompt and continuation fit
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


def may_join(n_slots: int, max_new_tokens: int) -> bool:
    """Tell whether a prompt may join a batch that is being written.

    Parameters
    ----------
    n_slots : int
        Width of the cache of those that are in it, which have at least as long prompts.
    max_new_tokens : int

    Returns
    -------
    bool
        Its last token would come to stand where it does in a batch of its own, the last place before a multiple of 32,
        and it would end within one attention block.
    """
    return (n_slots + 1) % _LANES == 0 and n_slots + 1 + max_new_tokens <= _BLOCK


def spare_slots(first: int) -> int:
    """Return how many slots of a cache may be cut off on the left.

    Parameters
    ----------
    first : int
        The first slot that any row needs.

    Returns
    -------
    int
        A multiple of 32, such that at least one column of padding is left.
    """
    return max(first - 1, 0) // _LANES * _LANES


def refill_pays(max_new_tokens: int) -> bool:
    """Tell whether prompts should join while others are being written.

    A row that goes on to the last step leaves its place at most 31 steps before the next prompt may take it. Where that
    is more than a quarter of the steps, a new batch is better.
    """
    return 4 * (-max_new_tokens % _LANES) <= max_new_tokens
