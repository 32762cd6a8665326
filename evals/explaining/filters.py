"""Explanations of what a filter says of texts, with the least edit that turns its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from evals.explaining.explained import Explained
from guard.errors import ConfigError
from guard.explain.filters.linear import LinearFilter
from guard.explain.filters.table import explainer
from guard.explain.generation.counterfactual import Counterfactual, find_edit
from guard.explain.generation.prompt_words import PromptWords, over_words
from guard.explain.generation.replacing import NearestWords
from guard.explain.schema import Attribution, Values
from guard.filters.differentiable import Differentiable
from guard.policy import Policy
from guard.schema import Filter, Stage, check_scores

__all__ = ["FilterView", "explain_texts", "least_edit"]

_NEAREST = 4
_LOG_ODDS, _SCORE = "log-odds", "score"


@dataclass(frozen=True)
class FilterView:
    """A filter seen through one category, one method and one threshold.

    Parameters
    ----------
    filter_ : Filter
    policy : Policy
        Gives the threshold of a category, where it has one.
    method : str, optional
        None takes the filter's default.
    threshold : float, optional
        Stands before the policy's.
    stage : {"input", "output"}
    seed : int
    """

    filter_: Filter[str]
    policy: Policy
    method: str | None = None
    threshold: float | None = None
    stage: Stage = "input"
    seed: int = 0

    @property
    def unit(self) -> str:
        """Of the values: log-odds where the filter gives them."""
        return _LOG_ODDS if isinstance(self.filter_, Differentiable | LinearFilter) else _SCORE

    def limit(self, category: str) -> float | None:
        """Return the score from which the verdict is to act, None where neither the user nor the policy names one."""
        if self.threshold is not None:
            return self.threshold
        rule = self.policy.thresholds.get((self.stage, category))
        return None if rule is None else float(rule[0])

    def scores(self, texts: Sequence[str], category: str) -> Values:
        """Return one category's score of texts; float64, shape (len(texts),)."""
        found = check_scores(self.filter_.score_batch(list(texts)), n_items=len(texts), filter_=self.filter_)
        return found[:, self.filter_.categories.index(category)].astype(np.float64)

    def explain(self, texts: Sequence[str], category: str) -> list[Attribution]:
        """Explain one category's score of texts."""
        return explainer(self.filter_, self.method).explain(list(texts), category, seed=self.seed)

    def categories(self, texts: Sequence[str], wanted: str | None) -> list[str]:
        """Return the category to explain of each text: the wanted one, else the text's highest.

        Raises
        ------
        ConfigError
            The filter has no such category.
        """
        known = self.filter_.categories
        if wanted is not None and wanted not in known:
            raise ConfigError(f"filter {self.filter_.name} has no category {wanted!r}; it has {', '.join(known)}")
        if wanted is not None:
            return [wanted] * len(texts)
        found = check_scores(self.filter_.score_batch(list(texts)), n_items=len(texts), filter_=self.filter_)
        return [known[int(row.argmax())] for row in found]

    @cached_property
    def nearest(self) -> NearestWords:
        """Words that may stand for others: the filter's own neighbours where it shows its vocabulary."""
        if isinstance(self.filter_, Differentiable):
            return NearestWords.of_encoder(self.filter_)
        return NearestWords(np.zeros((0, 1), dtype=np.float32), ())


def explain_texts(
    view: FilterView, texts: Sequence[str], category: str | None, *, titles: Sequence[str] = (), edit: bool = False
) -> list[Explained]:
    """Explain what a filter says of texts.

    Parameters
    ----------
    view : FilterView
    texts : sequence of str
    category : str or None
        None takes the highest category of each text.
    titles : sequence of str
        What people call each text.
    edit : bool
        Find the least edit of each that turns the verdict.

    Raises
    ------
    ConfigError
        No such category or method, or an edit without a threshold.
    FilterError
        The filter failed.
    """
    categories = view.categories(texts, category)
    found: dict[int, Explained] = {}
    for one in dict.fromkeys(categories):
        places = [at for at, other in enumerate(categories) if other == one]
        chosen = [texts[at] for at in places]
        scores = view.scores(chosen, one)
        for at, attribution, score in zip(places, view.explain(chosen, one), scores, strict=True):
            title = titles[at] if titles else "text"
            made = Explained(view.filter_.name, title, attribution, view.unit, _facts(view, one, float(score)))
            found[at] = replace(made, counterfactual=least_edit(view, attribution, one)) if edit else made
    return [found[at] for at in range(len(texts))]


def _facts(view: FilterView, category: str, score: float) -> tuple[tuple[str, str], ...]:
    limit = view.limit(category)
    if limit is None:
        return (("score", f"{score:.3f}"),)
    side = "at or over" if score >= limit else "under"
    return (("score", f"{score:.3f}, {side} the threshold {limit:g}"),)


def least_edit(view: FilterView, attribution: Attribution, category: str) -> Counterfactual:
    """Find the least edit of a text that turns the verdict, in the order of its attribution.

    Raises
    ------
    ConfigError
        No threshold.
    """
    limit = view.limit(category)
    if limit is None:
        raise ConfigError(f"policy {view.policy.name} has no {view.stage} threshold on {category}; give --threshold")
    words = PromptWords.of(attribution.text)
    credit = over_words(words.ranges, attribution.parts, attribution.values)
    (score,) = view.scores([attribution.text], category)
    order = np.argsort(-credit if score >= limit else credit, kind="stable")
    return find_edit(
        attribution.text,
        lambda texts: view.scores(texts, category),
        limit,
        order=[int(at) for at in order],
        replacements=_replacements(view, attribution.text),
    )


def _replacements(view: FilterView, text: str) -> dict[int, Any]:
    return dict(view.nearest.for_prompt(text, _NEAREST))
