"""Typing errors inside a word: neighbours exchanged, a character left out, put in, or replaced."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.words import AttackedText

__all__ = ["DeleteCharacter", "InsertCharacter", "SubstituteCharacter", "SwapNeighbours"]

# Draws are made in the order of TextAttack 0.3.11 and from the same streams: the place from numpy's, the letter from
# Python's. With one seed an example gets the same candidates there and here.


@dataclass(frozen=True)
class _CharacterEdit(ABC):
    """One character of a word is edited.

    Parameters
    ----------
    one : bool
        One place drawn at random; else every place, one candidate each.
    keep_first, keep_last : bool
        Leave the word's first or last character as it is, as readers lean on them.
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

    @abstractmethod
    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        """Return the candidates of a word."""

    def _edited(self, word: str, random: RandomSource, end: int, edit: Callable[[int], str]) -> list[str]:
        """Edit at one or all of the places from the first that may change up to `end`."""
        start = int(self.keep_first)
        if len(word) <= 1 or start >= end:
            return []
        return [edit(i) for i in ([int(random.numpy.randint(start, end))] if self.one else range(start, end))]


@dataclass(frozen=True)
class SwapNeighbours(_CharacterEdit):
    """Two neighbouring characters change places.

    Examples
    --------
    >>> from guard.attacks.words import AttackedText
    >>> text, random = AttackedText.of("abc"), RandomSource(0)
    >>> [[new.text for new in news] for news in SwapNeighbours(one=False).propose([Ask(text, (0,), text, 0, random)])]
    [['bac', 'acb']]
    """

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        def edit(i: int) -> str:
            return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

        return self._edited(word, random, len(word) - 1 - self.keep_last, edit)


@dataclass(frozen=True)
class DeleteCharacter(_CharacterEdit):
    """A character is left out."""

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        return self._edited(word, random, len(word) - self.keep_last, lambda i: word[:i] + word[i + 1 :])


@dataclass(frozen=True)
class _LetterEdit(_CharacterEdit):
    """A letter is written where some characters stood."""

    letters: str = string.ascii_letters

    def _written(self, word: str, random: RandomSource, n_replaced: int) -> list[str]:
        def edit(i: int) -> str:
            return word[:i] + random.python.choice(self.letters) + word[i + n_replaced :]

        return self._edited(word, random, len(word) - self.keep_last, edit)


@dataclass(frozen=True)
class InsertCharacter(_LetterEdit):
    """A character is put before another.

    Parameters
    ----------
    one, keep_first, keep_last : bool
        As for the others.
    letters : str
        One of these, drawn at random.
    """

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        return self._written(word, random, 0)


@dataclass(frozen=True)
class SubstituteCharacter(_LetterEdit):
    """Another letter stands in the place of a character.

    Parameters
    ----------
    one, keep_first, keep_last : bool
        As for the others.
    letters : str
        One of these, drawn at random.
    """

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        return self._written(word, random, 1)
