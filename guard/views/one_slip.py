"""Known words that are one slip of the pen away from a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guard.views.word_index import WordIndex

__all__ = ["SlipIndex"]


class SlipIndex:
    """Words by themselves with at most one letter left out (the index of SymSpell, Garbe 2012).

    Examples
    --------
    >>> sorted(SlipIndex(["them", "then", "hen"]).near("thn"))
    ['hen', 'then']
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._index = WordIndex(words, lambda word: {word, *_shortened(word)})

    def near(self, word: str) -> set[str]:
        """Return the words that are an insertion, deletion, exchange or swap of neighbours away, or the same."""
        return {known for known in self._index.get(word, *_shortened(word)) if _one_slip(word, known)}


def _shortened(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def _one_slip(a: str, b: str) -> bool:
    if len(a) > len(b):
        a, b = b, a
    start = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    swapped = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return swapped or a[start + 1 :] == b[start + 1 :]
