"""Memory that was freed, handed back to the system: what one part of a process leaves, another need not add to."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

__all__ = ["FreedMemory"]

_SECONDS = 1.0


class FreedMemory:
    """Hands freed memory of the process back to the system, at most once a second.

    Parameters
    ----------
    clock : callable
        Seconds, ever rising.

    Notes
    -----
    The allocator of glibc keeps freed blocks of up to 32 MiB, in a heap for each of several threads, and gives back
    only what lies at the end of one. So what the passes of a filter have freed would stay beside what a generator
    asks for next. ``malloc_trim`` gives back whole pages from the middle too, in milliseconds, which is why it is not
    called oftener. Other systems do this of themselves or not at all; there it does nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._trim = _malloc_trim()
        self._clock = clock
        self._next = float("-inf")

    def hand_back(self) -> bool:
        """Hand it back, and return whether the system was asked to take it."""
        now = self._clock()
        if self._trim is None or now < self._next:
            return False
        self._next = now + _SECONDS
        self._trim(0)
        return True


def _malloc_trim() -> Callable[[int], object] | None:
    if sys.platform != "linux":
        return None
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
