"""What tasks share that look at answers one by one: which text an arm released, and rows from values by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.figures import Row, judged_text
from evals.schema import Arm, Record, Sample
from guard.schema import Action

__all__ = ["answer_text", "rows_by_arm"]


def answer_text(record: Record, arm: Arm) -> str | None:
    """Return the answer that an arm released, or None: what the guard blocked, failed on or never got is no answer."""
    return None if record.arms[arm].action == Action.BLOCK else judged_text(record, arm)


def rows_by_arm(samples: Sequence[Sample], values: Mapping[Arm, Sequence[float | None]]) -> list[Row]:
    """Return a row for each sample and arm.

    Parameters
    ----------
    samples : sequence of Sample
    values : mapping of Arm to sequence of (float or None)
        In the order of `samples`.
    """
    return [
        Row(sample.prompt_id, sample.group, arm, value, sample.id)
        for arm, ones in values.items()
        for sample, value in zip(samples, ones, strict=True)
    ]
