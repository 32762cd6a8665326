"""Hook: what the attackers of a pool made of a row, drawn anew at every step by the share of each attacker."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.errors import ConfigError
from guard.harden.batch import Batch, Trainable

__all__ = ["RaidHook"]


@dataclass
class RaidHook:
    """Adds to each clean row one version that an attacker of the pool left of it.

    Parameters
    ----------
    versions : sequence of mapping of str to str
        For each attacker the text that it made of a row, by the row's id; rows that it did not change are not in it.
    shares : sequence of float
        How often each attacker's version is drawn where it has one; at least 0.
    seed : int
    weight : float
        Of a version in the loss, the original being 1.

    Raises
    ------
    ConfigError
        As many shares as attackers were not given, or one is negative.
    """

    versions: Sequence[Mapping[str, str]] = field(repr=False)
    shares: Sequence[float]
    seed: int = 0
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse shares that do not fit."""
        if len(self.versions) != len(self.shares) or any(not share >= 0 for share in self.shares):
            raise ConfigError(
                f"shares {tuple(self.shares)} for {len(self.versions)} attackers: give one of each, not negative"
            )
        self._step = 0

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Return the batch with the versions behind it."""
        self._step += 1
        found = [(row, self._version(batch.ids[row])) for row in batch.clean]
        there = [(row, text) for row, text in found if text is not None and text != batch.texts[row]]
        return batch.also([row for row, _ in there], [text for _, text in there], weight=self.weight)

    def _version(self, row_id: str) -> str | None:
        """Draw a version of a row, whatever the rows beside it."""
        able = [(mine[row_id], share) for mine, share in zip(self.versions, self.shares, strict=True) if row_id in mine]
        if not sum(share for _, share in able):
            return None
        rng = random.Random(f"{self.seed}/{self._step}/{row_id}")  # noqa: S311 - no secret
        return rng.choices([text for text, _ in able], [share for _, share in able])[0]
