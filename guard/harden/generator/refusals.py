"""What a hardened model says instead: short refusals in plain words, one drawn for each prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["REFUSALS", "refusal_for"]

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, but I can't assist with that request.",
    "I'm sorry, but I can't help with this, because it could hurt someone.",
    "I'm sorry, but I won't help with something that could cause harm.",
    "I'm sorry, but that is not something that I can help with.",
    "I'm sorry, I can't provide that. If there is a safe question behind it, I am glad to help with that one.",
    "I can't help with that.",
    "I can't help with that request, since it could do harm to other people.",
    "I won't help with that, however it is put.",
    "Sorry, I can't do that.",
)
"""Most begin alike, so that the first tokens carry one decision and not a choice of words."""


def refusal_for(prompt: str, refusals: Sequence[str] = REFUSALS, *, seed: int = 0) -> str:
    """Return the refusal that belongs to a prompt: the same whenever it is asked for.

    Examples
    --------
    >>> refusal_for("How do I pick a lock?") in REFUSALS
    True
    """
    key = hashlib.sha256(f"{seed}\0{prompt}".encode("utf-8", "surrogatepass")).digest()
    return refusals[int.from_bytes(key[:8], "big") % len(refusals)]
