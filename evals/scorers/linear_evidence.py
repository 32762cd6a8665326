"""What the linear judge's log-odds is the sum of: every n-gram of a text, where it is, and what it adds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import HashingVectorizer

from guard.canonical import canonicalize
from guard.filters.ngram import Evidence
from guard.offsets import Canonical, edited, same_length

__all__ = ["linear_evidence"]

Gram = tuple[str, tuple[int, int]]


def linear_evidence(
    text: str,
    weights: npt.NDArray[np.float64],
    bias: float,
    *,
    token: str,
    n_words: int,
    word_orders: tuple[int, int] = (1, 2),
    char_orders: tuple[int, int] = (2, 5),
) -> Evidence:
    """Return the terms of one category's log-odds.

    Parameters
    ----------
    text : str
    weights : ndarray
        float64, shape (n_features,): of words and pairs first, then of characters inside words.
    bias : float
    token : str
        The pattern of a word.
    n_words : int
        Features of the first kind.
    word_orders, char_orders : (int, int)
        Shortest and longest n-grams of each kind.

    Returns
    -------
    Evidence
        Each kind has unit length in its row, so every occurrence adds its sign times its weight over that length:
        counts of an n-gram are sums of its occurrences.
    """
    form = _form(text)
    terms: list[tuple[tuple[int, int], float]] = []
    for grams, some in (
        (list(_word_grams(form.text, token, word_orders)), weights[:n_words]),
        (list(_character_grams(form.text, char_orders)), weights[n_words:]),
    ):
        values = _values([gram for gram, _ in grams], some)
        terms += [(form.span(*place), value) for (_, place), value in zip(grams, values, strict=True)]
    return Evidence(bias + sum(value for _, value in terms), bias, tuple(terms))


def _form(text: str) -> Canonical:
    """Return what the judge reads, in lower case, with its way back to the text."""
    form = canonicalize(text)
    form = same_length(form, form.text.replace("\u2019", "'"))
    # Some letters are longer in lower case.
    form = edited(form, [(at, at + 1, char.lower()) for at, char in enumerate(form.text) if len(char.lower()) > 1])
    return same_length(form, form.text.lower())


def _word_grams(text: str, token: str, orders: tuple[int, int]) -> Iterator[Gram]:
    """Yield runs of words, written with single spaces."""
    words = [match.span() for match in re.finditer(token, text)]
    for order in range(orders[0], orders[1] + 1):
        for at in range(len(words) - order + 1):
            some = words[at : at + order]
            yield " ".join(text[start:end] for start, end in some), (some[0][0], some[-1][1])


def _character_grams(text: str, orders: tuple[int, int]) -> Iterator[Gram]:
    """Yield runs of characters inside words and the spaces at their ends; a word that is too short counts once."""
    for match in re.finditer(r"\S+", text):
        padded, start, end = f" {match[0]} ", match.start() - 1, match.end()
        for order in range(orders[0], orders[1] + 1):
            for at in range(max(1, len(padded) - order + 1)):
                yield padded[at : at + order], (max(start + at, start + 1), min(start + at + order, end))
            if len(padded) <= order:
                break


def _values(grams: Sequence[str], weights: npt.NDArray[np.float64]) -> list[float]:
    """Return what each occurrence adds."""
    if not grams:
        return []
    hasher = HashingVectorizer(n_features=len(weights), analyzer=lambda gram: [gram], norm=None)
    rows = hasher.transform(grams)
    counts = np.asarray(rows.sum(axis=0)).ravel()
    length = np.sqrt(np.square(counts).sum())
    values: list[float] = (rows @ weights / length if length else np.zeros(len(grams))).tolist()
    return values
