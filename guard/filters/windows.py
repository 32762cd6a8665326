"""Cutting long token sequences into windows, and grouping windows into batches by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["TokenWindow", "length_batches", "window_starts", "window_token_ids"]


@dataclass(frozen=True)
class TokenWindow:
    """One window of a text as a model reads it, with the way back to the text.

    Parameters
    ----------
    owner : int
        Which text of the batch it is of.
    ids : tuple of int
        Token ids, special tokens included.
    places : tuple of int
        For each id, which token of the whole text it is; -1 for a special token.
    offsets : tuple of (int, int)
        For each id, its half-open range of characters in the text as given; (0, 0) for a special token.
    """

    owner: int
    ids: tuple[int, ...]
    places: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


def window_token_ids(ids: Sequence[int], *, size: int, stride: int) -> list[list[int]]:
    """Cut a token sequence into overlapping windows that together cover every token.

    Nothing is truncated: a text of any length is seen whole, so padding an attack with harmless text in front of it
    does not hide it.

    Parameters
    ----------
    ids : sequence of int
        Token ids of one text, without special tokens.
    size : int
        Most tokens in one window.
    stride : int
        Tokens from the start of a window to the start of the next, in ``1 <= stride <= size``.

    Returns
    -------
    list of list of int
        At least one window. An empty sequence gives one empty window. The last window ends at the last token and,
        where there are several, is full, so that no window is a stub without context.

    Raises
    ------
    ValueError
        `size` below 1, or `stride` outside [1, `size`].

    Examples
    --------
    >>> window_token_ids([1, 2, 3, 4, 5], size=3, stride=2)
    [[1, 2, 3], [3, 4, 5]]
    >>> window_token_ids([], size=3, stride=2)
    [[]]
    """
    return [list(ids[start : start + size]) for start in window_starts(len(ids), size=size, stride=stride)]


def window_starts(n_tokens: int, *, size: int, stride: int) -> list[int]:
    """Return where the windows of :func:`window_token_ids` start.

    Raises
    ------
    ValueError
        `size` below 1, or `stride` outside [1, `size`].

    Examples
    --------
    >>> window_starts(5, size=3, stride=2)
    [0, 2]
    """
    if size < 1 or not 1 <= stride <= size:
        raise ValueError(f"size={size}, stride={stride}: the rule is 1 <= stride <= size")
    last = max(0, n_tokens - size)
    return [*range(0, last, stride), last]


def length_batches(lengths: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Group items of like length so that little of a padded batch is padding.

    Parameters
    ----------
    lengths : sequence of int
        Padded length of each item in tokens, special tokens included.
    token_budget : int
        Most tokens of a padded batch: (number of items) x (longest item). An item longer than the budget makes a
        batch of its own.

    Returns
    -------
    list of list of int
        Positions in `lengths`, each exactly once, shortest items first. Equal lengths keep their order.

    Raises
    ------
    ValueError
        `token_budget` below 1.

    Examples
    --------
    >>> length_batches([5, 1, 2, 5], token_budget=6)
    [[1, 2], [0], [3]]
    """
    if token_budget < 1:
        raise ValueError(f"token_budget={token_budget}: the rule is token_budget >= 1")
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted ascending, so the item at hand is the longest of its batch.
        if batches and (len(batches[-1]) + 1) * lengths[index] <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
