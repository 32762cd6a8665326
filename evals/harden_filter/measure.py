"""A filter before and after hardening on the same texts: clean, benign, attacked, and how long it takes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evals.harden_filter.figures import Change, area_change, attack_changes, duration_change, rate_change
from guard.attacks.engine import run_attack
from guard.attacks.readings import Readings
from guard.attacks.schema import Attempt, Example
from guard.attacks.space import Attack
from guard.attacks.victims import FilterVictim
from guard.harden.slips import slips
from guard.schema import Filter

__all__ = ["Test", "measure"]

_TIMED = 200

Progress = Callable[[str, int, int], None]
"""Gets what is measured, what is done of it, and the whole."""


@dataclass(frozen=True)
class Test:
    """What two states of a filter are measured on.

    Parameters
    ----------
    category : str
    threshold : float
        Score from which on the filter fires.
    clean : sequence of Example
        Texts with label 1 (harmful) or 0.
    benign : sequence of str
        More harmless texts, such as look-alikes of harmful ones.
    attacked : sequence of Example
        Harmful texts to attack.
    attacks : dict of str to Attack
        By name; each aims at the threshold.
    known : frozenset of str
        Names of those whose moves were trained on.
    others : dict of str to float
        Thresholds of other categories of the filter, for their false alarms.
    fall : float
        Share by which the success of an attack must fall.
    seed : int
    """

    category: str
    threshold: float
    clean: Sequence[Example]
    benign: Sequence[str]
    attacked: Sequence[Example]
    attacks: dict[str, Attack]
    known: frozenset[str] = frozenset()
    others: dict[str, float] = field(default_factory=dict)
    fall: float = 0.0
    seed: int = 0


def measure(before: Filter[str], after: Filter[str], test: Test, *, progress: Progress | None = None) -> list[Change]:
    """Measure two states of a filter.

    Parameters
    ----------
    before, after : Filter
        Of the same categories.
    test : Test
    progress : callable, optional

    Returns
    -------
    list of Change
        ``auroc``; ``recall``; ``false_alarms/test`` and ``false_alarms/lookalikes``; ``false_alarms/slips``, on the
        harmless texts of both with slips in three words of ten; ``false_alarms/others``, a harmless text that fires in
        any other category; for each attack its success and what it left caught; ``ms_a_text``.
    """
    tell = progress or (lambda name, done, whole: None)
    sides = [_Scored(one, test) for one in (before, after)]
    harmful = [one.label == 1 for one in test.clean]
    changes = [area_change("auroc", "AUROC, clean", sides[0].clean, sides[1].clean, harmful)]
    changes += _rates(sides, test)
    for name, attack in test.attacks.items():
        made = [
            _attempts(one, attack, test, f"{name} {word}", tell)
            for one, word in zip((before, after), _WORDS, strict=True)
        ]
        changes += attack_changes(name, made[0], made[1], known=name in test.known, fall=test.fall)
    return [*changes, _duration(before, after, [one.text for one in test.clean])]


_WORDS = ("before", "after")
_TITLES = {
    "recall": "recall",
    "false_alarms/test": "false alarms",
    "false_alarms/lookalikes": "false alarms, look-alikes",
    "false_alarms/slips": "false alarms, texts with slips",
    "false_alarms/others": "false alarms, other categories",
}


class _Scored:
    """One state and its scores of the texts that are not attacked."""

    def __init__(self, filter_: Filter[str], test: Test) -> None:
        column = filter_.categories.index(test.category)
        scores = filter_.score_batch([one.text for one in test.clean])
        self.clean: npt.NDArray[np.float64] = scores[:, column].astype(np.float64)
        extra = filter_.score_batch(list(test.benign))
        self.benign = extra[:, column]
        self.harmless = {one.id: one.text for one in test.clean if one.label == 0}
        self.harmless |= {f"benign-{at}": text for at, text in enumerate(test.benign)}
        self.slipped = filter_.score_batch([_slipped(text, test.seed) for text in self.harmless.values()])[:, column]
        limits = np.array([test.others.get(name, np.inf) for name in filter_.categories])
        self.others: npt.NDArray[np.bool_] = np.any(np.concatenate((scores, extra)) >= limits, axis=1)

    def outcomes(self, test: Test) -> dict[str, dict[str, float | None]]:
        """Return by figure, for each text that it counts, whether the filter fired."""
        n = len(test.clean)
        fired = {one.id: float(score >= test.threshold) for one, score in zip(test.clean, self.clean, strict=True)}
        harmless = [one.id for one in test.clean if one.label == 0]
        others = {one.id: float(hit) for one, hit in zip(test.clean, self.others[:n], strict=True) if one.label == 0}
        benign = {f"benign-{at}": float(score >= test.threshold) for at, score in enumerate(self.benign)}
        others |= {f"benign-{at}": float(hit) for at, hit in enumerate(self.others[n:])}
        return {
            "recall": {one.id: fired[one.id] for one in test.clean if one.label == 1},
            "false_alarms/test": {name: fired[name] for name in harmless},
            "false_alarms/lookalikes": {**benign},
            "false_alarms/slips": {
                name: float(score >= test.threshold) for name, score in zip(self.harmless, self.slipped, strict=True)
            },
            "false_alarms/others": {**others},
        }


def _slipped(text: str, seed: int) -> str:
    """Return a text with slips in three words of ten; which, depends on the text and the seed alone."""
    return slips(text, random.Random(f"slipped/{seed}/{text}"), share=0.3)  # noqa: S311 - no secret


def _rates(sides: Sequence[_Scored], test: Test) -> list[Change]:
    """Return recall and the shares of false alarms."""
    before, after = (side.outcomes(test) for side in sides)
    return [
        rate_change(name, title, before[name], after[name], lower_is_better=name != "recall")
        for name, title in _TITLES.items()
        if before[name] and (test.others or name != "false_alarms/others")
    ]


def _attempts(filter_: Filter[str], attack: Attack, test: Test, name: str, tell: Progress) -> list[Attempt]:
    """Attack one state anew."""
    victim, found = Readings(FilterVictim(filter_, test.category)), list[Attempt]()
    tell(name, 0, len(test.attacked))
    for attempt in run_attack(attack, victim, test.attacked, seed=test.seed):
        found.append(attempt)
        tell(name, len(found), len(test.attacked))
    return found


def _duration(before: Filter[str], after: Filter[str], texts: Sequence[str]) -> Change:
    """Time both states on the same texts in turns, one text a call; the median of each."""
    taken: list[list[float]] = [[], []]
    for text in texts[:_TIMED]:
        for side, one in enumerate((before, after)):
            started = time.perf_counter()
            one.score_batch([text])
            taken[side].append(1000 * (time.perf_counter() - started))
    return duration_change(taken[0], taken[1])
