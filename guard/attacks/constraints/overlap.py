"""How far a candidate may be from the original text: in characters, in words, and in what must stay word for word."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from guard.attacks.schema import Check
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["AtMostWordsPerturbed", "EditDistance", "PhrasesKept"]


def _kept(checks: Sequence[Check], passes: Callable[[AttackedText, AttackedText], bool]) -> list[list[AttackedText]]:
    """Keep the candidates for which `passes` holds of candidate and original."""
    return [[text for text in check.candidates if passes(text, check.original)] for check in checks]


@dataclass(frozen=True)
class EditDistance:
    """At most so many characters put in, taken out or replaced (Levenshtein).

    Parameters
    ----------
    most : int
        At least 0.
    """

    most: int

    def __post_init__(self) -> None:
        """Refuse what is no distance."""
        if self.most < 0:
            raise ConfigError(f"most={self.most}; an edit distance is at least 0")

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates near enough to the original."""
        return _kept(checks, self._passes)

    def _passes(self, text: AttackedText, original: AttackedText) -> bool:
        return Levenshtein.distance(text.text, original.text, score_cutoff=self.most) <= self.most


@dataclass(frozen=True)
class AtMostWordsPerturbed:
    """At most so many words differ from the original's, place by place.

    Parameters
    ----------
    number : int or None
    share : float or None
        Of the shorter text's words, rounded up, in (0, 1]. With both, both hold.

    Raises
    ------
    ConfigError
        Neither is given, or one is out of its range.
    """

    number: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        """Refuse a limit that is none."""
        if self.number is None and self.share is None:
            raise ConfigError("no limit on the words perturbed; give number=, share= or both")
        if (self.number is not None and self.number < 1) or (self.share is not None and not 0 < self.share <= 1):
            raise ConfigError(f"number={self.number}, share={self.share}: number is at least 1, share in (0, 1]")

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates with few enough words changed."""
        return _kept(checks, self._passes)

    def _passes(self, text: AttackedText, original: AttackedText) -> bool:
        n_changed = len(text.differing(original))
        if self.number is not None and n_changed > self.number:
            return False
        return self.share is None or n_changed <= math.ceil(min(text.n_words, original.n_words) * self.share)


@dataclass(frozen=True)
class PhrasesKept:
    """What the attack is about stays: each of these phrases that the original has is in the candidate too.

    Parameters
    ----------
    phrases : tuple of str
        Compared without regard to case.
    """

    phrases: tuple[str, ...]

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates that have them all."""
        return _kept(checks, self._passes)

    def _passes(self, text: AttackedText, original: AttackedText) -> bool:
        before, after = original.text.lower(), text.text.lower()
        return all(phrase.lower() in after for phrase in self.phrases if phrase.lower() in before)
