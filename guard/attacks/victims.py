"""Victims: filters and guards as two-label classifiers, so that one attack runs against any of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from guard.attacks.schema import Probabilities
from guard.errors import ConfigError
from guard.schema import Action, Filter, Stage, Verdict, check_scores

__all__ = ["Checked", "FilterVictim", "Rules", "VerdictVictim"]


class FilterVictim:
    """One category of a filter: labels ``not CATEGORY`` and ``CATEGORY``.

    A filter holds no threshold; the goal does (``Untargeted(threshold=...)``).

    Parameters
    ----------
    filter_ : Filter
    category : str or None
        None takes the only one that the filter has.

    Raises
    ------
    ConfigError
        The filter does not score the category, or has several and none is named.

    Examples
    --------
    >>> from guard.filters.callable import CallableFilter
    >>> victim = FilterVictim(CallableFilter(lambda text: 0.75 * ("darn" in text), categories=["rude"]))
    >>> victim.labels, victim.probabilities(["darn it"]).tolist()
    (('not rude', 'rude'), [[0.25, 0.75]])
    """

    def __init__(self, filter_: Filter[str], category: str | None = None) -> None:
        categories = filter_.categories
        if category is None and len(categories) != 1:
            raise ConfigError(f"filter {filter_.name} has {', '.join(categories)}; name the category to attack")
        self.category = category if category is not None else categories[0]
        if self.category not in categories:
            raise ConfigError(f"filter {filter_.name} does not score {category!r}; it has {', '.join(categories)}")
        self._filter, self._column = filter_, categories.index(self.category)

    @property
    def name(self) -> str:
        """The filter's, and the category."""
        return f"{self._filter.name}#{self.category}"

    @property
    def labels(self) -> tuple[str, ...]:
        """``not CATEGORY`` and ``CATEGORY``."""
        return (f"not {self.category}", self.category)

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text: float64, shape (len(texts), 2).

        Raises
        ------
        FilterError
            The filter fails, or returns what is not scores.
        """
        scores = check_scores(self._filter.score_batch(texts), n_items=len(texts), filter_=self._filter)
        score = scores[:, self._column].astype(np.float64)
        return np.stack([1 - score, score], axis=1)


class Rules(Protocol):
    """A policy, as far as an attack must know it. ``Policy`` is one."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def thresholds(self) -> Mapping[tuple[Stage, str], tuple[float, Action]]:
        """Of each stage and category: from which score on, and what happens."""


class Checked(Protocol):
    """A guard, as far as an attack must know it. ``Guard`` is one."""

    @property
    def policy(self) -> Rules:
        """Its rules."""

    def check(self, texts: Sequence[str], *, stage: Stage) -> Sequence[Verdict]:
        """Judge texts."""


class VerdictVictim:
    """A whole guard: labels ``allowed`` and ``blocked``, by its verdict and how near its scores are to it.

    Parameters
    ----------
    judge : callable
        Texts to verdicts, one a text, such as the ``judge`` of a guard at one stage.
    name : str
        Of the guard: whatever changes a verdict changes it.
    thresholds : mapping of str to float
        The policy's, by category, for the rules that block.

    Notes
    -----
    A verdict alone gives a search no direction: it is 0 or 1 until the last word turns it. So the probability of
    ``blocked`` rises with the highest ratio of a score to its threshold and crosses one half where the verdict turns.
    """

    def __init__(
        self, judge: Callable[[Sequence[str]], Sequence[Verdict]], *, name: str, thresholds: Mapping[str, float]
    ) -> None:
        digest = hashlib.sha256(repr(sorted(thresholds.items())).encode()).hexdigest()[:12]
        self._judge, self._name, self._thresholds = judge, f"{name}#{digest}", thresholds

    @classmethod
    def of_guard(cls, guard: Checked, *, name: str, stage: Stage = "input") -> VerdictVictim:
        """Attack a guard as it judges prompts or outputs.

        Parameters
        ----------
        guard : Checked
            Such as a :class:`guard.guard.Guard`. Everything asked is recorded in its audit log, if it has one.
        name : str
            That changes with the guard's policy and filters: a journal is gone on with against the same name only.
        stage : {"input", "output"}

        Raises
        ------
        ConfigError
            The policy blocks nothing at the stage.
        """
        rules = guard.policy.thresholds.items()
        blocking = {category: at for (of, category), (at, action) in rules if of == stage and action is Action.BLOCK}
        if not blocking:
            raise ConfigError(
                f"policy {guard.policy.name} blocks nothing at the stage {stage!r}; there is nothing to evade"
            )
        return cls(lambda texts: guard.check(texts, stage=stage), name=f"{name}/{stage}", thresholds=blocking)

    @property
    def name(self) -> str:
        """The guard's, with a digest of the thresholds."""
        return self._name

    @property
    def labels(self) -> tuple[str, ...]:
        """``allowed`` and ``blocked``."""
        return ("allowed", "blocked")

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text: float64, shape (len(texts), 2); ``blocked`` is at least one half exactly when it is."""
        blocked = np.array([self._blocked(verdict) for verdict in self._judge(texts)], dtype=np.float64)
        return np.stack([1 - blocked, blocked], axis=1)

    def _blocked(self, verdict: Verdict) -> float:
        closeness = [_closeness(verdict.scores[c], at) for c, at in self._thresholds.items() if c in verdict.scores]
        nearest = max(closeness, default=0.0)
        if verdict.action is Action.BLOCK:
            return max(nearest, 0.5 + 1e-9)
        return min(nearest, 0.5 - 1e-9)


def _closeness(score: float, threshold: float) -> float:
    """Map 0 to 0, the threshold to one half and 1 to 1, straight in between."""
    if score < threshold:
        return 0.5 * score / threshold
    return 0.5 + 0.5 * (score - threshold) / (1 - threshold) if threshold < 1 else 1.0
