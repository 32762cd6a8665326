"""Another reading of a text for filters that are hardened: every word that is not known as a known one a slip away."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from guard.offsets import Edit
from guard.views import words

__all__ = ["SlipReader", "highest", "usual_words"]

Logits = npt.NDArray[np.float64]

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_SHORTEST, _LONGEST, _USUAL = 3, 15, 12_000
_FARTHER = 1.2  # nats: three times rarer


class SlipReader:
    """Reads every word that is not known as the known one that it is a slip away from, if there is one.

    Parameters
    ----------
    charged : sequence of str
        Words that a filter finds harmful on their own. Of several words a slip away one of these comes first, unless it
        is over three times rarer than the most frequent; without this, whoever evades the filter would pick the slip
        that reads as something mild.
    columns : sequence of int
        Categories whose score the other reading may raise.

    Notes
    -----
    Word recognition in front of a classifier: Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust Word
    Recognition", section 4, by a dictionary in place of a trained recogniser; to the most frequent word a slip away:
    Jones et al. 2020, "Robust Encodings", section 4. It is read beside the text, not in its place, since names and
    words of other languages are not known either.

    Examples
    --------
    >>> SlipReader().read("You are stupdi, Anna")
    'You are stupid, Anna'
    """

    def __init__(self, charged: Sequence[str] = (), *, columns: Sequence[int] = ()) -> None:
        self._charged, self._columns = frozenset(charged), list(columns)
        self._known = functools.lru_cache(maxsize=1 << 16)(self._meant)

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None, categories: Sequence[str]) -> SlipReader | None:
        """Return what ``slips`` in a filter's ``config.json`` asks for: ``charged`` words and ``categories``."""
        if settings is None:
            return None
        return cls(settings["charged"], columns=[categories.index(name) for name in settings["categories"]])

    def read(self, text: str) -> str:
        """Return the other reading of a canonical text: itself, where all its words are known or far from any."""
        return _WORD.sub(lambda match: self._known(match[0].lower()) or match[0], text)

    def edits(self, text: str) -> list[Edit]:
        """Return the edits of a canonical text that :meth:`read` makes, for the one text that is explained."""
        meant = ((word, self._known(word[0].lower())) for word in _WORD.finditer(text))
        return [(*word.span(), known) for word, known in meant if known]

    @property
    def columns(self) -> tuple[int, ...]:
        """Categories whose score the other reading may raise."""
        return tuple(self._columns)

    def readings(self, texts: Sequence[str]) -> tuple[list[str], list[int]]:
        """Return all texts, then the other readings of those that have one; and the row of each in :func:`highest`.

        Examples
        --------
        >>> SlipReader().readings(["an idoit", "a man"])
        (['an idoit', 'a man', 'an idiot'], [0, 1, 2])
        """
        n = len(texts)
        others = [(row, other) for row, text in enumerate(texts) if (other := self.read(text)) != text]
        return [*texts, *(other for _, other in others)], [*range(n), *(n + row for row, _ in others)]

    def joined(self, logits: Logits) -> Logits:
        """Return log-odds, shape (n, k), from those of texts and then other readings, shape (2 n, k)."""
        n = len(logits) // 2
        joined = logits[:n].copy()
        joined[:, self._columns] = np.maximum(joined[:, self._columns], logits[n:, self._columns])
        return joined

    def _meant(self, word: str) -> str | None:
        """Return what an unknown word stands for; None for one that is known, or that nothing is near."""
        if not _SHORTEST <= len(word) <= _LONGEST or word in words.familiar():
            return None
        index = _by_deletion()
        near = {known for key in (word, *_shortened(word)) for known in index.get(key, ()) if _one_slip(word, known)}
        first, harmful = words.best(near), words.best(near & self._charged)
        close = first and harmful and words.cost(harmful) - words.cost(first) <= _FARTHER
        return harmful if close else first


def highest(logits: Logits, owners: Sequence[int], n: int, slips: SlipReader | None) -> Logits:
    """Return the log-odds of `n` texts, shape (n, k): each category's highest window, and perhaps of the other reading.

    Parameters
    ----------
    logits : ndarray
        float64, shape (n_windows, k).
    owners : sequence of int
        Row of each window: its text, or `n` more for the other reading of that.
    n : int
    slips : SlipReader or None
    """
    found = np.full((n if slips is None else 2 * n, logits.shape[1]), -np.inf)
    np.maximum.at(found, list(owners), logits)
    return found if slips is None else slips.joined(found)


@functools.cache
def usual_words() -> tuple[str, ...]:
    """Return the words that slips are read as, most frequent first."""
    usual = dict.fromkeys([*itertools.islice(words.costs(), _USUAL), *sorted(words.swears())])
    return tuple(word for word in usual if _SHORTEST <= len(word) <= _LONGEST)


@functools.cache
def _by_deletion() -> Mapping[str, tuple[str, ...]]:
    """Return the usual words by themselves with at most one letter left out (the index of SymSpell, Garbe 2012)."""
    groups: dict[str, list[str]] = {}
    for word in usual_words():
        for key in {word, *_shortened(word)}:
            groups.setdefault(key, []).append(word)
    return {key: tuple(group) for key, group in groups.items()}


def _shortened(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def _one_slip(a: str, b: str) -> bool:
    """Whether two words are one insertion, deletion, exchange or swap of neighbours apart."""
    if len(a) > len(b):
        a, b = b, a
    start = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    swapped = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return swapped or a[start + 1 :] == b[start + 1 :]
