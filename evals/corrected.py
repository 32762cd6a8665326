"""Figures corrected for the errors of the judge that gave them, beside the figures as the judge saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evals.judged_rate import KnownJudge, correct_rate
from evals.schema import Arm, Metric

__all__ = ["CORRECTED", "JudgedMetric", "corrected"]

CORRECTED = "_corrected"
"""End of the name of a corrected metric."""


@dataclass(frozen=True)
class JudgedMetric:
    """A share of samples whose every value is the word of one judge.

    Parameters
    ----------
    judge : KnownJudge
    arms : tuple of Arm
        Where that holds: what the guard blocked counts as a refusal without being judged.
    counts_negatives : bool
        Whether a hit is what the judge calls negative.
    """

    judge: KnownJudge
    arms: tuple[Arm, ...]
    counts_negatives: bool = False


def corrected(
    metrics: Sequence[Metric], judged: Mapping[str, JudgedMetric]
) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    """Return the corrected metrics, over all samples, and why others cannot be corrected.

    Parameters
    ----------
    metrics : sequence of Metric
    judged : mapping of str to JudgedMetric
        By ``task/name``.

    Returns
    -------
    tuple of Metric
        Under the name with :data:`CORRECTED` behind it, with the uncertainty of the judge's error rates inside the
        interval.
    tuple of str
        A sentence for each that is refused.
    """
    found, refused = [], []
    for metric in metrics:
        how = judged.get(f"{metric.task}/{metric.name}")
        if how is None or metric.group != "all" or metric.arm not in how.arms or metric.value is None:
            continue
        rate = correct_rate(metric.value, metric.interval, how.judge, counts_negatives=how.counts_negatives)
        if rate.value is None:
            refused.append(f"{metric.task}/{metric.name} {metric.arm} is not corrected for its judge: {rate.refused}.")
        else:
            name = f"{metric.name}{CORRECTED}"
            found.append(replace(metric, name=name, value=rate.value, interval=rate.interval))
    return tuple(found), tuple(refused)
