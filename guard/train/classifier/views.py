"""The strong view of a text: what a person would still read alike, and a model must not read differently."""

from __future__ import annotations

import random

from guard.train.noise import garble

__all__ = ["strong_view"]

_DROPPED = 0.15


def strong_view(text: str, rng: random.Random) -> str:
    """Return an altered version of a text: words left out, or characters garbled as mistyping and evasion do.

    Parameters
    ----------
    text : str
    rng : random.Random

    Returns
    -------
    str
        At least one word where the text has one.

    Notes
    -----
    The weak view of FixMatch is the text as it is. Leaving words out is the random deletion of Wei and Zou 2019, "EDA",
    section 2; it can take out the one word that matters, so it is used half of the time and on one word in seven.
    """
    if rng.random() < 0.5:
        return garble(text, rng)
    words = text.split()
    kept = [word for word in words if rng.random() >= _DROPPED]
    return " ".join(kept or words[:1])
