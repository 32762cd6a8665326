"""Goals: what an attack wants of a classifier, and how near a text comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Judged, Probabilities
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["InputReduction", "Targeted", "Untargeted", "decided_labels"]

# Scores are float32, as the victims compute: finer differences are none of theirs.
_Scores = npt.NDArray[np.float32]


def decided_labels(probabilities: Probabilities, threshold: float | None) -> npt.NDArray[np.int64]:
    """Return the label that the victim decides on for each row.

    Parameters
    ----------
    probabilities : Probabilities
    threshold : float or None
        Label 1 from this probability of it on, with two labels; None takes the most probable label, the first of
        equals.

    Raises
    ------
    ConfigError
        A threshold with other than two labels.
    """
    if threshold is None:
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)
    if probabilities.shape[1] != 2:
        raise ConfigError(
            f"threshold={threshold} with {probabilities.shape[1]} labels; a threshold decides between two"
        )
    return (probabilities[:, 1] >= threshold).astype(np.int64)


def _judged(
    probabilities: Probabilities, texts: Sequence[AttackedText], scores: _Scores, met: npt.NDArray[np.bool_]
) -> list[Judged]:
    rows = zip(texts, probabilities.tolist(), scores.tolist(), met.tolist(), strict=True)
    return [Judged(text, tuple(row), score, done) for text, row, score, done in rows]


@dataclass(frozen=True)
class Untargeted:
    """The victim shall not decide on the right label; the score is one less its probability.

    Parameters
    ----------
    threshold : float or None
        Of label 1, for a victim with two labels that decides by one, such as a filter under a policy.
    """

    threshold: float | None = None
    endless = False

    def judge(
        self, probabilities: Probabilities, texts: Sequence[AttackedText], *, original: AttackedText, label: int
    ) -> list[Judged]:
        """Score texts by what the victim says about them."""
        scores = np.float32(1) - probabilities[:, label].astype(np.float32)
        return _judged(probabilities, texts, scores, decided_labels(probabilities, self.threshold) != label)

    def decided(self, probabilities: tuple[float, ...]) -> int:
        """Return the label that the victim decides on."""
        return int(decided_labels(np.array([probabilities]), self.threshold)[0])

    def skips(self, probabilities: tuple[float, ...], label: int) -> bool:
        """Tell whether the victim errs already."""
        return self.decided(probabilities) != label


@dataclass(frozen=True)
class Targeted:
    """The victim shall decide on a label that is not the right one; the score is its probability.

    Parameters
    ----------
    target : int
        Index of the label.
    threshold : float or None
        As in :class:`Untargeted`.
    """

    target: int
    threshold: float | None = None
    endless = False

    def judge(
        self, probabilities: Probabilities, texts: Sequence[AttackedText], *, original: AttackedText, label: int
    ) -> list[Judged]:
        """Score texts by what the victim says about them."""
        if not 0 <= self.target < probabilities.shape[1]:
            raise ConfigError(f"target={self.target}: the victim has labels 0 to {probabilities.shape[1] - 1}")
        scores = probabilities[:, self.target].astype(np.float32)
        return _judged(probabilities, texts, scores, decided_labels(probabilities, self.threshold) == self.target)

    def decided(self, probabilities: tuple[float, ...]) -> int:
        """Return the label that the victim decides on."""
        return int(decided_labels(np.array([probabilities]), self.threshold)[0])

    def skips(self, probabilities: tuple[float, ...], label: int) -> bool:
        """Tell whether the target is right, or what the victim says already."""
        return self.target in (self.decided(probabilities), label)


@dataclass(frozen=True)
class InputReduction:
    """The victim shall keep to the right label on as few words as possible.

    Source: Feng et al. 2018, "Pathologies of Neural Models Make Interpretations Difficult", section 3.

    Parameters
    ----------
    threshold : float or None
        As in :class:`Untargeted`.

    Notes
    -----
    The score is the share of words taken out, plus the label's probability over the number of words as the tie-break,
    at most 1; it is 0 where the victim leaves the label. There is no text at which it would be reached.
    """

    threshold: float | None = None
    endless = True

    def judge(
        self, probabilities: Probabilities, texts: Sequence[AttackedText], *, original: AttackedText, label: int
    ) -> list[Judged]:
        """Score texts by how many words they do without."""
        n_words = max(1, original.n_words)
        # Shares are rounded to float32 before they are added: any other order breaks ties in other ways.
        fewer = [max((original.n_words - text.n_words) / n_words, 0) for text in texts]
        certainty = probabilities[:, label].astype(np.float32) / np.float32(n_words)
        scores = np.minimum(np.array(fewer, dtype=np.float32) + certainty, np.float32(1))
        scores[decided_labels(probabilities, self.threshold) != label] = 0
        return _judged(probabilities, texts, scores, np.zeros(len(texts), dtype=np.bool_))

    def decided(self, probabilities: tuple[float, ...]) -> int:
        """Return the label that the victim decides on."""
        return int(decided_labels(np.array([probabilities]), self.threshold)[0])

    def skips(self, probabilities: tuple[float, ...], label: int) -> bool:
        """Tell whether the victim errs already."""
        return self.decided(probabilities) != label
