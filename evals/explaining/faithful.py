"""Faithfulness of explanations over many texts: means with intervals, against random order by paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guard.errors import DataError
from guard.explain.faithfulness import Faithfulness

__all__ = ["Paired", "against_random", "paired_bootstrap"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 4000


@dataclass(frozen=True)
class Paired:
    """The mean of a difference over the same texts.

    Parameters
    ----------
    value : float
    interval : (float, float) or None
        95%, percentiles of the bootstrap; None of fewer than two texts.
    n : int
        Texts of which both sides are known.
    n_unscored : int
        Texts left out.
    """

    value: float
    interval: tuple[float, float] | None
    n: int
    n_unscored: int


def paired_bootstrap(first: Sequence[float | None], second: Sequence[float | None], *, seed: int = 0) -> Paired:
    """Return the mean of ``first - second`` with its interval over texts.

    Parameters
    ----------
    first, second : sequence of float or None
        Of the same texts in the same order; None where a side is not known.
    seed : int

    Raises
    ------
    DataError
        No text of which both sides are known, or sides of different length.

    Notes
    -----
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3: texts are drawn, both sides together,
    4,000 times.
    """
    if len(first) != len(second):
        raise DataError(f"{len(first)} and {len(second)} texts are no pairs; give both sides of the same texts")
    known = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not known:
        raise DataError(f"of {len(first)} texts none is known on both sides: there is nothing to compare")
    differences = np.array(known)
    return Paired(float(differences.mean()), _interval(differences, seed), len(known), len(first) - len(known))


def _interval(differences: Floats, seed: int) -> tuple[float, float] | None:
    if len(differences) < 2:
        return None
    random = np.random.default_rng(seed)
    means = [differences[random.integers(0, len(differences), len(differences))].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def against_random(
    found: Sequence[Faithfulness | None], random: Sequence[Faithfulness | None], *, seed: int = 0
) -> Mapping[str, Paired]:
    """Compare explanations with random orders of the same parts.

    Returns
    -------
    mapping of str to Paired
        ``comprehensiveness`` above random (high is good) and ``sufficiency`` below it (low is good), each as the mean
        over the shares.
    """
    return {
        "comprehensiveness": paired_bootstrap(_comprehensive(found), _comprehensive(random), seed=seed),
        "sufficiency": paired_bootstrap(_sufficient(found), _sufficient(random), seed=seed),
    }


def _comprehensive(found: Sequence[Faithfulness | None]) -> list[float | None]:
    return [None if one is None else one.aopc_comprehensiveness for one in found]


def _sufficient(found: Sequence[Faithfulness | None]) -> list[float | None]:
    return [None if one is None else one.aopc_sufficiency for one in found]
