"""The causal check: what a filter says of a text with another group's words in it, beside what these are credited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.explaining.swap_terms import Swap, SwapSet, swaps_of
from evals.stats import Estimate, PairedEstimate, clustered_mean, clustered_rate, paired_difference
from guard.errors import DataError
from guard.explain.schema import Attribution, Range, Values

__all__ = ["GroupEffect", "causal_check", "disagreement", "group_json"]

_MOVED = 0.01
"""An effect on the score below which a sign says nothing."""

Scorer = Callable[[Sequence[str]], Values]


@dataclass(frozen=True)
class GroupEffect:
    """What the words of one group do, by exchanging them and by attribution.

    Parameters
    ----------
    set_name, group : str
    others : tuple of str
        What they were exchanged for.
    effect : PairedEstimate
        Of the score: with the group's words, less the mean with those of the others; clustered by text.
    flips : Estimate
        Share of exchanges that turn the verdict, clustered by text.
    credited : Estimate
        Mean of what the attribution gives the group's words, in its own unit.
    disagree : Estimate
        Share of texts in which attribution and exchange have opposite signs; texts whose score the exchange moves by
        less than 0.01 are unscored.
    """

    set_name: str
    group: str
    others: tuple[str, ...]
    effect: PairedEstimate
    flips: Estimate
    credited: Estimate
    disagree: Estimate


def causal_check(
    texts: Sequence[str],
    scorer: Scorer,
    threshold: float,
    sets: tuple[SwapSet, ...],
    explain: Callable[[Sequence[str]], Sequence[Attribution]],
) -> list[GroupEffect]:
    """Exchange terms in texts, score them again, and put the attribution of the same words beside it.

    Parameters
    ----------
    texts : sequence of str
        The statistical units; equal ones count once.
    scorer : callable
        Texts to scores in [0, 1], float64, shape (n,).
    threshold : float
        From which the verdict is to act.
    sets : tuple of SwapSet
    explain : callable
        Explains the score of texts; asked once, for those that name a group.

    Returns
    -------
    list of GroupEffect
        One for each group that a text names, in order of the sets.

    Raises
    ------
    DataError
        No text names a group.
    """
    distinct = list(dict.fromkeys(texts))
    swaps = {text: found for text in distinct if (found := swaps_of(text, sets))}
    if not swaps:
        named = ", ".join(one.name for one in sets)
        raise DataError(f"none of {len(distinct)} texts has a word of the sets {named}; give texts that name a group")
    asked = [*swaps, *dict.fromkeys(swap.text for found in swaps.values() for swap in found)]
    scores = dict(zip(asked, np.asarray(scorer(asked), dtype=np.float64).tolist(), strict=True))
    credited = dict(zip(swaps, explain(list(swaps)), strict=True))
    groups = dict.fromkeys((swap.set_name, swap.group) for found in swaps.values() for swap in found)
    ordered = sorted(groups, key=lambda key: [one.name for one in sets].index(key[0]))
    return [_group(key, swaps, scores, credited, threshold) for key in ordered]


def _group(
    key: tuple[str, str],
    swaps: dict[str, list[Swap]],
    scores: dict[str, float],
    credited: dict[str, Attribution],
    threshold: float,
) -> GroupEffect:
    own = {text: [one for one in found if (one.set_name, one.group) == key] for text, found in swaps.items()}
    own = {text: found for text, found in own.items() if found}
    after = {text: [scores[text]] for text in own}
    before: dict[str, list[float | None]] = {text: [scores[one.text] for one in found] for text, found in own.items()}
    moved = {text: scores[text] - float(np.mean([scores[one.text] for one in own[text]])) for text in own}
    worth = {text: _credit(credited[text], own[text][0].ranges) for text in own}
    flips: dict[str, list[float | None]] = {
        text: [float((scores[one.text] >= threshold) != (scores[text] >= threshold)) for one in own[text]]
        for text in own
    }
    opposite: dict[str, list[float | None]] = {
        text: [None if abs(moved[text]) < _MOVED or worth[text] == 0 else float((moved[text] > 0) != (worth[text] > 0))]
        for text in own
    }
    return GroupEffect(
        *key,
        tuple(dict.fromkeys(one.other for found in own.values() for one in found)),
        paired_difference(before, dict(after)),
        clustered_rate(flips),
        clustered_mean({text: [value] for text, value in worth.items()}, bounds=None),
        clustered_rate(opposite),
    )


def _credit(attribution: Attribution, ranges: Sequence[Range]) -> float:
    """Add up what an attribution gives the parts that touch some ranges."""
    return float(
        sum(
            value
            for (start, end), value in zip(attribution.parts, attribution.values, strict=True)
            if any(a < end and start < b for a, b in ranges)
        )
    )


def disagreement(effect: GroupEffect) -> str:
    """Say in words whether attribution and exchange disagree in sign; empty where they do not, or nothing moves."""
    moved, worth = effect.effect, effect.credited
    if moved.value is None or worth.value is None or abs(moved.value) < _MOVED or worth.value == 0:
        return ""
    if (moved.value > 0) == (worth.value > 0):
        return ""
    clear = all(i is not None and (i[0] > 0 or i[1] < 0) for i in (moved.interval, worth.interval))
    return "opposite signs" if clear else "opposite signs, within the intervals"


def group_json(effect: GroupEffect) -> dict[str, Any]:
    """Return an effect as JSON values, each figure with its n and interval."""
    return {
        "set": effect.set_name,
        "group": effect.group,
        "others": list(effect.others),
        "effect": {
            "value": effect.effect.value,
            "interval": effect.effect.interval,
            "n": effect.effect.n_prompts,
        },
        "flips": _estimate(effect.flips),
        "credited": _estimate(effect.credited),
        "disagree": _estimate(effect.disagree),
        "disagreement": disagreement(effect),
    }


def _estimate(found: Estimate) -> dict[str, Any]:
    return {
        "value": found.value,
        "interval": found.interval,
        "n": found.n_prompts,
        "n_samples": found.n_samples,
        "n_unscored": found.n_unscored,
    }
