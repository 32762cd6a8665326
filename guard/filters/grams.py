"""Hashed n-grams of characters and words: windows of text to the rows of a weight matrix, in integers alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["HAN", "Grams", "gram_indices", "gram_places", "text_windows"]

Indices = npt.NDArray[np.int64]

# Starts and ends of the ranges of Chinese characters, half open and in order.
_HAN_RANGES = (0x3005, 0x3006, 0x3007, 0x3008, 0x3400, 0xA000, 0xF900, 0xFB00, 0x20000, 0x40000)
HAN = "".join(f"{chr(a)}-{chr(b - 1)}" for a, b in zip(_HAN_RANGES[::2], _HAN_RANGES[1::2], strict=True))
"""Chinese characters, as the inside of a character class."""

_WORD = re.compile(r"\w+|[^\w\s]")
_STEP = 0x9E3779B97F4A7C15
_BASE = 0xD6E8FEB86659FD93
_BASE_INVERSE = pow(_BASE, -1, 2**64)


@dataclass(frozen=True)
class Grams:
    """Which n-grams one block of weights is read for.

    Parameters
    ----------
    kind : {"han", "inside", "word"}
        Runs of characters with at least one Chinese one, runs inside a word and the spaces at its ends, or whole words.
    orders : tuple of int
        Lengths of the runs, in characters or words.
    skips : tuple of int
        Distances of pairs of characters with a gap between them, for ``han``.
    bits : int
        The weights have 2 ** bits rows.
    """

    kind: Literal["han", "inside", "word"]
    orders: tuple[int, ...]
    bits: int
    skips: tuple[int, ...] = ()


def text_windows(text: str, *, size: int, stride: int) -> list[str]:
    """Cut a text into overlapping windows that together cover every character.

    Parameters
    ----------
    text : str
    size, stride : int
        Characters of a window, and from one to the next; ``1 <= stride <= size``. The last window is full.

    Examples
    --------
    >>> text_windows("abcdefg", size=4, stride=2)
    ['abcd', 'cdef', 'defg']
    """
    last = max(0, len(text) - size)
    return [text[start : start + size] for start in (*range(0, last, stride), last)]


def _mixed(hashes: npt.NDArray[np.uint64], tag: int, bits: int) -> npt.NDArray[np.uint64]:
    """Finish hashes (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators", mix64) to so many bits."""
    mixed = hashes + np.uint64(tag * _STEP % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(64 - bits)


def _powers(base: int, n: int) -> npt.NDArray[np.uint64]:
    """Powers 0 to n of a base modulo 2 ** 64."""
    factors = np.full(n + 1, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


class _RunHashes:
    """Hashes of any run of characters in constant time: differences of a running sum (Karp & Rabin 1987)."""

    def __init__(self, codes: npt.NDArray[np.uint64]) -> None:
        terms = (codes + np.uint64(1)) * _powers(_BASE, len(codes))[:-1] if len(codes) else codes
        self._sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)))
        self._back = _powers(_BASE_INVERSE, len(codes))

    def of(self, starts: Indices, ends: Indices) -> npt.NDArray[np.uint64]:
        """Hash ``codes[starts[i]:ends[i]]`` for each i."""
        return (self._sums[ends] - self._sums[starts]) * self._back[starts]


def _is_han(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Tell which characters are Chinese; the same ones as the pattern."""
    edges = np.searchsorted(np.array(_HAN_RANGES, dtype=np.uint32), codes, side="right")
    han: npt.NDArray[np.bool_] = edges % 2 == 1
    return han


def _character_runs(codes: npt.NDArray[np.uint32], grams: Grams) -> Iterator[tuple[int, Indices, Indices]]:
    """Yield for each order its tag and the starts and ends of its runs, none across the end of a window."""
    ends_of_windows = np.concatenate(([0], np.cumsum(codes == 0)))
    wanted = _is_han(codes) if grams.kind == "han" else codes == ord(" ")
    counts = np.concatenate(([0], np.cumsum(wanted)))
    for order in grams.orders:
        starts = np.arange(max(0, len(codes) - order + 1))
        ends = starts + order
        inside = ends_of_windows[ends] == ends_of_windows[starts]
        if grams.kind == "han":
            inside &= counts[ends] > counts[starts]
        else:
            inside &= counts[ends - 1] <= counts[starts + 1]
        yield order, starts[inside], ends[inside]


def _character_hashes(text: str, grams: Grams) -> tuple[Indices, Indices, Indices]:
    """Return the start, end and hashed index of every run of characters in windows that end with NUL."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    runs = _RunHashes(codes.astype(np.uint64))
    found, hashes = [np.zeros((2, 0), np.int64)], [np.zeros(0, np.uint64)]
    for tag, starts, ends in _character_runs(codes, grams):
        found.append(np.stack((starts, ends)))
        hashes.append(_mixed(runs.of(starts, ends), tag, grams.bits))
    for skip in grams.skips:
        _, starts, ends = next(_character_runs(codes, Grams("han", (skip + 1,), grams.bits)))
        pair = codes[starts].astype(np.uint64) << np.uint64(32) | codes[ends - 1].astype(np.uint64)
        found.append(np.stack((starts, ends)))
        hashes.append(_mixed(pair, 100 + skip, grams.bits))
    starts, ends = np.concatenate(found, axis=1)
    return starts, ends, np.concatenate(hashes).astype(np.int64)


def _word_hashes(text: str, grams: Grams) -> tuple[Indices, Indices, Indices]:
    """Return the start, end and hashed index of every run of words; the NUL that ends a window parts words."""
    spans = np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    words = _RunHashes(codes.astype(np.uint64)).of(spans[:, 0], spans[:, 1])
    is_end = codes[spans[:, 0]] == 0
    ends_of_windows = np.concatenate(([0], np.cumsum(is_end)))
    runs = _RunHashes(words)
    found, hashes = [np.zeros((2, 0), np.int64)], [np.zeros(0, np.uint64)]
    for order in grams.orders:
        first = np.arange(max(0, len(words) - order + 1))
        first = first[ends_of_windows[first + order] == ends_of_windows[first]]
        found.append(np.stack((spans[first, 0], spans[first + order - 1, 1])))
        hashes.append(_mixed(runs.of(first, first + order), 50 + order, grams.bits))
    starts, ends = np.concatenate(found, axis=1)
    return starts, ends, np.concatenate(hashes).astype(np.int64)


def gram_places(window: str, grams: Grams) -> tuple[Indices, Indices, Indices]:
    """Return where the n-grams of one window are: starts, ends and indices as :func:`gram_indices` has them.

    Every occurrence of an n-gram is there, unlike in :func:`gram_indices`. Of a pair of characters with a gap the range
    holds the gap too.
    """
    return (_word_hashes if grams.kind == "word" else _character_hashes)(f"{window}\0", grams)


def gram_indices(windows: Sequence[str], grams: Grams) -> tuple[Indices, Indices]:
    """Hash the n-grams of windows.

    Parameters
    ----------
    windows : sequence of str
        Of :func:`prepare` and :func:`text_windows`, without NUL.
    grams : Grams

    Returns
    -------
    rows, indices : ndarray of int64, shape (n_found,)
        Each n-gram of ``windows[rows[i]]`` once, however often it occurs, in ascending order of both. Indices are
        below ``2 ** grams.bits``.

    Notes
    -----
    Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning": no vocabulary is kept. All arithmetic
    is on integers, so a window gives the same indices on every machine and in every batch.
    """
    text = "".join(f"{window}\0" for window in windows)
    places, _, hashes = (_word_hashes if grams.kind == "word" else _character_hashes)(text, grams)
    owners = np.repeat(np.arange(len(windows)), [len(window) + 1 for window in windows])
    keys = np.sort(owners[places] << grams.bits | hashes)
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return keys >> grams.bits, keys & ((1 << grams.bits) - 1)
