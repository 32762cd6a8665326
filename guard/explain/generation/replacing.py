"""What may stand in the place of a word: its nearest words in a model's own table, and words that say little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from guard.explain.generation.prompt_words import PromptWords

__all__ = ["NEUTRAL", "NearestWords"]

NEUTRAL = ("something", "someone", "it")
"""Words that say little."""


@dataclass(frozen=True)
class NearestWords:
    """The words whose embeddings are nearest by the cosine.

    Parameters
    ----------
    embeddings : ndarray
        float, shape (n_words, hidden).
    words : tuple of str
        The word of each row; empty where a row is no whole word.
    """

    embeddings: npt.NDArray[np.float32]
    words: tuple[str, ...]

    @classmethod
    def of_encoder(cls, encoder: object) -> NearestWords:
        """Take the whole words of an ``EncoderFilter``'s vocabulary."""
        table = encoder.word_embeddings.float().cpu().numpy()  # type: ignore[attr-defined]
        vocabulary: tuple[str, ...] = encoder.vocabulary  # type: ignore[attr-defined]
        return cls(table, tuple(word if word.isalpha() else "" for word in vocabulary))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: at for at, word in enumerate(self.words)}

    def near(self, word: str, n: int) -> list[str]:
        """Return the `n` nearest other words, nearest first; none for a word that is not in the table."""
        at = self._places.get(word.lower())
        if at is None or not word:
            return []
        lengths = np.linalg.norm(self.embeddings, axis=1) + 1e-12
        cosines = self.embeddings @ self.embeddings[at] / (lengths * lengths[at])
        whole = np.array([bool(one) for one in self.words])
        cosines[~whole] = -np.inf
        cosines[at] = -np.inf
        return [_cased(self.words[int(i)], word) for i in np.argsort(-cosines, kind="stable")[:n]]

    def for_prompt(self, text: str, n: int) -> dict[int, Sequence[str]]:
        """Return what may stand for each word of a text: `n` nearest words, and those that say little."""
        words = PromptWords.of(text)
        places = range(len(words.ranges))
        return {at: [*self.near(words.word(at), n), *(_cased(one, words.word(at)) for one in NEUTRAL)] for at in places}


def _cased(new: str, old: str) -> str:
    """Write a word in capitals where the other was."""
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new
