"""Another reading of a text for filters that are hardened: every word that is not known as a known one a slip away."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from guard.views import words

__all__ = ["readings", "slip_reading"]

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_SHORTEST, _LONGEST, _USUAL = 3, 15, 12_000
_RARE = 12.0  # nats


def slip_reading(text: str) -> str:
    """Read every word that is not known as the known one that it is a slip away from, if there is one.

    Parameters
    ----------
    text : str
        Canonical.

    Returns
    -------
    str
        The text itself where all of its words are known, or far from any known one.

    Notes
    -----
    Word recognition in front of a classifier: Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust Word
    Recognition", section 4, by a dictionary in place of a trained recogniser; of several words a slip away, one that
    is strong language comes first, then the most frequent (Jones et al. 2020, "Robust Encodings", section 4, map all of
    a cluster to its most frequent word). It is read beside the text, not in its place, since names and words of other
    languages are not known either.

    Examples
    --------
    >>> slip_reading("You are stupdi, Anna")
    'You are stupid, Anna'
    """
    return _WORD.sub(lambda match: _known(match[0].lower()) or match[0], text)


def readings(texts: Sequence[str], *, slips: bool) -> tuple[list[str], list[int]]:
    """Return what is to be read: all texts, then the other readings of those that have one; and whose each is.

    Parameters
    ----------
    texts : sequence of str
        Canonical.
    slips : bool
        False for the texts alone.

    Examples
    --------
    >>> readings(["an idoit", "a man"], slips=True)
    (['an idoit', 'a man', 'an idiot'], [0, 1, 0])
    """
    others = [(owner, other) for owner, text in enumerate(texts) if slips and (other := slip_reading(text)) != text]
    return [*texts, *(other for _, other in others)], [*range(len(texts)), *(owner for owner, _ in others)]


@functools.lru_cache(maxsize=1 << 16)
def _known(word: str) -> str | None:
    """Return what an unknown word stands for; None for one that is known, or that nothing is near."""
    if not _SHORTEST <= len(word) <= _LONGEST or word in words.familiar() or words.is_inflected(word):
        return None
    index = _by_deletion()
    near = {known for key in (word, *_shortened(word)) for known in index.get(key, ()) if _one_slip(word, known)}
    strong = [known for known in near if known in words.swears() and words.cost(known) < _RARE]
    return words.best(strong) or words.best(near)


@functools.cache
def _by_deletion() -> Mapping[str, tuple[str, ...]]:
    """Return the usual words by themselves with at most one letter left out (the index of SymSpell, Garbe 2012)."""
    groups: dict[str, list[str]] = {}
    for word in {*itertools.islice(words.costs(), _USUAL), *words.swears()}:
        if _SHORTEST <= len(word) <= _LONGEST:
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
