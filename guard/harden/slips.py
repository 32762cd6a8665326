"""Slips of the keyboard, word by word: the moves of character attacks, drawn at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

__all__ = ["EDITS", "WORD", "slip", "slips"]

WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|')*")
"""A word: letters, and apostrophes inside."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NEARBY = {
    **{"a": "qwsz", "b": "vghn", "c": "xdfv", "d": "serfcx", "e": "wsdr", "f": "drtgvc", "g": "ftyhbv"},
    **{"h": "gyujnb", "i": "ujko", "j": "huikmn", "k": "jiolm", "l": "kop", "m": "njk", "n": "bhjm", "o": "iklp"},
    **{"p": "ol", "q": "wa", "r": "edft", "s": "awedxz", "t": "rfgy", "u": "yhji", "v": "cfgb", "w": "qase"},
    **{"x": "zsdc", "y": "tghu", "z": "asx"},
}


def _swap(word: str, rng: random.Random) -> str:
    """Exchange two neighbouring letters."""
    at = rng.randrange(max(1, len(word) - 1))
    return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]


def _put(word: str, rng: random.Random) -> str:
    """Write another letter for one."""
    at = rng.randrange(len(word))
    return word[:at] + rng.choice(_LETTERS) + word[at + 1 :]


def _press(word: str, rng: random.Random) -> str:
    """Press the key beside one."""
    at = rng.randrange(len(word))
    return word[:at] + rng.choice(_NEARBY.get(word[at].lower(), _LETTERS)) + word[at + 1 :]


def _delete(word: str, rng: random.Random) -> str:
    """Leave a letter out, but never the only one."""
    at = rng.randrange(len(word))
    return word[:at] + word[at + 1 :] if len(word) > 1 else word


def _insert(word: str, rng: random.Random) -> str:
    """Write a letter too many."""
    at = rng.randrange(len(word) + 1)
    return word[:at] + rng.choice(_LETTERS) + word[at:]


EDITS: Mapping[str, Callable[[str, random.Random], str]] = MappingProxyType(
    {"delete": _delete, "insert": _insert, "press": _press, "put": _put, "swap": _swap}
)
"""One edit of one word by its name; the word is not empty."""


def slip(word: str, rng: random.Random) -> str:
    """Make one slip in a word; one that would leave an apostrophe in front is not made.

    Parameters
    ----------
    word : str
        Not empty.
    rng : random.Random
    """
    slipped = rng.choice(list(EDITS.values()))(word, rng)
    return slipped if WORD.fullmatch(slipped) else word


def slips(text: str, rng: random.Random, *, share: float) -> str:
    """Make one slip in a share of the words of a text.

    Parameters
    ----------
    text : str
    rng : random.Random
    share : float
        Of the words of two letters and more, in [0, 1]; at least one where there is any.

    Returns
    -------
    str

    Notes
    -----
    The moves of Gao et al. 2018, "Black-box Generation of Adversarial Text Sequences to Evade Deep Learning
    Classifiers" (DeepWordBug), section 3.3, and of Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust
    Word Recognition", section 3.1, drawn at random instead of chosen against a model.
    """
    found = [match for match in WORD.finditer(text) if len(match[0]) > 1]
    if not found:
        return text
    chosen = sorted(rng.sample(range(len(found)), max(1, round(share * len(found)))))
    parts, place = [], 0
    for match in (found[index] for index in chosen):
        parts += [text[place : match.start()], slip(match[0], rng)]
        place = match.end()
    return "".join((*parts, text[place:]))
