"""A text that many slips of the pen are in, each read as the likeliest word that it stands for."""

from __future__ import annotations

import functools
import re

from guard.canonical import Canonical
from guard.offsets import Edit, edited
from guard.views import words
from guard.views.chunks import lettered_chunks
from guard.views.respelling import is_name

__all__ = ["likeliest", "reread"]

_WORD = re.compile(r"[a-z]{3,}", re.IGNORECASE)
_LEAST = 0.15  # share of the words that are slips
_MOST_LEFT = 0.3  # share of the words that are not known in the end: more make it another language
_EXCHANGED, _ADDED, _DROPPED, _FIRST = 2.0, 1.5, 0.5, 1.0
"""Nats less likely than neighbours that swapped, or a letter written twice; of that order in the confusion counts of
Kernighan et al. 1990."""


def reread(form: Canonical) -> Canonical:
    """Read all slips of a canonical text, where one word in seven is one; else return it as it is.

    Beside the other readings and not in their place: they keep what common misspellings say, mend fewer of the short
    words, and are wrong in other places.
    """
    found = _WORD.findall(form.text.lower())
    familiar = words.familiar()
    if sum(word not in familiar for word in found) < _LEAST * len(found) or not found:
        return form
    pieces = lettered_chunks(form.text)
    strange = [chunk for chunk in pieces if chunk.core.isalpha() and chunk.core not in familiar]
    edits: list[Edit] = [
        (chunk.start, chunk.end, word)
        for chunk in strange
        if _WORD.fullmatch(chunk.core) and not is_name(form.text, chunk) and (word := likeliest(chunk.core))
    ]
    is_english = len(strange) - len(edits) <= _MOST_LEFT * len(pieces)
    return edited(form, edits) if edits and is_english and len(edits) >= _LEAST * len(pieces) else form


@functools.lru_cache(maxsize=1 << 14)
def likeliest(word: str) -> str | None:
    """Return the word that a slip most likely stands for, by its frequency and by the kind of the slip.

    The noisy channel of Kernighan, Church and Gale 1990, "A Spelling Correction Program Based on a Noisy Channel
    Model", with kinds of slips for single letters.

    Parameters
    ----------
    word : str
        Of small letters a to z, and not known.

    Returns
    -------
    str or None
        None where no usual word is one slip away.

    Examples
    --------
    >>> likeliest("hmoe"), likeliest("stupdi"), likeliest("qqqq")
    ('home', 'stupid', None)
    """
    return min(words.near(word), key=lambda known: words.cost(known) + _unlikeliness(word, known), default=None)


def _unlikeliness(word: str, known: str) -> float:
    """Return how many nats less likely this slip is than the likeliest kinds."""
    first = _FIRST * (word[0] != known[0])
    if len(word) == len(known):
        swapped = sum(a != b for a, b in zip(word, known, strict=True)) == 2
        return 0.0 if swapped else _EXCHANGED + first
    if len(word) < len(known):
        return _DROPPED + first
    place = next((at for at, letter in enumerate(known) if word[at] != letter), len(known))
    return 0.0 if place and word[place] == word[place - 1] else _ADDED + first
