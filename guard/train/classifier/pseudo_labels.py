"""Pseudo-labels: which unlabelled rows a filter is sure of, by class, and how right it is on rows that are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.train.classifier.temperature import fit, probabilities

__all__ = ["Accepted", "PseudoRule", "accept", "flexible_thresholds", "held_out"]

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.int8]

REJECTED = -1


@dataclass(frozen=True)
class PseudoRule:
    """When the answer of a filter is taken for a label.

    Parameters
    ----------
    confidence : float
        tau of FixMatch, in [0.5, 1): what a class that is learnt well must reach.
    precision : float
        Share of the accepted labels of either class that must be right, in [0.5, 1), as estimated on labelled rows; and
        the least calibrated confidence of each. Of both classes together it would say little: to call everything
        harmless is right as often as harm is rare.
    least : int
        Accepted rows with a label of their own below which that share cannot be told, and nothing is accepted; of
        either class a quarter of it.
    """

    confidence: float = 0.95
    precision: float = 0.9
    least: int = 20

    def __post_init__(self) -> None:
        if not (0.5 <= self.confidence < 1 and 0.5 <= self.precision < 1 and self.least >= 1):
            raise ConfigError(f"{self}: confidence and precision are in [0.5, 1), and least is at least 1")


@dataclass(frozen=True)
class Accepted:
    """What a rule accepted in one round.

    Parameters
    ----------
    n_judged, n_accepted : int
        Unlabelled rows.
    n_held_out, hits, trials : int
        Labelled rows that take no part in training; those of them that the rule accepts (`trials`), and of these those
        whose label is the one given (`hits`).
    hits_harmful, trials_harmful : int
        The same where the label given is harmful.
    thresholds : (float, float)
        Least confidence of a harmless and of a harmful label.
    used : bool
        Whether they were learnt from.
    """

    n_judged: int
    n_accepted: int
    n_held_out: int
    hits: int
    trials: int
    hits_harmful: int
    trials_harmful: int
    thresholds: tuple[float, float]
    used: bool

    def record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def flexible_thresholds(chances: Floats, *, confidence: float) -> tuple[float, float]:
    """Lower the threshold of a class that few rows reach: it is learnt less well so far.

    Parameters
    ----------
    chances : ndarray
        float64, shape (n,): probability of harm of unlabelled rows.
    confidence : float
        Of the class that most rows reach.

    Returns
    -------
    (float, float)
        Of harmless and of harmful labels, each in [0, confidence].

    Notes
    -----
    Zhang et al. 2021, "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling", equations 5 to 7
    and, while most rows reach no threshold yet, 10; the convex mapping x / (2 - x) of equation 11.

    Examples
    --------
    >>> low, high = flexible_thresholds(np.array([0.01, 0.02, 0.03, 0.04, 0.99, 0.6]), confidence=0.9)
    >>> round(low, 3), round(high, 3)
    (0.9, 0.129)
    """
    sure = np.maximum(chances, 1 - chances) > confidence
    counts = np.array([int((sure & (chances < 0.5)).sum()), int((sure & (chances >= 0.5)).sum())], dtype=np.float64)
    unsure = len(chances) - counts.sum()
    learnt = counts / max(float(counts.max()), float(unsure), 1.0)
    low, high = (learnt / (2 - learnt) * confidence).tolist()
    return low, high


def accept(chances: Floats, thresholds: Sequence[float]) -> Marks:
    """Return the label of each row, 0 or 1, or -1 where its confidence is below the threshold of its class.

    Parameters
    ----------
    chances : ndarray
        float64, shape (n,): probability of harm.
    thresholds : (float, float)
        Of harmless and of harmful labels.
    """
    labels = (chances >= 0.5).astype(np.int8)
    enough = np.maximum(chances, 1 - chances) >= np.asarray(thresholds)[labels]
    return np.where(enough, labels, REJECTED).astype(np.int8)


def _thresholds(chances: Floats, rule: PseudoRule) -> tuple[float, float]:
    """Return FlexMatch's thresholds, but none below the precision that each single label is asked to have."""
    low, high = flexible_thresholds(chances, confidence=rule.confidence)
    return max(low, rule.precision), max(high, rule.precision)


def held_out(unlabelled: Floats, logits: Floats, labels: Floats, rule: PseudoRule) -> tuple[Marks, Accepted]:
    """Label unlabelled rows, and estimate on labelled ones how right that is.

    Parameters
    ----------
    unlabelled : ndarray
        float64, shape (n,): log-odds of harm as the filter gives them.
    logits, labels : ndarray
        float64, shape (m,): of rows that are not trained on, drawn as the unlabelled ones were. Their order must say
        nothing about them: those in even and in odd places are calibrated on each other.
    rule : PseudoRule

    Returns
    -------
    marks : ndarray
        int8, shape (n,): 0, 1, or -1 for a row that is not accepted. All are -1 where the estimate of either class is
        below `rule.precision` or rests on too few rows, or where labels of one class alone would be accepted.
    Accepted

    Notes
    -----
    Sohn et al. 2020, "FixMatch", equation 4, with confidence after temperature scaling and a threshold a class: that
    of FlexMatch, but never below the asked precision: a mean over confident rows must not pay for doubtful ones. Each
    half of the labelled rows is judged with a calibration and thresholds of the other half: no row vouches for itself.
    """
    marks_held = np.full(len(labels), REJECTED, dtype=np.int8)
    for half in (0, 1):
        scale = fit(logits[1 - half :: 2], labels[1 - half :: 2])
        thresholds = _thresholds(probabilities(scale.apply(unlabelled)), rule)
        marks_held[half::2] = accept(probabilities(scale.apply(logits[half::2])), thresholds)
    chances = probabilities(fit(logits, labels).apply(unlabelled))
    thresholds = _thresholds(chances, rule)
    marks = accept(chances, thresholds)
    right, harmful = marks_held == labels, marks_held == 1
    taken = marks_held != REJECTED
    hits, trials = int((right & taken).sum()), int(taken.sum())
    used = trials >= rule.least and {0, 1} <= {*marks.tolist()}
    for label in (0, 1):
        given = marks_held == label
        used &= int(given.sum()) >= rule.least / 4 and int((given & right).sum()) >= rule.precision * int(given.sum())
    found = Accepted(
        len(marks), int((marks != REJECTED).sum()), len(labels), hits, trials,
        int((right & harmful).sum()), int(harmful.sum()), thresholds, used,
    )  # fmt: skip
    return marks if used else np.full_like(marks, REJECTED), found
