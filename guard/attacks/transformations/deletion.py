"""Leaving out words, one at a time and never the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind
from guard.attacks.words import AttackedText

__all__ = ["DeleteWord"]


@dataclass(frozen=True)
class DeleteWord:
    """A word is left out of a text that has more than one."""

    @property
    def kind(self) -> Kind:
        """Words are taken out."""
        return "delete"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask."""
        return [[ask.text.delete(i) for i in ask.indices] if ask.text.n_words > 1 else [] for ask in asks]
