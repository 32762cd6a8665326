"""Synonyms from WordNet in the place of a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from guard.attacks.schema import Ask, Kind, RandomSource
from guard.attacks.transformations.swapping import swap_words
from guard.attacks.transformations.wordnet_files import WordNet, find_wordnet
from guard.attacks.words import AttackedText

__all__ = ["SwapSynonym"]


@dataclass(frozen=True)
class SwapSynonym:
    """A word becomes one that shares a sense with it in WordNet.

    Source: Ren et al. 2019, "Generating Natural Language Adversarial Examples through Probability Weighted Word
    Saliency", section 3.2.1, without its named entities.

    Parameters
    ----------
    folder : pathlib.Path, optional
        With WordNet's files; by default looked for by :func:`find_wordnet`, which raises ConfigError when the first
        candidate is asked for and they are not there.
    """

    folder: Path | None = None

    @cached_property
    def _wordnet(self) -> WordNet:
        return WordNet(self.folder if self.folder is not None else find_wordnet())

    @property
    def kind(self) -> Kind:
        """A word for a word."""
        return "swap"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return swap_words(asks, self._replacements)

    def _replacements(self, word: str, _: RandomSource) -> tuple[str, ...]:
        return self._wordnet.synonyms(word)
