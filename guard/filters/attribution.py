"""Which words of a text a score came from: evidence of tokens, joined to words, chosen, and joined to spans."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["evident_spans", "evident_words", "joined", "word_evidence", "words"]

_WORD = re.compile(r"\S+")
_EDGE = frozenset(".,;:!?\"'()[]{}<>\u2026\u201c\u201d\u2018\u00ab\u00bb")
_RELATIVE = 0.4
_BESIDE = 0.2
_STRONG, _ENOUGH, _ATTENDED = 0.5, 0.5, 6.0  # chosen on training rows of toxic spans: docs/design/explain.md

Range = tuple[int, int]


def words(text: str) -> list[Range]:
    """Return the words of a text, without punctuation at their edges.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (int, int)
        Half-open ranges in order. A run without any letter or digit stays whole; marks that mask
        a letter (``a**``) stay with their word.

    Examples
    --------
    >>> words('He said: "a***!" :-)')
    [(0, 2), (3, 7), (10, 14), (17, 20)]
    """
    found = []
    for run in _WORD.finditer(text):
        start, end = run.span()
        if not any(char.isalnum() for char in run.group()):
            found.append((start, end))
            continue
        while text[start] in _EDGE:
            start += 1
        while text[end - 1] in _EDGE:
            end -= 1
        found.append((start, end))
    return found


def word_evidence(
    ranges: Sequence[Range], tokens: Sequence[Range], evidence: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum the evidence of tokens over the words that they overlap.

    Parameters
    ----------
    ranges, tokens : sequence of (int, int)
        Of words and of tokens, each in ascending order without overlap.
    evidence : ndarray
        float64, shape (len(tokens),).

    Returns
    -------
    ndarray
        float64, shape (len(ranges),).
    """
    sums = np.zeros(len(ranges))
    at = 0
    for (start, end), value in zip(tokens, evidence, strict=True):
        while at < len(ranges) and ranges[at][1] <= start:
            at += 1
        if at < len(ranges) and ranges[at][0] < end:
            sums[at] += value
    return sums


def evident_words(sums: npt.NDArray[np.float64], *, relative: float = _RELATIVE, beside: float = _BESIDE) -> list[int]:
    """Return the positions of the words that carry most of the positive evidence, in order.

    A word is taken when its evidence is at least `relative` times that of the strongest, or `beside` times and beside a
    taken one.

    Parameters
    ----------
    sums : ndarray
        float64, shape (n,): of all words of a text in order.
    relative, beside : float
        In (0, 1]; 1 for `beside` takes no neighbours.

    Examples
    --------
    >>> evident_words(np.array([0.5, 0.0, 0.5, 2.0, -3.0, 1.0]))
    [2, 3, 5]
    """
    highest = sums.max(initial=0.0)
    if highest <= 0:
        return []
    taken, weak = sums >= relative * highest, sums >= beside * highest
    for order in (range(1, len(sums)), range(len(sums) - 2, -1, -1)):
        step = -1 if order.step > 0 else 1
        for at in order:
            taken[at] |= weak[at] and taken[at + step]
    return [int(at) for at in np.flatnonzero(taken)]


def joined(text: str, ranges: Sequence[Range]) -> list[Range]:
    """Join ranges with no letter or digit between them.

    Examples
    --------
    >>> joined("you filthy, idiot", [(4, 10), (12, 17)])
    [(4, 17)]
    """
    spans: list[Range] = []
    for start, end in ranges:
        if spans and not any(char.isalnum() for char in text[spans[-1][1] : start]):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def evident_spans(
    text: str, tokens: Sequence[Range], evidence: npt.NDArray[np.float64], attended: npt.NDArray[np.float64]
) -> list[tuple[Range, float]]:
    """Return where a text's evidence is, and how much: words with much of it, joined where they are neighbours.

    Parameters
    ----------
    text : str
    tokens : sequence of (int, int)
        Their ranges in `text`, in order; at least one.
    evidence : ndarray
        float64, shape (len(tokens),), in log-odds.
    attended : ndarray
        float64, shape (len(tokens),), summing to at most 1: how much the category looks at each. It helps to choose
        words, six units of evidence in all, and is no part of what is returned.

    Returns
    -------
    list of ((int, int), float)
        Words at least half as strong as the strongest and half a unit; else the strongest alone. With their evidence.
    """
    first, last = tokens[0][0], tokens[-1][1]
    ranges = [(first + start, first + end) for start, end in words(text[first:last])]
    sums = word_evidence(ranges, tokens, evidence)
    strengths = sums + _ATTENDED * word_evidence(ranges, tokens, attended)
    chosen = [at for at in evident_words(strengths, relative=_STRONG, beside=1.0) if strengths[at] >= _ENOUGH]
    chosen = chosen or [int(strengths.argmax())]
    spans = joined(text, [ranges[at] for at in chosen])
    worth = word_evidence(spans, [ranges[at] for at in chosen], sums[chosen])
    return list(zip(spans, worth.tolist(), strict=True))
