"""The wrong character of the right place: the key beside it, or a letter that looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.words import AttackedText

__all__ = ["PressKeyBeside", "SwapHomoglyph"]

_BESIDE = {
    **{"q": "was", "w": "qeasd", "e": "wsdfr", "r": "edfgt", "t": "rfghy", "y": "tghju", "u": "yhjki", "i": "ujklo"},
    **{"o": "iklp", "p": "ol", "a": "qwszx", "s": "qweadzx", "d": "werfcxs", "f": "ertgvcd", "g": "rtyhbvd"},
    **{"h": "tyugjbn", "j": "yuikmnh", "k": "uiolmj", "l": "iopk", "z": "asx", "x": "sdzc", "c": "xdfv", "v": "cfgb"},
    **{"b": "vghn", "n": "bhjm", "m": "njk"},
}

_LOOK_ALIKES = dict(
    zip(
        "-9876543210'abcdefghijklmnopqrstuvwxyz",
        "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ",
        strict=True,
    )
)


@dataclass(frozen=True)
class PressKeyBeside:
    """A letter becomes one whose key lies beside it on a QWERTY keyboard, in its case.

    Source: Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust Word Recognition", section 3.

    Parameters
    ----------
    one : bool
        One place and one key drawn at random; else every key of every place.
    keep_first, keep_last : bool
        Leave the word's first or last character as it is.
    """

    one: bool = True
    keep_first: bool = False
    keep_last: bool = False

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        # TextAttack's bounds: the last place counts only where it may change, and a single one is passed over.
        start, last = int(self.keep_first), len(word) - 1 - self.keep_last
        if len(word) <= 1 or start >= last:
            return []
        if not self.one:
            return [word[:i] + key + word[i + 1 :] for i in range(start, last + 1) for key in _keys_beside(word[i])]
        i = random.python.randrange(start, last + 1)
        keys = _keys_beside(word[i])
        return [word[:i] + random.python.choice(keys) + word[i + 1 :]] if keys else []


def _keys_beside(character: str) -> list[str]:
    keys = _BESIDE.get(character.lower(), "")
    return list(keys.upper() if character.isupper() else keys)


@dataclass(frozen=True)
class SwapHomoglyph:
    """A character becomes one of another script that looks like it.

    Parameters
    ----------
    one : bool
        One place drawn at random; else every place.
    """

    one: bool = False

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        places = [int(random.numpy.randint(0, len(word)))] if self.one else range(len(word))
        return [word[:i] + _LOOK_ALIKES[word[i]] + word[i + 1 :] for i in places if word[i] in _LOOK_ALIKES]
