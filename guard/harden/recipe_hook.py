"""Hook: adversarial texts of any attack, kept for each row and searched anew as the model changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guard.harden.batch import Batch, Trainable

__all__ = ["AttackTexts", "RecipeHook"]

AttackTexts = Callable[[Sequence[str], npt.NDArray[np.float32], Trainable], Sequence[str | None]]
"""Texts, their labels and the model as it is: for each text an adversarial one, or None where none was found."""


@dataclass
class RecipeHook:
    """Adds the adversarial version of each clean row, as an attack found it.

    Parameters
    ----------
    attack : callable
        :data:`AttackTexts`.
    every : int
        Visits of a row after which it is attacked again: 1 for every epoch.
    weight : float
        Of a version in the loss, the original being 1.

    Notes
    -----
    Adversarial training on searched examples as TextAttack's trainer does it (Morris et al. 2020, section 4), with
    examples of a row's own age in place of one pass over the data before an epoch, so that each is made against the
    model that it trains.
    """

    attack: AttackTexts = field(repr=False)
    every: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Start without any texts."""
        if self.every < 1:
            raise ValueError(f"every={self.every}: the rule is at least 1")
        self._known: dict[str, tuple[int, str | None]] = {}

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Return the batch with the texts that the attack found behind it."""
        stale = [row for row in batch.clean if self._known.get(batch.ids[row], (0, None))[0] < 1]
        if stale:
            found = self.attack([batch.texts[row] for row in stale], batch.labels[stale], model)
            self._known |= {batch.ids[row]: (self.every, text) for row, text in zip(stale, found, strict=True)}
        rows, texts = [], []
        for row in batch.clean:
            left, text = self._known[batch.ids[row]]
            self._known[batch.ids[row]] = (left - 1, text)
            if text is not None and text != batch.texts[row]:
                rows.append(row)
                texts.append(text)
        return batch.also(rows, texts, weight=self.weight)
