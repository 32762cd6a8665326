"""How near a candidate must stay in meaning: the whole sentence by an encoder, the changed words by a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Check
from guard.attacks.sentences import SentenceEncoder
from guard.attacks.word_table import WordTable
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["SimilarSentence", "SimilarWords"]

Metric = Literal["cosine", "angular"]


@dataclass(frozen=True)
class SimilarSentence:
    """The sentence vectors of candidate and original are near.

    Parameters
    ----------
    encoder : SentenceEncoder
    least : float
        Of the similarity, in [-1, 1].
    metric : {"cosine", "angular"}
        ``angular`` is ``1 - arccos(cosine) / pi``, in [0, 1] (Cer et al. 2018, equation 1).
    against : {"original", "current"}
        The text that the attack began with, or the one before the change.
    window_words : int or None
        Compare so many words around the first changed word only; None compares whole texts.
    skip_shorter : bool
        Let pass what is shorter than the window, as TextFooler's code does.

    Notes
    -----
    The published recipes take the Universal Sentence Encoder, which cannot be had here; the encoder is
    all-MiniLM-L6-v2. Its cosines are lower for the same change, so a threshold of one is not a threshold of the other.
    What is measured is kept with the candidate, so that a search can choose the most similar success.
    """

    encoder: SentenceEncoder
    least: float
    metric: Metric = "cosine"
    against: Literal["original", "current"] = "original"
    window_words: int | None = None
    skip_shorter: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no similarity."""
        if not -1 <= self.least <= 1 or self.metric not in ("cosine", "angular"):
            raise ConfigError(f"least={self.least}, metric={self.metric!r}: least in [-1, 1], metric cosine or angular")
        if self.window_words is not None and self.window_words < 1:
            raise ConfigError(f"window_words={self.window_words}; give at least 1, or None for whole texts")

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates that stay near, each with its similarity."""
        pairs = [(at, text, self._pair(check, text)) for at, check in enumerate(checks) for text in check.candidates]
        compared = [pair for _, _, pair in pairs if pair is not None]
        vectors = self.encoder.vectors([text for pair in compared for text in pair])
        measured = iter(self._similarity(one, other) for one, other in zip(vectors[::2], vectors[1::2], strict=True))
        kept: list[list[AttackedText]] = [[] for _ in checks]
        for at, text, pair in pairs:
            similarity = next(measured) if pair is not None else 1.0
            if similarity >= self.least:
                kept[at].append(replace(text, similarity=similarity))
        return kept

    def _pair(self, check: Check, text: AttackedText) -> tuple[str, str] | None:
        """Return what is compared with what; None where nothing is."""
        reference = check.original if self.against == "original" else check.current
        if self.window_words is None:
            return text.text, reference.text
        if self.skip_shorter and text.n_words < self.window_words:
            return None
        at = min(text.newly_modified, default=0)
        if not text.n_words or not reference.n_words:
            return text.text, reference.text
        there = min(at, reference.n_words - 1)
        return text.window(min(at, text.n_words - 1), self.window_words), reference.window(there, self.window_words)

    def _similarity(self, one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
        cosine = float(np.clip(one @ other, -1, 1))
        return cosine if self.metric == "cosine" else 1 - math.acos(cosine) / math.pi


@dataclass(frozen=True)
class SimilarWords:
    """Every newly changed word is near the one that it stands for.

    Parameters
    ----------
    table : WordTable
    least : float
        Cosine, in [-1, 1].
    pass_unknown : bool
        Let a pair pass of which the table lacks a word.

    Notes
    -----
    A change of the number of words is let pass: there is no pair to compare.
    """

    table: WordTable
    least: float
    pass_unknown: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no cosine."""
        if not -1 <= self.least <= 1:
            raise ConfigError(f"least={self.least}: a cosine lies in [-1, 1]")

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates whose changed words stay near."""
        return [[text for text in check.candidates if self._passes(text, check.current)] for check in checks]

    def _passes(self, text: AttackedText, current: AttackedText) -> bool:
        if text.n_words != current.n_words:
            return True
        pairs = [(text.words[index], current.words[index]) for index in sorted(text.newly_modified)]
        return all(self._near(*pair) for pair in pairs)

    def _near(self, one: str, other: str) -> bool:
        cosine = self.table.cosine(one, other)
        return self.pass_unknown if cosine is None else cosine >= self.least
