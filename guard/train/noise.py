"""Character noise for training: the same garbling on harmful and harmless text, so that garbling itself is no sign."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

__all__ = ["garble"]

_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1", "b": "8", "g": "9"}
_NEARBY = {
    "a": "qsz", "b": "vgn", "c": "xdv", "d": "sfe", "e": "wrd", "f": "dgr", "g": "fht", "h": "gjy", "i": "uok",
    "j": "hku", "k": "jli", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "adw",
    "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "xa",
}  # fmt: skip


def _swap(chars: list[str], at: int, rng: random.Random) -> None:
    if at + 1 < len(chars):
        chars[at], chars[at + 1] = chars[at + 1], chars[at]


def _drop(chars: list[str], at: int, rng: random.Random) -> None:
    chars[at] = ""


def _double(chars: list[str], at: int, rng: random.Random) -> None:
    chars[at] = chars[at] * rng.randint(2, 3)


def _leet(chars: list[str], at: int, rng: random.Random) -> None:
    chars[at] = rng.choice(_LEET.get(chars[at].lower(), chars[at]))


def _nearby(chars: list[str], at: int, rng: random.Random) -> None:
    chars[at] = rng.choice(_NEARBY.get(chars[at].lower(), chars[at]))


def _mask(chars: list[str], at: int, rng: random.Random) -> None:
    chars[at] = rng.choice("*#.-_")


_EDITS: tuple[Callable[[list[str], int, random.Random], None], ...] = (_swap, _drop, _double, _leet, _nearby, _mask)


def _letter_edits(text: str, rng: random.Random) -> str:
    """Edit 2 to 12% of the characters, one kind of edit or a mixture."""
    chars = list(text)
    letters = [index for index, char in enumerate(chars) if char.isalpha()]
    if not letters:
        return text
    edits = _EDITS if rng.random() < 0.5 else (rng.choice(_EDITS),)
    for at in rng.sample(letters, max(1, round(len(letters) * rng.uniform(0.02, 0.12)))):
        if chars[at]:
            rng.choice(edits)(chars, at, rng)
    return "".join(chars)


def _leet_words(text: str, rng: random.Random) -> str:
    """Write a third of the words in digits and signs."""
    words = text.split(" ")
    for index, word in enumerate(words):
        if rng.random() < 1 / 3:
            words[index] = "".join(rng.choice(_LEET.get(char.lower(), char)) for char in word)
    return " ".join(words)


def _respace(text: str, rng: random.Random) -> str:
    """Space out one or two words letter by letter, or glue a few together."""
    words = text.split(" ")
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(words))
        if rng.random() < 0.6:
            words[at] = rng.choice(" .-_").join(words[at])
        elif at + 1 < len(words):
            words[at : at + 2] = [words[at] + words[at + 1]]
    return " ".join(words)


def _squeeze_words(text: str, rng: random.Random) -> str:
    """Hide a third of the longer words: vowels dropped, vowels masked, letters swapped inside, or stretched."""
    words = text.split(" ")
    for index, word in enumerate(words):
        if len(word) > 3 and rng.random() < 1 / 3:
            words[index] = word[0] + rng.choice(_SQUEEZES)(word[1:-1], rng) + word[-1]
    return " ".join(words)


def _drop_vowels(inner: str, rng: random.Random) -> str:
    return re.sub("[aeiouAEIOU]", "", inner)


def _mask_vowels(inner: str, rng: random.Random) -> str:
    return re.sub("[aeiouAEIOU]", rng.choice("*#_.-@"), inner)


def _mask_inner(inner: str, rng: random.Random) -> str:
    return rng.choice("*#-_") * len(inner)


def _shuffle_inner(inner: str, rng: random.Random) -> str:
    return "".join(rng.sample(inner, len(inner)))


def _stretch(inner: str, rng: random.Random) -> str:
    at = rng.randrange(len(inner))
    return inner[:at] + inner[at] * rng.randint(2, 5) + inner[at + 1 :]


_SQUEEZES: tuple[Callable[[str, random.Random], str], ...] = (
    _drop_vowels, _drop_vowels, _mask_vowels, _mask_inner, _shuffle_inner, _stretch,
)  # fmt: skip


def _recase(text: str, rng: random.Random) -> str:
    """Shout, whisper, or alternate."""
    kind = rng.randrange(3)
    if kind == 2:
        return "".join(char.upper() if index % 2 else char.lower() for index, char in enumerate(text))
    return text.lower() if kind else text.upper()


def garble(text: str, rng: random.Random) -> str:
    """Garble a text in one of the ways in which people evade a filter or simply mistype.

    Parameters
    ----------
    text : str
    rng : random.Random
        Source of all randomness.

    Returns
    -------
    str
        Characters swapped, dropped, doubled, masked or replaced by look-alikes, words spaced, glued or
        without vowels, or other case.
    """
    edit = rng.choices((_letter_edits, _leet_words, _respace, _squeeze_words, _recase), weights=(5, 2, 2, 3, 1))[0]
    return edit(text, rng)
