"""Two series of values in, one paired effect out: its size, interval and p-value, with the prompt as the unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from evals.comparison.sides import Side
from evals.directions import Better, Direction, direction_of
from evals.permutation import PValue, holm, sign_flip
from evals.schema import Arm
from evals.stats import paired_difference
from evals.values import Series, Value

__all__ = ["ALL", "Change", "Effect", "Pairing", "effects", "pairings"]

ALL = "all"
"""The slice that is everything."""

Change = Literal["better", "worse", "moved", "unclear", "unknown"]
"""What a corrected p-value allows to say: better or worse, moved where the metric has no good direction, unclear where
chance explains the difference, unknown where nothing was compared."""

ByPrompt = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Effect:
    """What one metric in one arm changed by, from the first side to the second.

    Parameters
    ----------
    task, metric, group : str
    arm : Arm
    better : Better
    before, after : float or None
        Each side's figure over the prompts that both scored: not that of its report, which has all its prompts.
    value : float or None
        After minus before; None when no prompt was scored on both sides.
    interval : (float, float) or None
        Paired, clustered by prompt, at the level of the comparison, not corrected for the number of metrics.
    p, p_corrected : float or None
        Two-sided, alone and after Holm over all effects of the same family.
    method : str
        How p was found.
    correlation : float or None
        Between both sides' values of a prompt, in [-1, 1]: about the share of prompts that pairing saves. None where a
        side has one value throughout.
    n_prompts : int
        Scored on both sides.
    n_changed : int
        Of those, with any difference.
    n_dropped : int
        Prompts that only one side has, or that were drawn a different number of times where that matters.
    n_lost : int
        Prompts of both that were not scored on both sides.
    unscored : float
        The greater share of unscored samples of both sides, over the prompts that both have.
    newly_failing, newly_passing : int
        Samples (prompts, where the metric is one of prompts) that fail now and did not, and the reverse.
    change : Change
    """

    task: str
    metric: str
    arm: Arm
    group: str
    better: Better
    before: float | None
    after: float | None
    value: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_corrected: float | None
    method: str
    correlation: float | None
    n_prompts: int
    n_changed: int
    n_dropped: int
    n_lost: int
    unscored: float
    newly_failing: int
    newly_passing: int
    change: Change

    @property
    def name(self) -> str:
        """``task/metric``."""
        return f"{self.task}/{self.metric}"


@dataclass(frozen=True)
class Pairing:
    """The values of one metric in one arm and slice on both sides, by prompt.

    Parameters
    ----------
    series : Series
        Of the second side: its names and bounds.
    group : str
    before, after : mapping of str to sequence of Value
        The prompts that both sides have.
    n_dropped : int
    """

    series: Series
    group: str
    before: ByPrompt
    after: ByPrompt
    n_dropped: int

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        return direction_of(self.series.name, better=self.series.better, share=self.series.bounds == (0.0, 1.0))

    def changed(self) -> Iterator[tuple[Value, Value]]:
        """Yield each sample whose value fails on one side and not on the other."""
        for prompt, values in self.before.items():
            later = {value.sample_id: value for value in self.after[prompt]}
            for old in values:
                new = later.get(old.sample_id)
                nameless = not old.sample_id and len(values) > 1
                if new is None or nameless or old.value is None or new.value is None:
                    continue
                if self.direction.fails(old.value) != self.direction.fails(new.value):
                    yield old, new


def pairings(before: Side, after: Side, *, arm: Arm | None = None) -> list[Pairing]:
    """Pair every metric and arm that both sides have, whole and by the slices that both report.

    Parameters
    ----------
    before, after : Side
    arm : Arm, optional
        Only this one.
    """
    old = {(s.name, s.arm): s for s in before.values.series}
    found = []
    for new in after.values.series:
        known = old.get((new.name, new.arm))
        if known is None or arm not in (None, new.arm):
            continue
        whole = _pair(known, new, ALL)
        found.append(whole)
        for group in (group for group in new.groups if group in known.groups):
            part = _pair(known, new, group)
            if 0 < _size(part) < _size(whole):  # a slice that is everything, such as clean text, says nothing twice
                found.append(part)
    return found


def _size(pairing: Pairing) -> int:
    return sum(len(values) for values in pairing.after.values())


def _pair(old: Series, new: Series, group: str) -> Pairing:
    before, after = (_by_prompt(series, group) for series in (old, new))
    shared = [prompt for prompt in sorted(before) if _drawn_alike(before[prompt], after.get(prompt, ()))]
    n_dropped = len(before.keys() | after.keys()) - len(shared)
    return Pairing(new, group, {p: before[p] for p in shared}, {p: after[p] for p in shared}, n_dropped)


def _by_prompt(series: Series, group: str) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for value in series.values:
        if group in (ALL, value.group):
            found.setdefault(value.prompt_id, []).append(value)
    return found


def _drawn_alike(old: Sequence[Value], new: Sequence[Value]) -> bool:
    """Tell whether two prompts compare: a maximum over 25 samples is no match for one over 5."""
    if not new:
        return False
    reduced = not (old[0].sample_id and new[0].sample_id)
    return not reduced or [v.n_samples for v in old] == [v.n_samples for v in new]


def effects(found: Sequence[Pairing], *, level: float, seed: int = 0) -> tuple[Effect, ...]:
    """Estimate one family of effects and correct their p-values for its size.

    Parameters
    ----------
    found : sequence of Pairing
    level : float
        Of the intervals; one minus it is the error rate of the whole family.
    seed : int
        Of the random sign patterns, where nothing exact is feasible.
    """
    alone = [_effect(pairing, level=level, seed=seed) for pairing in found]
    tested = [i for i, effect in enumerate(alone) if effect.p is not None]
    corrected = dict(zip(tested, holm([alone[i].p or 0.0 for i in tested]), strict=True))
    return tuple(_said(effect, corrected.get(i), alpha=1 - level) for i, effect in enumerate(alone))


def _said(effect: Effect, corrected: float | None, *, alpha: float) -> Effect:
    change: Change = "unknown"
    if corrected is not None and effect.value is not None:
        change = "unclear"
        if corrected <= alpha:
            gain = effect.value < 0 if effect.better == "lower" else effect.value > 0
            change = "moved" if not effect.better else "better" if gain else "worse"
    return replace(effect, p_corrected=corrected, change=change)


def _effect(pairing: Pairing, *, level: float, seed: int) -> Effect:
    series = pairing.series
    before, after = (
        {prompt: [value.value for value in values] for prompt, values in side.items()}
        for side in (pairing.before, pairing.after)
    )
    paired = paired_difference(before, after, bounds=series.bounds, level=level)
    tested = _test(before, after, seed=seed)
    flips = list(pairing.changed())
    failing = sum(pairing.direction.fails(new.value) for _, new in flips if new.value is not None)
    return Effect(
        task=series.task,
        metric=series.metric,
        arm=series.arm,
        group=pairing.group,
        better=pairing.direction.better,
        before=tested.before,
        after=tested.after,
        value=paired.value,
        interval=paired.interval,
        p=None if tested.test is None else tested.test.p,
        p_corrected=None,
        method="no prompt in both" if tested.test is None else tested.test.method,
        correlation=tested.correlation,
        n_prompts=paired.n_prompts,
        n_changed=0 if tested.test is None else tested.test.n_changed,
        n_dropped=pairing.n_dropped,
        n_lost=paired.n_dropped,
        unscored=max(_unscored(side) for side in (pairing.before, pairing.after)),
        newly_failing=failing,
        newly_passing=len(flips) - failing,
        change="unknown",
    )


def _unscored(side: ByPrompt) -> float:
    values = [value for of_prompt in side.values() for value in of_prompt]
    n_samples = sum(value.n_samples for value in values)
    return sum(value.n_unscored for value in values) / n_samples if n_samples else 0.0


_FLAT = 1e-24
"""Product of two variances below which a side counts as constant: rounding leaves about as much."""

Observed = Mapping[str, Sequence[float | None]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Tested:
    """Both figures, their test and their correlation; nothing without a shared prompt."""

    before: float | None = None
    after: float | None = None
    test: PValue | None = None
    correlation: float | None = None


def _test(before: Observed, after: Observed, *, seed: int) -> _Tested:
    """Test over the prompts and with the weights of :func:`paired_difference`."""
    old, new = (
        {prompt: [v for v in values if v is not None] for prompt, values in side.items()} for side in (before, after)
    )
    shared = [prompt for prompt in old if old[prompt] and new[prompt]]
    if not shared:
        return _Tested()
    (old_means, old_weights), (new_means, new_weights) = (
        _means([side[prompt] for prompt in shared]) for side in (old, new)
    )
    weights = (old_weights + new_weights) / 2
    test = sign_flip(new_means - old_means, weights=weights, seed=seed)
    figures = float(weights @ old_means), float(weights @ new_means)
    return _Tested(*figures, test, _correlation(old_means - figures[0], new_means - figures[1], weights))


def _correlation(old: Floats, new: Floats, weights: Floats) -> float | None:
    """Return the weighted correlation of centred values."""
    spread = float(weights @ old**2) * float(weights @ new**2)
    return min(1.0, max(-1.0, float(weights @ (old * new)) / spread**0.5)) if spread > _FLAT else None


def _means(values: Sequence[Sequence[float]]) -> tuple[Floats, Floats]:
    sizes = np.array([len(of_prompt) for of_prompt in values], np.float64)
    return np.array([sum(of_prompt) / len(of_prompt) for of_prompt in values]), sizes / sizes.sum()
