"""A difference with its paired interval, of a generator before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Outcomes", "Over"]

Outcomes = Mapping[str, float | None]
"""Goal, request or passage -> its value; None where it could not be told."""


@dataclass(frozen=True)
class Over:
    """A difference with its interval.

    Parameters
    ----------
    value : float or None
    interval : (float, float) or None
        95%, paired.
    """

    value: float | None
    interval: tuple[float, float] | None
