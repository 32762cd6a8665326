"""How strongly the updates of a model count: searched for the most that harmless requests can bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.train.generator.adapter import Adapted

__all__ = ["strongest"]

_HALF = "lora_B"


def strongest(adapted: Adapted, cost: Callable[[], float], *, most: float, tries: int = 5) -> float:
    """Scale the updates by the largest factor at which a cost stays within its bound, and return the factor.

    The line from the original to the trained weights trades what was learnt for what was lost, often better than a
    shorter training would (Wortsman et al. 2022, arXiv 2109.01903). The cost is taken to rise along it, and the factor
    is found by halving.

    Parameters
    ----------
    adapted : Adapted
        Is left with the updates scaled.
    cost : callable
        Measures the model as it is: the share of harmless requests that it refuses, for example.
    most : float
        Bound of the cost.
    tries : int
        Measurements at most, at least 1. After the first, at 1, each halves what is left of [0, 1].

    Returns
    -------
    float
        In [0, 1]; 1 where the cost is within its bound as trained, and 0 (the original) where no try was.

    Raises
    ------
    ConfigError
        `tries` below 1.
    """
    if tries < 1:
        raise ConfigError(f"{tries} tries: give at least 1")
    trained = adapted.tensors()

    def at(factor: float) -> None:
        adapted.load({name: value * factor if _HALF in name else value for name, value in trained.items()})

    if cost() <= most:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(tries - 1):
        middle = (low + high) / 2
        at(middle)
        low, high = (middle, high) if cost() <= most else (low, middle)
    at(low)
    return low
