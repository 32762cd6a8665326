"""Other numbers in the place of numbers, of the same size and in the same writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["ChangeNumber"]

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_UNTOUCHED = (0, 2, 4)  # "0", "2" and "4" may stand for a letter or a word
_LONGEST = 15  # digits; a longer one is a code, not a count


@dataclass(frozen=True)
class ChangeNumber:
    """A number in digits, or in a word up to twenty, becomes another one.

    Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList", invariance tests.

    Parameters
    ----------
    share : float
        How far the new one may be from the old one, as a share of it, in (0, 1].
    n : int
        How many are drawn.
    """

    share: float = 1.0
    n: int = 3

    def __post_init__(self) -> None:
        """Refuse what changes nothing."""
        if not 0 < self.share <= 1 or self.n < 1:
            raise ConfigError(f"share={self.share}, n={self.n}: share is in (0, 1], n at least 1")

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        lower = word.lower()
        if lower in _WORDS:
            drawn = self._drawn(_WORDS.index(lower), random, most=len(_WORDS))
            return [_WORDS[number].capitalize() if word[0].isupper() else _WORDS[number] for number in drawn]
        if word.isascii() and word.isdigit() and len(word) <= _LONGEST:
            return [str(number) for number in self._drawn(int(word), random, most=None)]
        return []

    def _drawn(self, number: int, random: RandomSource, *, most: int | None) -> list[int]:
        if number in _UNTOUCHED:
            return []
        change = int(number * self.share) + 1
        above = number + change if most is None else min(number + change, most)
        return [int(drawn) for drawn in random.numpy.randint(max(number - change, 1), above, self.n, dtype="int64")]
