"""A word becomes one whose embedding is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.word_table import WordTable
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["SwapNearWord"]


@dataclass(frozen=True)
class SwapNearWord:
    """A word becomes one of its nearest neighbours in a table of word embeddings.

    Parameters
    ----------
    table : WordTable
        Words that it lacks are left alone.
    n : int
        Most neighbours, at least 1.
    least : float
        Least cosine, in [-1, 1].

    Notes
    -----
    Jin et al. 2020, "Is BERT Really Robust?", section 3, step 2, takes counter-fitted vectors, in which opposites lie
    far apart; they have no home that can be counted on. In the embeddings of a language model opposites lie near, so a
    neighbour may turn the meaning over: hold it with a constraint on the sentence.
    """

    table: WordTable
    n: int = 50
    least: float = -1.0

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        if self.n < 1 or not -1 <= self.least <= 1:
            raise ConfigError(f"n={self.n}, least={self.least}: n is at least 1, least in [-1, 1]")

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask, nearest first."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, random: RandomSource) -> list[str]:
        return self.table.near(word, n=self.n, least=self.least)
