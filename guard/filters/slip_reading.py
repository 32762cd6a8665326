"""Another reading of a text for filters that are hardened: every word that is not known as a known one a slip away."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from guard.views import words

__all__ = ["SlipReader", "usual_words"]

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_SHORTEST, _LONGEST, _USUAL = 3, 15, 12_000
_FARTHER = 4.0  # nats


class SlipReader:
    """Reads every word that is not known as the known one that it is a slip away from, if there is one.

    Parameters
    ----------
    charged : sequence of str
        Words that a filter finds harmful on their own. Of several words a slip away one of these comes first, unless it
        is over fifty times rarer than the most frequent; without this, whoever evades the filter would pick the slip
        that reads as something mild.

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

    def __init__(self, charged: Sequence[str] = ()) -> None:
        self._charged = frozenset(charged)
        self._known = functools.lru_cache(maxsize=1 << 16)(self._meant)

    def read(self, text: str) -> str:
        """Return the other reading of a canonical text: itself, where all its words are known or far from any."""
        return _WORD.sub(lambda match: self._known(match[0].lower()) or match[0], text)

    def readings(self, texts: Sequence[str]) -> tuple[list[str], list[int]]:
        """Return what is to be read: all texts, then the other readings of those that have one; and whose each is.

        Examples
        --------
        >>> SlipReader().readings(["an idoit", "a man"])
        (['an idoit', 'a man', 'an idiot'], [0, 1, 0])
        """
        others = [(owner, other) for owner, text in enumerate(texts) if (other := self.read(text)) != text]
        return [*texts, *(other for _, other in others)], [*range(len(texts)), *(owner for owner, _ in others)]

    def _meant(self, word: str) -> str | None:
        """Return what an unknown word stands for; None for one that is known, or that nothing is near."""
        if not _SHORTEST <= len(word) <= _LONGEST or word in words.familiar():
            return None
        index = _by_deletion()
        near = {known for key in (word, *_shortened(word)) for known in index.get(key, ()) if _one_slip(word, known)}
        first, harmful = words.best(near), words.best(near & self._charged)
        close = first and harmful and words.cost(harmful) - words.cost(first) <= _FARTHER
        return harmful if close else first


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
