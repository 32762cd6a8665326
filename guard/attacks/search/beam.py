"""All changes of the best few texts at once, and again, until the goal is met or nothing may change any more."""

from __future__ import annotations

from dataclasses import dataclass

from guard.attacks.schema import Judged
from guard.attacks.space import Searching, Space
from guard.errors import ConfigError

__all__ = ["Beam"]


@dataclass(frozen=True)
class Beam:
    """Beam search over whole texts; a width of 1 is the plain greedy search.

    Parameters
    ----------
    width : int
        How many texts are changed further at each step.

    Notes
    -----
    A step is taken even where it lowers the score, so what is returned is the best of the last step.
    """

    width: int = 1

    def __post_init__(self) -> None:
        """Refuse a width below 1."""
        if self.width < 1:
            raise ConfigError(f"width={self.width}; a beam holds at least 1 text")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text of the last step."""
        best, beam = space.start, [space.start.text]
        while not best.met:
            candidates = [text for mine in (yield from space.propose_many(beam)) for text in mine]
            if not candidates:
                break
            verdicts = yield from space.judge(candidates)
            ranked = sorted(verdicts.judged, key=lambda judged: -judged.score)
            best = ranked[0] if ranked else best
            if verdicts.over:
                break
            beam = [judged.text for judged in ranked[: self.width]]
        return best
