"""A policy and its filters as the check of a text that is being written."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from guard.judge import Judge
from guard.schema import Action
from guard.segments import segments

__all__ = ["JudgedCheck"]

_MOST_REMEMBERED = 8192  # segments that passed; a text of 10,000 tokens has about 300


class JudgedCheck:
    """Says of each text so far whether the policy would stop it, by the guard's own segments, filters and thresholds.

    A segment that is complete and has passed is not judged again while its text goes on.

    Parameters
    ----------
    judge : Judge
        With filters for outputs. Its own time limit holds, so a steered generator needs no other.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._passed: dict[str, None] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the policy with its digest, and the names of the filters."""
        policy = self._judge.policy
        return f"{policy.name}@{policy.digest[:12]} {' '.join(self._judge.names)}"

    def __call__(self, texts: Sequence[str]) -> list[bool]:
        """Judge what is new of every text, in one batch."""
        windows = [[text[cut.start : cut.end] for cut in segments(text)] for text in texts]
        with self._lock:
            new = list(dict.fromkeys(w for given in windows for w in given if w not in self._passed))
        found = self._judge.enforce_pieces(new, "output")
        stopped = {window for window, one in zip(new, found, strict=True) if one.verdict.action >= Action.REGENERATE}
        self._remember(w for given in windows for w in given[:-1] if w not in stopped)
        return [any(window in stopped for window in given) for given in windows]

    def _remember(self, windows: Iterable[str]) -> None:
        with self._lock:
            self._passed.update(dict.fromkeys(windows))
            while len(self._passed) > _MOST_REMEMBERED:
                del self._passed[next(iter(self._passed))]
