"""Which words may change at all, told before a transformation runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from guard import assets
from guard.attacks.schema import Transformation
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["AtMostModified", "LongWords", "NotStopWords", "NotTwice"]

# The sets below are made step by step as TextAttack makes them: their order in memory is the order in which random
# transformations draw and equal words are ranked.


@dataclass(frozen=True)
class NotTwice:
    """A word that was changed is not changed again."""

    def indices(self, text: AttackedText, transformation: Transformation) -> set[int]:
        """Return the words that may change."""
        return set(range(text.n_words)) - text.modified


@dataclass(frozen=True, init=False)
class NotStopWords:
    """Stop words are not swapped for others. They may be left out: what takes words out is not held back.

    Parameters
    ----------
    words : iterable of str
        As they are compared: a capital is another word.
    """

    words: frozenset[str] = field(repr=False)
    digest: str

    def __init__(self, words: Iterable[str]) -> None:
        object.__setattr__(self, "words", frozenset(words))
        digest = hashlib.sha256("\n".join(sorted(self.words)).encode()).hexdigest()[:12]
        object.__setattr__(self, "digest", digest)

    @classmethod
    def english(cls) -> NotStopWords:
        """Use NLTK's English stop words, from the asset ``nltk-stopwords``.

        Raises
        ------
        AssetError
            It cannot be had.
        """
        path = assets.path("nltk-stopwords") / "corpora" / "stopwords" / "english"
        return cls(path.read_text(encoding="utf-8").split())

    def indices(self, text: AttackedText, transformation: Transformation) -> set[int]:
        """Return the words that may change."""
        if transformation.kind != "swap":
            return set(range(text.n_words))
        kept: set[int] = set()
        for index, word in enumerate(text.words):
            if word not in self.words:
                kept.add(index)
        return kept


@dataclass(frozen=True)
class LongWords:
    """Words shorter than `n_characters` are left alone."""

    n_characters: int

    def __post_init__(self) -> None:
        """Refuse a length below 1."""
        _at_least_one(self.n_characters, "n_characters")

    def indices(self, text: AttackedText, transformation: Transformation) -> set[int]:
        """Return the words that may change."""
        return {index for index, word in enumerate(text.words) if len(word) >= self.n_characters}


@dataclass(frozen=True)
class AtMostModified:
    """Nothing more may change once `n_words` words have."""

    n_words: int

    def __post_init__(self) -> None:
        """Refuse a number below 1."""
        _at_least_one(self.n_words, "n_words")

    def indices(self, text: AttackedText, transformation: Transformation) -> set[int]:
        """Return the words that may change."""
        return set() if len(text.modified) >= self.n_words else set(range(text.n_words))


def _at_least_one(number: int, name: str) -> None:
    if number < 1:
        raise ConfigError(f"{name}={number}; give at least 1")
