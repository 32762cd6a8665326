"""Figures of a filter before and after, paired by text: ranking, false alarms, attack success, and its halving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evals.curves import auroc
from evals.permutation import sign_flip
from evals.stats import clustered_mean, clustered_rate, paired_difference
from guard.attacks.schema import Attempt
from guard.errors import DataError

__all__ = ["Change", "Side", "area_change", "attack_changes", "duration_change", "mean_change", "rate_change"]

Outcomes = Mapping[str, float | None]
"""Text -> 1 where it happened, 0 where not, None where it could not be told."""


@dataclass(frozen=True)
class Side:
    """A figure of one state.

    Parameters
    ----------
    value : float or None
        None where there is no data.
    interval : (float, float) or None
        95%.
    n, n_unscored : int
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int
    n_unscored: int = 0


@dataclass(frozen=True)
class Change:
    """A figure before and after on the same texts.

    Parameters
    ----------
    name, title : str
    lower_is_better : bool
    before, after : Side
    difference : float or None
        After less before, over the texts that both have.
    interval : (float, float) or None
        95%, paired.
    p : float or None
        Of no difference, by flipping signs; None where there is no value a text.
    n_paired : int
    excess : (float, float, float) or None
        Of an attack whose success must fall by a share f: after less (1 - f) times before, with its paired 95%
        interval. It takes in that the success before is not known exactly; at most 0 says that success fell enough.
    """

    name: str
    title: str
    lower_is_better: bool
    before: Side
    after: Side
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    n_paired: int
    excess: tuple[float, float, float] | None = None


def _side(outcomes: Outcomes) -> Side:
    found = clustered_rate({key: [value] for key, value in outcomes.items()})
    return Side(found.value, found.interval, found.n_samples, found.n_unscored)


def rate_change(
    name: str,
    title: str,
    before: Outcomes,
    after: Outcomes,
    *,
    lower_is_better: bool = True,
    fall: float | None = None,
) -> Change:
    """Compare two rates, paired by text.

    Parameters
    ----------
    name, title : str
    before, after : mapping of str to {0, 1, None}
        Each side may lack texts; the difference is over those that both have.
    lower_is_better : bool
    fall : float, optional
        Fill in `excess` for this share, in [0, 1).
    """
    old, new = ({key: [value] for key, value in side.items()} for side in (before, after))
    pair = paired_difference(old, new)
    shared = [key for key in before if before[key] is not None and after.get(key) is not None]
    moved = [float(after[key] or 0) - float(before[key] or 0) for key in shared]
    excess = None
    if fall is not None and shared:
        left = paired_difference({key: [(1 - fall) * float(before[key] or 0)] for key in shared}, new)
        if left.value is not None and left.interval is not None:
            excess = (left.value, *left.interval)
    p = sign_flip(moved).p if shared else None
    return Change(
        name, title, lower_is_better, _side(before), _side(after), pair.value, pair.interval, p, len(shared), excess
    )


def mean_change(name: str, title: str, before: Outcomes, after: Outcomes) -> Change:
    """Compare two means of any numbers that are better low, paired by text."""
    old, new = ({key: [value] for key, value in side.items()} for side in (before, after))
    pair = paired_difference(old, new, bounds=None)
    both = [(before[key], after.get(key)) for key in sorted(before)]
    moved = [late - early for early, late in both if early is not None and late is not None]
    means = [clustered_mean(side, bounds=None) for side in (old, new)]
    first, second = (Side(one.value, one.interval, one.n_samples, one.n_unscored) for one in means)
    p = sign_flip(moved).p if moved else None
    return Change(name, title, True, first, second, pair.value, pair.interval, p, pair.n_prompts)


def area_change(
    name: str, title: str, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], harmful: Sequence[bool]
) -> Change:
    """Compare the area under the ROC curve of two scorers on the same texts.

    Parameters
    ----------
    name, title : str
    before, after : ndarray
        float64, shape (n,).
    harmful : sequence of bool

    Raises
    ------
    DataError
        Fewer than two texts of a class.

    Notes
    -----
    DeLong et al. 1988, equations 5 to 7: the variance takes in that both see the same texts.
    """
    from guard.train.compare import auroc_difference

    truth = np.array(harmful, dtype=bool)
    if min(truth.sum(), (~truth).sum()) < 2:
        raise DataError(f"{int(truth.sum())} harmful and {int((~truth).sum())} harmless texts: the rule is two of each")
    sides = []
    for scores in (before, after):
        value, ends = auroc(scores[truth].tolist(), scores[~truth].tolist())
        sides.append(Side(value, ends, len(scores)))
    found = auroc_difference(after, before, truth)
    return Change(name, title, False, sides[0], sides[1], found.value, found.interval, None, len(truth))


def attack_changes(
    recipe: str, before: Sequence[Attempt], after: Sequence[Attempt], *, known: bool, fall: float = 0.0
) -> list[Change]:
    """Compare what an attack achieves, each state being attacked anew.

    Parameters
    ----------
    recipe : str
    before, after : sequence of Attempt
        On the same examples.
    known : bool
        Whether its moves were trained on.
    fall : float
        Share by which its success must fall.

    Returns
    -------
    list of Change
        Attack success over the texts that the filter caught as they are (the difference is over those that both states
        caught), and the share of all texts that are still caught under attack.
    """
    if {one.example_id for one in before} != {one.example_id for one in after}:
        raise DataError(f"{recipe}: the two states were not attacked on the same texts")
    mark = "moves trained on" if known else "not trained on"
    success = [
        {o.example_id: float(o.status == "succeeded") for o in side if o.status != "skipped"}
        for side in (before, after)
    ]
    kept = [{o.example_id: float(o.status == "failed") for o in side} for side in (before, after)]
    return [
        rate_change(f"attack/{recipe}/success", f"{recipe} success ({mark})", success[0], success[1], fall=fall),
        rate_change(f"attack/{recipe}/caught", f"caught under {recipe}", kept[0], kept[1], lower_is_better=False),
    ]


def duration_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Compare milliseconds a text, paired by text.

    Parameters
    ----------
    before, after : sequence of float
        Of the same texts in the same order.
    """
    sides = [{str(at): [value] for at, value in enumerate(side)} for side in (before, after)]
    means = [clustered_mean(side, bounds=None) for side in sides]
    pair = paired_difference(sides[0], sides[1], bounds=None)
    old, new = (Side(one.value, one.interval, one.n_samples, one.n_unscored) for one in means)
    title = "milliseconds a text, one at a time"
    return Change("ms_a_text", title, True, old, new, pair.value, pair.interval, None, pair.n_prompts)
