"""A prompt as words in place, any of which can be left out or replaced, with the blanks around them kept in order."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guard.explain.schema import Range, Values
from guard.filters.attribution import words

__all__ = ["PromptWords", "over_words"]

_CLOSING = frozenset(".,;:!?)]}%\u2026\u00bb\u201d\u2019")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True)
class PromptWords:
    """The words of a prompt.

    Parameters
    ----------
    text : str
    ranges : tuple of (int, int)
        Of the words, in order, without overlap.

    Examples
    --------
    >>> prompt = PromptWords.of("He said, hello there!")
    >>> [prompt.word(at) for at in range(len(prompt.ranges))]
    ['He', 'said', 'hello', 'there']
    >>> prompt.without([1]), prompt.edited({2: "bye"})
    ('He, hello there!', 'He said, bye there!')
    """

    text: str
    ranges: tuple[Range, ...]

    @classmethod
    def of(cls, text: str) -> PromptWords:
        """Find the words: runs between blanks, less the punctuation at their edges; of unspaced scripts each letter."""
        return cls(text, tuple(piece for range_ in words(text) for piece in _letters(text, *range_)))

    def word(self, at: int) -> str:
        """Return the word at a place, from 0."""
        start, end = self.ranges[at]
        return self.text[start:end]

    def without(self, places: Collection[int]) -> str:
        """Return the text without the words at some places."""
        return self.edited(dict.fromkeys(places, ""))

    def edited(self, changes: Mapping[int, str]) -> str:
        """Return the text with other words in the place of some.

        Parameters
        ----------
        changes : mapping of int to str
            From the place of a word to what stands there then; nothing leaves the word out, with one of the blanks
            around it.
        """
        done, at = "", 0
        for place in sorted(changes):
            start, end = self.ranges[place]
            done += self.text[at:start] + changes[place]
            at = end
            if not changes[place]:
                done, at = _closed(done, self.text, at)
        return done + self.text[at:]


def _letters(text: str, start: int, end: int) -> list[Range]:
    """Cut a run of a script that writes no blanks between words into its letters; any other run stays whole."""
    if text[start:end].isascii() or not any(map(_is_unspaced, text[start:end])):
        return [(start, end)]
    found: list[Range] = []
    for at in range(start, end):
        alone = _is_unspaced(text[at])
        if found and not alone and not _is_unspaced(text[found[-1][0]]):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


def _is_unspaced(letter: str) -> bool:
    return letter.isalpha() and unicodedata.name(letter, "").startswith(_UNSPACED)


def _closed(done: str, text: str, at: int) -> tuple[str, int]:
    """Close the gap that a left-out word leaves between what is done and the text from `at` on."""
    after = text[at : at + 1]
    if after.isspace() and (not done or done[-1].isspace()):
        return done, at + 1
    if done[-1:].isspace() and (not after or after in _CLOSING):
        return done[:-1], at
    return done, at


def over_words(ranges: Sequence[Range], tokens: Sequence[Range], values: Values) -> Values:
    """Add the values of tokens up over words; a token that reaches over several words is shared out equally.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Of words, in order.
    tokens : sequence of (int, int)
        Of tokens; empty ranges, and those that touch no word, count for none.
    values : ndarray
        float64, shape (len(tokens),).

    Returns
    -------
    ndarray
        float64, shape (len(ranges),).
    """
    sums = np.zeros(len(ranges))
    starts, ends = np.array([a for a, _ in ranges]), np.array([b for _, b in ranges])
    for (start, end), value in zip(tokens, values, strict=True):
        if start < end and len(ranges):
            touched = np.flatnonzero((starts < end) & (ends > start))
            sums[touched] += value / max(len(touched), 1)
    return sums
