"""Ways in which people respell a text so that readers still read it and filters do not, for the robustness task."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from guard.errors import ConfigError

__all__ = ["PERTURBATIONS", "Perturbation", "perturb"]

Perturbation = Callable[[str, random.Random], str]
"""A text and a source of randomness in, the respelled text out."""

_RATE = 0.3  # share of the characters, or of the words, that a perturbation touches
_SHORTEST_WORD = 4  # shorter words are left alone by what garbles: they would not be read any more

_INVISIBLE = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad")
_MARKS = tuple(map(chr, (0x0300, 0x0301, 0x0302, 0x0307, 0x0308, 0x030A, 0x0323, 0x0331)))
_STRIKE = "\u0336"
_LEFT_TO_RIGHT_OVERRIDE, _POP = "\u202d", "\u202c"
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
_LOOK_ALIKES = dict(zip("aceiopsxyABCEHIKMOPTX", "асеіорѕхуАВСЕНІКМОРТХ", strict=True))
_LEET = dict(zip("aeiostl", "4310$71", strict=True))


def _zero_width(text: str, rng: random.Random) -> str:
    """Put invisible characters between letters."""
    return _after_letters(text, rng, lambda: rng.choice(_INVISIBLE))


def _homoglyph(text: str, rng: random.Random) -> str:
    """Put Cyrillic letters for the Latin ones that they look like."""
    return "".join(_LOOK_ALIKES.get(c, c) if rng.random() < _RATE else c for c in text)


def _full_width(text: str, _: random.Random) -> str:
    """Use the full-width forms of East Asian typography."""
    return text.translate(_FULL_WIDTH)


def _leetspeak(text: str, rng: random.Random) -> str:
    """Put digits and symbols for letters."""
    return "".join(_LEET.get(c.lower(), c) if rng.random() < _RATE else c for c in text)


def _swap(text: str, rng: random.Random) -> str:
    """Exchange two neighbouring letters inside a word."""

    def swapped(word: str) -> str:
        place = rng.randrange(1, len(word) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return _in_words(text, rng, swapped)


def _delete(text: str, rng: random.Random) -> str:
    """Leave out a letter inside a word."""

    def shortened(word: str) -> str:
        place = rng.randrange(1, len(word) - 1)
        return word[:place] + word[place + 1 :]

    return _in_words(text, rng, shortened)


def _insert(text: str, rng: random.Random) -> str:
    """Write a letter inside a word twice or thrice."""

    def stretched(word: str) -> str:
        place = rng.randrange(1, len(word) - 1)
        return word[:place] + word[place] * rng.randint(1, 2) + word[place:]

    return _in_words(text, rng, stretched)


def _spaced(text: str, rng: random.Random) -> str:
    """Spell words out, letter by letter."""
    separator = rng.choice((" ", ".", "-", "_"))
    return _in_words(text, rng, lambda word: separator.join(word))


def _case(text: str, rng: random.Random) -> str:
    """Scatter capitals."""
    return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)


def _bidi(text: str, rng: random.Random) -> str:
    """Put directional overrides around single letters, which change nothing on the screen."""
    return "".join(f"{_LEFT_TO_RIGHT_OVERRIDE}{c}{_POP}" if c.isalpha() and rng.random() < _RATE else c for c in text)


def _combining(text: str, rng: random.Random) -> str:
    """Put accents on letters."""
    return _after_letters(text, rng, lambda: rng.choice(_MARKS))


def _strikethrough(text: str, _: random.Random) -> str:
    """Strike every letter through."""
    return "".join(c + _STRIKE if c.isalpha() else c for c in text)


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "bidi": _bidi,
        "case": _case,
        "combining": _combining,
        "delete": _delete,
        "full_width": _full_width,
        "homoglyph": _homoglyph,
        "insert": _insert,
        "leetspeak": _leetspeak,
        "spaced": _spaced,
        "strikethrough": _strikethrough,
        "swap": _swap,
        "zero_width": _zero_width,
    }
)
"""Every perturbation by its name. Harmful and benign texts get the same ones."""


def perturb(text: str, name: str, *, seed: int) -> str:
    """Respell a text.

    Parameters
    ----------
    text : str
    name : str
        A key of `PERTURBATIONS`.
    seed : int
        The result is a function of (text, name, seed).

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        When there is no such perturbation.

    Examples
    --------
    >>> perturb("attack", "full_width", seed=0)
    'ａｔｔａｃｋ'
    """
    if name not in PERTURBATIONS:
        raise ConfigError(f"no perturbation is called {name!r}; known: {', '.join(PERTURBATIONS)}")
    # A str seeds through SHA-512, which does not differ between processes as hash() would.
    return PERTURBATIONS[name](text, random.Random(f"{name}/{seed}/{len(text)}"))  # noqa: S311


def _after_letters(text: str, rng: random.Random, draw: Callable[[], str]) -> str:
    return "".join(c + draw() if c.isalpha() and rng.random() < _RATE else c for c in text)


def _in_words(text: str, rng: random.Random, change: Callable[[str], str]) -> str:
    """Change a share of the words that are long enough, at least one if there is any."""
    words = text.split(" ")
    candidates = [i for i, word in enumerate(words) if len(word) >= _SHORTEST_WORD and word.isalpha()]
    if candidates:
        for i in rng.sample(candidates, max(1, round(_RATE * len(candidates)))):
            words[i] = change(words[i])
    return " ".join(words)
