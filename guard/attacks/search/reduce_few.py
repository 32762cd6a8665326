"""Words left out with few queries: the least important first, twice as many at once while the victim keeps its word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Judged
from guard.attacks.search.compass import Compass
from guard.attacks.space import Searching, Space
from guard.attacks.words import AttackedText

__all__ = ["ReduceFewQueries"]


@dataclass(frozen=True)
class ReduceFewQueries:
    """Leaves words out in steps that double with success and halve without; the victim must be a white box.

    Parameters
    ----------
    unknown : str or None
        The victim's token for an unknown word; None looks for a usual one.

    Notes
    -----
    For goals that are better reached with fewer words, such as :class:`guard.attacks.goals.InputReduction`. Words are
    ranked by one gradient (:class:`guard.attacks.search.compass.Compass`) in the place of a query a word. Where leaving
    out a stretch of the ranking lowers the score, half of it is tried; a single word that does so stays.
    """

    unknown: str | None = None

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text found."""
        best = space.start
        indices = space.indices(best.text)
        if not indices:
            return best
        compass = yield from Compass.of(space, self.unknown)
        left, size = compass.ranked(indices)[::-1], 1
        while left:
            found, over = yield from self._judged(space, best.text, left[:size])
            if found is not None and found.score > best.score:
                best, left, size = found, left[size:], size * 2
            elif min(size, len(left)) == 1:
                left, size = left[1:], 1
            else:
                size = min(size, len(left)) // 2
            if over or best.met:
                break
        return best

    def _judged(
        self, space: Space, current: AttackedText, words: Sequence[int]
    ) -> Searching[tuple[Judged | None, bool]]:
        """Judge a text without some words of the original, unless nothing is left of it or a constraint refuses it."""
        text = current
        for word in words:
            text = text.delete(text.origin[word])
        if not text.n_words:
            return None, False
        (kept,) = yield from space.restrain([text], [current])
        if kept is None:
            return None, False
        verdicts = yield from space.judge([kept])
        return (verdicts.judged[0] if verdicts.judged else None), verdicts.over
