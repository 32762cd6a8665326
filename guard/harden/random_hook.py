"""Hook: random character noise, made anew at every step, on harmful and harmless rows alike."""

from __future__ import annotations

import random
from dataclasses import dataclass

from guard.harden.batch import Batch, Trainable
from guard.harden.slips import slips
from guard.train.noise import garble

__all__ = ["RandomHook"]


@dataclass
class RandomHook:
    """Adds a noisy version of clean rows, or puts it in their place.

    Costs no pass of the model. Harmless rows are garbled too: otherwise the model learns that a slip is a sign of harm.

    Parameters
    ----------
    seed : int
    replace : float
        Share of the rows whose noisy version takes the row's own place, which saves a pass; the others keep both.
    least, most : float
        Share of the words with a slip, drawn evenly between the two for each version.
    garbled : float
        Share of the versions that get the wider noise of :func:`guard.train.noise.garble` instead: spacing, masks,
        leetspeak, case.
    weight : float
        Of a version in the loss, the original being 1.
    """

    seed: int = 0
    replace: float = 0.0
    least: float = 0.1
    most: float = 1.0
    garbled: float = 0.15
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        if not (0 <= self.least <= self.most <= 1 and 0 <= self.garbled <= 1 and 0 <= self.replace <= 1):
            raise ValueError(f"{self!r}: the rule is 0 <= least <= most <= 1, and shares in [0, 1]")
        self._step = 0

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Return the batch with the noisy versions behind it."""
        self._step += 1
        rows = batch.clean
        both = batch.also(rows, [self._noisy(batch, row) for row in rows], weight=self.weight)
        gone = {row for row in rows if self._source(batch, row, "replace").random() < self.replace}
        return both.only([row for row in range(len(both)) if row not in gone])

    def _source(self, batch: Batch, row: int, use: str) -> random.Random:
        """Return the randomness of a row at this step, whatever the rows beside it."""
        return random.Random(f"{self.seed}/{self._step}/{use}/{batch.ids[row]}")  # noqa: S311 - no secret

    def _noisy(self, batch: Batch, row: int) -> str:
        """Return one version of a row."""
        rng, text = self._source(batch, row, "noise"), batch.texts[row]
        if rng.random() < self.garbled:
            return garble(text, rng)
        return slips(text, rng, share=rng.uniform(self.least, self.most))
