"""Explanation by leaving out: how much the number falls without a part, or without a few neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guard.errors import ConfigError
from guard.explain.filters.presence import Kept, Presence
from guard.explain.schema import Attribution, Values

__all__ = ["occlusion"]


def occlusion(
    presence: Presence, texts: Sequence[str], category: str, *, width: int = 1, stride: int = 1
) -> list[Attribution]:
    """Leave every part out once, and value it by what the number loses.

    Parameters
    ----------
    presence : Presence
    texts : sequence of str
        Those that `presence` answers for.
    category : str
    width, stride : int
        So many neighbouring parts are left out together, and from one place to the next so many parts are gone on,
        ``1 <= stride <= width``. A part's value is the mean over the places that hold it.

    Raises
    ------
    ConfigError
        A width or stride out of range.

    Notes
    -----
    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2, by a patch that
    slides; of single words: Li et al. 2016, "Understanding Neural Networks through Representation Erasure", equation 1,
    here in log-odds and not divided by them.
    """
    if not 1 <= stride <= width:
        raise ConfigError(f"width={width}, stride={stride}: the rule is 1 <= stride <= width")
    places = [_places(len(ranges), width, stride) for ranges in presence.ranges]
    questions = [question for at, some in enumerate(places) for question in _questions(at, some, presence)]
    numbers = iter(presence.numbers(questions).tolist())
    found = []
    for text, some, ranges in zip(texts, places, presence.ranges, strict=True):
        whole, nothing = next(numbers), next(numbers)
        falls = np.array([whole - next(numbers) for _ in some])
        values = _means(len(ranges), some, falls)
        name = "occlusion" if width == 1 else f"occlusion:{width}"
        found.append(Attribution(text, category, name, tuple(ranges), values, whole, nothing, n_scored=len(some) + 2))
    return found


def _places(n_parts: int, width: int, stride: int) -> list[range]:
    """Return the runs of parts that are left out together; the last ends with the text."""
    if n_parts <= width:
        return [range(n_parts)] if n_parts else []
    starts = [*range(0, n_parts - width, stride), n_parts - width]
    return [range(start, start + width) for start in starts]


def _questions(text: int, places: Sequence[range], presence: Presence) -> list[Kept]:
    n = len(presence.ranges[text])
    kept = np.ones((len(places) + 2, n), dtype=bool)
    kept[1] = False
    for row, place in enumerate(places, start=2):
        kept[row, place.start : place.stop] = False
    return [Kept(text, row) for row in kept]


def _means(n_parts: int, places: Sequence[range], falls: Values) -> Values:
    """Return for each part the mean fall over the places that hold it."""
    sums, counts = np.zeros(n_parts), np.zeros(n_parts)
    for place, fall in zip(places, falls, strict=True):
        sums[place.start : place.stop] += fall
        counts[place.start : place.stop] += 1
    return sums / np.maximum(counts, 1)
