"""The parts that an explanation values: tokens, or words and the marks between them, as ranges of the original text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.explain.schema import Range, Values
from guard.filters.attribution import words
from guard.filters.grams import HAN

__all__ = ["Parts", "Unit", "checked_unit", "parts_of_tokens", "text_parts"]

Unit = Literal["token", "word"]

_HAN = re.compile(f"[{HAN}]")
_RUN = re.compile(r"\S+")


@dataclass(frozen=True)
class Parts:
    """Ranges of a text, and which of a model's tokens make each.

    Parameters
    ----------
    ranges : tuple of (int, int)
        In ascending order, without overlap.
    owners : ndarray
        int64, shape (n_tokens,): the part of each token; -1 for one that is of no part, as special tokens are.
    """

    ranges: tuple[Range, ...]
    owners: npt.NDArray[np.int64]

    def sums(self, values: Values) -> Values:
        """Sum the values of tokens over their parts: float64, shape (len(ranges),)."""
        kept = self.owners >= 0
        return np.bincount(self.owners[kept], weights=values[kept], minlength=len(self.ranges)).astype(np.float64)


def checked_unit(unit: str) -> Unit:
    """Return `unit` where it is one; raises ConfigError."""
    if unit not in get_args(Unit):
        raise ConfigError(f"unit {unit!r} is unknown; give one of {', '.join(get_args(Unit))}")
    return "token" if unit == "token" else "word"


def text_parts(text: str) -> list[Range]:
    """Return the words of a text and the marks between them, in order: all of it but white space.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (int, int)
        Chinese characters stand alone, since nothing parts them into words.

    Examples
    --------
    >>> text_parts("You idiot!! 傻瓜")
    [(0, 3), (4, 9), (9, 11), (12, 13), (13, 14)]
    """
    found: list[Range] = []
    inner = iter(words(text))
    word = next(inner, None)
    for run in _RUN.finditer(text):
        start, end = run.span()
        edges = [start, end]
        if word is not None and word[0] < end:
            edges = sorted({start, *word, end})
            word = next(inner, None)
        for left, right in itertools.pairwise(edges):
            found += _split_han(text, left, right)
    return found


def _split_han(text: str, start: int, end: int) -> list[Range]:
    """Cut a run around each Chinese character in it."""
    edges = {start, end}
    for match in _HAN.finditer(text, start, end):
        edges |= {match.start(), match.end()}
    ordered = sorted(edges)
    return list(itertools.pairwise(ordered))


def parts_of_tokens(text: str, offsets: Sequence[Range], inner: npt.NDArray[np.bool_], unit: Unit) -> Parts:
    """Join tokens to parts.

    Parameters
    ----------
    text : str
    offsets : sequence of (int, int)
        Of each token its range in `text`, in ascending order; tokens may share characters, such as those of an emoji.
    inner : ndarray
        bool, shape (len(offsets),): False at special tokens.
    unit : {"token", "word"}

    Returns
    -------
    Parts
        Every inner token is of a part, and every part has a token: sums over parts are sums over tokens.
    """
    ranges = _shared(offsets, inner) if unit == "token" else text_parts(text)
    owners = np.full(len(offsets), -1, dtype=np.int64)
    at = 0
    for place in np.flatnonzero(inner).tolist():
        while at + 1 < len(ranges) and ranges[at][1] <= offsets[place][0]:
            at += 1
        owners[place] = at
    used, renamed = np.unique(owners[inner], return_inverse=True)
    owners[inner] = renamed
    return Parts(tuple(ranges[index] for index in used), owners)


def _shared(offsets: Sequence[Range], inner: npt.NDArray[np.bool_]) -> list[Range]:
    """Return the ranges of tokens, those that share characters joined."""
    found: list[Range] = []
    for place in np.flatnonzero(inner).tolist():
        start, end = offsets[place]
        if found and start < found[-1][1]:
            found[-1] = (min(start, found[-1][0]), max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
