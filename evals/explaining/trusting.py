"""How far explanations of a filter can be trusted: what their words do beside random ones, and which method agrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from evals.explaining.explained import Explained, Trust
from evals.explaining.filters import FilterView
from evals.stats import clustered_mean
from guard.explain.faithfulness import Faithfulness, faithfulness, in_random_order, rank_agreement
from guard.explain.filters.table import explainer, methods
from guard.explain.schema import Attribution

__all__ = ["with_trust"]

_RANDOM = 8
_BY_TEXT = ("occlusion", "shapley")
"""Methods that ask by leaving words out, the first of which another explanation is compared with."""

_COMPREHENSIVE = "comprehensiveness over random"
_SUFFICIENT = "sufficiency over random"
_MEANS = {
    _COMPREHENSIVE: "how much more the score falls without the strongest words than without as many random ones",
    _SUFFICIENT: "how much more of the score is left with the strongest words alone than with random ones",
}


@dataclass(frozen=True)
class _Measured:
    """The differences of one explanation to random orders of the same words."""

    comprehensive: list[float]
    sufficient: list[float]


def with_trust(view: FilterView, explained: Sequence[Explained]) -> tuple[list[Explained], list[Trust]]:
    """Add to explanations what checks them, and return the same over all of them.

    Parameters
    ----------
    view : FilterView
    explained : sequence of Explained
        Of this view.

    Returns
    -------
    explained : list of Explained
        Each with its figures. Their interval is Student's t over random orders of that one text.
    overall : list of Trust
        Means over texts, with an interval over texts; none for a single text.
    """
    found = [one.attribution for one in explained]
    measured = _measure(view, found)
    able = [name for name in _BY_TEXT if name in methods(view.filter_)]
    other = next((name for name in able if name != found[0].method), None)
    agreement = _agreement(view, found, other)
    made = [
        replace(one, trust=(*_figures(own), *_agreed(alike, other)))
        for one, own, alike in zip(explained, measured, agreement, strict=True)
    ]
    return made, _overall(measured, found) if len(found) > 1 else []


def _measure(view: FilterView, found: Sequence[Attribution]) -> list[_Measured | None]:
    own = faithfulness(view.filter_, found)
    shuffled = [in_random_order(found, seed=view.seed * _RANDOM + at) for at in range(_RANDOM)]
    random = [faithfulness(view.filter_, some) for some in shuffled]
    return [None if one is None else _against(one, [some[at] for some in random]) for at, one in enumerate(own)]


def _against(own: Faithfulness, random: Sequence[Faithfulness | None]) -> _Measured:
    there = [one for one in random if one is not None]
    return _Measured(
        [own.aopc_comprehensiveness - one.aopc_comprehensiveness for one in there],
        [one.aopc_sufficiency - own.aopc_sufficiency for one in there],
    )


def _figures(measured: _Measured | None) -> list[Trust]:
    if measured is None:
        return [Trust(name, None, None, 0, meaning) for name, meaning in _MEANS.items()]
    return [
        _over_orders(name, differences)
        for name, differences in zip(_MEANS, (measured.comprehensive, measured.sufficient), strict=True)
    ]


def _over_orders(name: str, differences: Sequence[float]) -> Trust:
    mean, n = float(np.mean(differences)), len(differences)
    half = float(stats.t.ppf(0.975, n - 1)) * float(np.std(differences, ddof=1)) / math.sqrt(n)
    return Trust(name, mean, (mean - half, mean + half), n, _MEANS[name])


def _agreement(view: FilterView, found: Sequence[Attribution], other: str | None) -> list[float | None]:
    if other is None:
        return [None] * len(found)
    theirs: dict[int, Attribution] = {}
    for category in dict.fromkeys(one.category for one in found):
        places = [at for at, one in enumerate(found) if one.category == category]
        texts = [found[at].text for at in places]
        theirs |= dict(
            zip(places, explainer(view.filter_, other).explain(texts, category, seed=view.seed), strict=True)
        )
    return rank_agreement(found, [theirs[at] for at in range(len(found))])


def _agreed(alike: float | None, other: str | None) -> list[Trust]:
    if other is None:
        return []
    return [Trust(f"agreement with {other}", alike, None, 1, "rank correlation of the words' values, -1 to 1")]


def _overall(measured: Sequence[_Measured | None], found: Sequence[Attribution]) -> list[Trust]:
    """Return means over texts; one that has no words is unscored."""
    texts = [f"{at}" for at in range(len(found))]
    figures = []
    for name, key in ((_COMPREHENSIVE, "comprehensive"), (_SUFFICIENT, "sufficient")):
        means = [None if one is None else float(np.mean(getattr(one, key))) for one in measured]
        estimate = clustered_mean({text: [mean] for text, mean in zip(texts, means, strict=True)}, bounds=None)
        figures.append(Trust(name, estimate.value, estimate.interval, estimate.n_prompts, _MEANS[name]))
    gaps = [abs(one.gap) for one in found if one.gap is not None]
    if gaps:
        figures.append(Trust("largest gap", max(gaps), None, len(gaps), "by how much values miss what they explain"))
    return figures
