"""What an explanation is: a value for each part of a text, with the scores it explains and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from guard.errors import FilterError

__all__ = ["Attribution", "Explainer", "Range", "Values"]

Range = tuple[int, int]
"""A half-open range of characters of the original text."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each part of a text counts towards one number.

    Parameters
    ----------
    text : str
    category : str
        What the number is the score of; of a generator, what was asked of it.
    method : str
        The name of the method, as people write it.
    parts : tuple of (int, int)
        Ranges of `text` in ascending order, without overlap: tokens or words.
    values : ndarray
        float64, shape (len(parts),), finite: above 0 for what raises the number. In log-odds where the filter gives
        them, else in the score's own unit; of a generator in nats.
    number : float
        What is explained, of the whole text, in the unit of `values`.
    baseline : float
        The same of the text with nothing in it, by the method's own idea of nothing.
    errors : ndarray, optional
        float64, shape (len(parts),): standard errors of sampled values; None where nothing was sampled.
    complete : bool
        Whether the method promises that the values sum to ``number - baseline``.
    n_scored : int
        Rows that went through the model.

    Raises
    ------
    FilterError
        Shapes that do not fit, or a value that is not finite.
    """

    text: str
    category: str
    method: str
    parts: tuple[Range, ...]
    values: Values
    number: float
    baseline: float
    errors: Values | None = None
    complete: bool = False
    n_scored: int = 0

    def __post_init__(self) -> None:
        known = [self.values, *([] if self.errors is None else [self.errors])]
        if any(one.shape != (len(self.parts),) or not np.isfinite(one).all() for one in known):
            raise FilterError(
                f"method {self.method!r} gave values of shape {self.values.shape} for {len(self.parts)} parts of a"
                " text: there must be one finite value for each"
            )

    @property
    def gap(self) -> float | None:
        """How far the values are from summing to what they explain; None where the method does not promise it."""
        return float(self.values.sum() - (self.number - self.baseline)) if self.complete else None

    def order(self) -> list[int]:
        """Return the positions of the parts, the one that raises the number most first; ties in order of the text."""
        return [int(at) for at in np.argsort(-self.values, kind="stable")]


class Explainer(Protocol):
    """Explains the scores of one filter."""

    @property
    def method(self) -> str:
        """Its name, as people write it."""
        ...

    def explain(self, texts: Sequence[str], category: str, *, seed: int = 0) -> list[Attribution]:
        """Explain one category's score of every text.

        Parameters
        ----------
        texts : sequence of str
        category : str
            One of the filter's.
        seed : int
            Of what is sampled; each text's values depend on it and the text alone, never on the other texts.

        Returns
        -------
        list of Attribution
            In the order of `texts`.

        Raises
        ------
        FilterError
            The category is none of the filter's, or the filter failed.
        """
        ...
