"""A text in another form, with a map from each of its characters back to the original, and the ways to edit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guard import codepoints

__all__ = ["Canonical", "Edit", "edited", "followed", "kept", "reordered", "same_length"]

Edit = tuple[int, int, str]
"""Replace ``text[start:end]`` by a string."""


@dataclass(frozen=True)
class Canonical:
    """A text in canonical form, and where each of its characters came from.

    Parameters
    ----------
    text : str
        The canonical text. Encodable in any UTF: it holds no surrogates.
    source_length : int
        Length of the original text in characters.
    starts, ends : int64 array of shape (len(text),) or None
        Character ``i`` came from ``original[starts[i]:ends[i]]``. Both ascend in a canonical text, for which the
        spelled-out tags that stand before the last visible character map to that character; in other readings
        they may not. None stands for the identity.
    asides : tuple of Canonical
        What the original says with invisible characters alone, or in the order that directional overrides show.
    """

    text: str
    source_length: int
    starts: npt.NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    ends: npt.NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    asides: tuple[Canonical, ...] = field(default=(), repr=False, compare=False)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a half-open range of canonical offsets to the range of the original that it covers.

        Parameters
        ----------
        start, end : int
            ``0 <= start <= end <= len(text)``.

        Returns
        -------
        (int, int)
            Half-open, inside the original. Characters that were dropped *between* two covered ones are inside.

        Raises
        ------
        ValueError
            When the range lies outside the canonical text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"span {start} to {end} lies outside the canonical text of length {len(self.text)}")
        if self.starts is None or self.ends is None:
            return start, end
        if start == end:
            place = int(self.starts[start]) if start < len(self.text) else self.source_length
            return place, place
        return int(self.starts[start:end].min()), int(self.ends[start:end].max())


def same_length(current: Canonical, text: str) -> Canonical:
    """Exchange characters one for one."""
    return Canonical(text, current.source_length, current.starts, current.ends)


def kept(current: Canonical, keep: npt.NDArray[np.bool_]) -> Canonical:
    """Drop the characters at which `keep`, of shape (len(text),), is False."""
    if keep.all():
        return current
    text = codepoints.text_of(codepoints.codes_of(current.text)[keep])
    starts = np.flatnonzero(keep) if current.starts is None else current.starts[keep]
    ends = starts + 1 if current.ends is None else current.ends[keep]
    return Canonical(text, current.source_length, starts, ends)


def edited(current: Canonical, edits: Sequence[Edit]) -> Canonical:
    """Apply edits, given in ascending order without overlap, to a text and to its map."""
    if not edits:
        return current
    text, place = current.text, 0
    pieces: list[str] = []
    rows: list[tuple[int, int, int, int]] = []  # source, characters it covers, characters out, whether each moves on
    for start, end, new in [*edits, (len(text), len(text), "")]:
        pieces += (text[place:start], new)
        rows += ((place, 1, start - place, 1), (start, end - start, len(new), 0))
        place = end
    source, size, count, moves = np.array(rows, dtype=np.int64).T
    within = np.arange(count.sum(), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    starts = np.repeat(source, count) + within * np.repeat(moves, count)
    ends = starts + np.repeat(size, count)
    if current.starts is not None and current.ends is not None and text:
        # An insertion covers nothing: it maps to its neighbours.
        first, last = np.minimum(starts, len(text) - 1), np.maximum(ends - 1, 0)
        starts = np.minimum(current.starts[first], current.starts[last])
        ends = np.maximum(current.ends[first], current.ends[last])
    return Canonical("".join(pieces), current.source_length, starts, ends)


def reordered(current: Canonical, order: npt.NDArray[np.int64]) -> Canonical:
    """Take the characters at the places `order`, in that order."""
    text = codepoints.text_of(codepoints.codes_of(current.text)[order])
    starts = order if current.starts is None else current.starts[order]
    ends = order + 1 if current.ends is None else current.ends[order]
    return Canonical(text, current.source_length, starts, ends)


def followed(first: Canonical, second: Canonical) -> Canonical:
    """Return `second`, a form of the text of `first`, with a map to the original of `first`."""
    if first.starts is None or first.ends is None:
        return second
    if second.starts is None or second.ends is None:
        return Canonical(second.text, first.source_length, first.starts, first.ends)
    opening, closing = second.starts, second.ends - 1
    starts = np.minimum(first.starts[opening], first.starts[closing])
    ends = np.maximum(first.ends[opening], first.ends[closing])
    return Canonical(second.text, first.source_length, starts, ends)
