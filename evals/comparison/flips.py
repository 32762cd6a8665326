"""Samples that fail on one side and not on the other, with their prompt and both outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evals.comparison.effects import ALL, Pairing
from evals.comparison.texts import FoundTexts, Texts
from evals.schema import Arm
from evals.values import Value

__all__ = ["Flip", "crossed", "flips"]


@dataclass(frozen=True)
class Flip:
    """A sample, or a prompt where the metric is one of prompts, that crossed the line.

    Parameters
    ----------
    task, metric, group, prompt_id : str
    arm : Arm
    sample_id : str
        Empty where the metric is one of prompts.
    now : {"failing", "passing"}
        On the second side.
    before, after : float
    prompt : str or None
        None where the journal is gone.
    output_before, output_after : str or None
        What each side released; None where nothing was generated, or several texts stand behind the value.
    """

    task: str
    metric: str
    arm: Arm
    group: str
    prompt_id: str
    sample_id: str
    now: Literal["failing", "passing"]
    before: float
    after: float
    prompt: str | None = None
    output_before: str | None = None
    output_after: str | None = None


def flips(found: Sequence[Pairing], before: Texts, after: Texts, *, most: int) -> tuple[Flip, ...]:
    """Return the samples that crossed the line: failing ones first, the greatest changes of each metric first.

    Parameters
    ----------
    found : sequence of Pairing
    before, after : Texts
    most : int
        For each metric, arm and way.
    """
    made = crossed(found, most=most)
    samples = {(flip.arm, flip.sample_id) for flip in made if flip.sample_id}
    prompts = {(flip.task, flip.prompt_id) for flip in made if not flip.sample_id}
    old, new = (texts.find(samples, prompts) for texts in (before, after))
    return tuple(_told(flip, old, new) for flip in made)


def crossed(found: Sequence[Pairing], *, most: int | None = None) -> list[Flip]:
    """Return what :func:`flips` does, without any texts.

    Parameters
    ----------
    found : sequence of Pairing
    most : int, optional
        For each metric, arm and way; all of them by default.
    """
    made = [flip for pairing in found if pairing.group == ALL for flip in _of(pairing, most)]
    return sorted(made, key=lambda flip: flip.now != "failing")


def _of(pairing: Pairing, most: int | None) -> list[Flip]:
    made = [_flip(pairing, old, new) for old, new in pairing.changed()]
    made.sort(key=lambda flip: (-abs(flip.after - flip.before), flip.prompt_id, flip.sample_id))
    ways = ([flip for flip in made if flip.now == now] for now in ("failing", "passing"))
    return [flip for way in ways for flip in way[:most]]


def _flip(pairing: Pairing, old: Value, new: Value) -> Flip:
    before, after = old.value or 0.0, new.value or 0.0
    return Flip(
        task=pairing.series.task,
        metric=pairing.series.metric,
        arm=pairing.series.arm,
        group=new.group,
        prompt_id=new.prompt_id,
        sample_id=new.sample_id,
        now="failing" if pairing.direction.fails(after) else "passing",
        before=before,
        after=after,
    )


def _told(flip: Flip, old: FoundTexts, new: FoundTexts) -> Flip:
    """Return the flip with its texts, as far as they were found."""
    if not flip.sample_id:
        prompt = (flip.task, flip.prompt_id)
        return replace(flip, prompt=new.prompts.get(prompt, old.prompts.get(prompt)))
    was, now = (side.samples.get((flip.arm, flip.sample_id)) for side in (old, new))
    either = now or was
    return replace(
        flip,
        prompt=None if either is None else either.prompt,
        output_before=None if was is None else was.output,
        output_after=None if now is None else now.output,
    )
