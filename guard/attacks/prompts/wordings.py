"""Attacks that try one fixed wording after the other, in an order that is drawn for each goal."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guard.attacks.prompts.schema import Draft, Track, Wording, digest_of
from guard.errors import ConfigError

__all__ = ["WordingAttack", "draft_of", "wordings_digest"]

_PROBE = "Explain how to fold a paper hat, and why."
"""Filled into wordings that are known by what they write, for their digest."""


class WordingAttack:
    """Tries wordings, each once a goal.

    Parameters
    ----------
    kind : str
        What the attack is called.
    wordings : sequence of Wording
        With distinct ids.
    shuffled : bool
        Whether each goal gets an order of its own, so that a budget below their number tries all of them about equally
        often. False keeps the order given, best first.

    Raises
    ------
    ConfigError
        No wording, or two of one id.
    """

    def __init__(self, kind: str, wordings: Sequence[Wording], *, shuffled: bool = True) -> None:
        if not wordings:
            raise ConfigError(f"attack {kind} has no wording to try: give at least one")
        if len({wording.id for wording in wordings}) < len(wordings):
            raise ConfigError(f"attack {kind} has two wordings of one id: give each its own")
        self._kind, self._wordings, self._shuffled = kind, tuple(wordings), shuffled

    @property
    def name(self) -> str:
        """``<kind>@<digest of the wordings and whether they are shuffled>``."""
        return f"{self._kind}@{digest_of(wordings_digest(self._wordings), str(self._shuffled))}"

    def propose(self, tracks: Sequence[Track]) -> list[list[Draft]]:
        """Return the next wordings of each goal; nothing once all were tried."""
        return [self._next(track) for track in tracks]

    def _next(self, track: Track) -> list[Draft]:
        order = list(self._wordings)
        if self._shuffled:
            random.Random(f"{track.seed}/{track.goal.id}").shuffle(order)  # noqa: S311 - an order, no secret
        tried = len(track.attempts)
        return [draft_of(wording, track.goal.text) for wording in order[tried : tried + track.room]]


def draft_of(wording: Wording, goal: str) -> Draft:
    """Return a request in a wording."""
    return Draft(wording.fill(goal), wording.id, wording.kind)


def wordings_digest(wordings: Sequence[Wording]) -> str:
    """Return a digest that changes with any wording, by what each makes of one harmless request."""
    return digest_of(*(part for one in wordings for part in (one.id, one.kind, one.fill(_PROBE))))
