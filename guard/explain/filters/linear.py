"""Exact explanations of linear models: weight times count, shared out over the parts that an n-gram touches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from guard.errors import ConfigError
from guard.explain.filters.parts import Unit, text_parts
from guard.explain.schema import Attribution, Range, Values

__all__ = ["LinearFilter", "Terms", "exact", "shared_out"]


_UNREAD = -60.0
"""Log-odds of a text that scores 0, since nothing in it is in a language of the filter."""


class Terms(Protocol):
    """What one number is the sum of: ranges of a text, which may overlap, and what each adds."""

    @property
    def number(self) -> float: ...  # noqa: D102

    @property
    def baseline(self) -> float: ...  # noqa: D102

    @property
    def terms(self) -> Sequence[tuple[Range, float]]: ...  # noqa: D102


@runtime_checkable
class LinearFilter(Protocol):
    """A filter that can say what its log-odds is the sum of."""

    def evidence(self, text: str, category: str) -> Terms | None:
        """Return the terms of a category's log-odds; None where the text scores 0 for want of anything to read."""


def exact(filter_: LinearFilter, texts: Sequence[str], category: str, *, unit: Unit) -> list[Attribution]:
    """Value each part of every text by what the filter adds up for it.

    Parameters
    ----------
    filter_ : LinearFilter
    texts : sequence of str
        Of a long one, the window that decides.
    category : str
    unit : {"word", "token"}
        Words: n-grams are no tokens.

    Returns
    -------
    list of Attribution
        In log-odds; complete, with no gap but rounding. A text that the filter reads nothing of has no parts.

    Raises
    ------
    ConfigError
        Tokens are asked for.
    """
    if unit != "word":
        raise ConfigError("a linear filter has n-grams, which overlap, and no tokens; give unit word")
    return [_attribution(text, category, filter_.evidence(text, category)) for text in texts]


def _attribution(text: str, category: str, evidence: Terms | None) -> Attribution:
    if evidence is None:
        return Attribution(text, category, "exact", (), np.zeros(0), _UNREAD, _UNREAD, complete=True, n_scored=1)
    parts, values = shared_out(text, evidence.terms)
    return Attribution(
        text,
        category,
        "exact",
        parts,
        values,
        number=evidence.number,
        baseline=evidence.baseline,
        complete=True,
        n_scored=1,
    )


def shared_out(text: str, terms: Sequence[tuple[Range, float]]) -> tuple[tuple[Range, ...], Values]:
    """Share each term out over the parts that it touches, in equal shares, and sum.

    Returns
    -------
    parts : tuple of (int, int)
        Of :func:`guard.explain.filters.parts.text_parts`, from the first to the last that a term touches.
    values : ndarray
        float64, shape (len(parts),).

    Examples
    --------
    >>> shared_out("a bc", [((0, 1), 1.0), ((0, 4), 0.5)])
    (((0, 1), (2, 4)), array([1.25, 0.25]))
    """
    ranges = text_parts(text)
    starts = [start for start, _ in ranges]
    values, touched = np.zeros(len(ranges)), np.zeros(len(ranges), dtype=bool)
    for (start, end), value in terms:
        first = max(0, bisect_right(starts, start) - 1)
        if first + 1 < len(ranges) and ranges[first][1] <= start:
            first += 1
        last = max(first, bisect_right(starts, end - 1) - 1)
        if ranges:
            values[first : last + 1] += value / (last + 1 - first)
            touched[first : last + 1] = True
    held = np.flatnonzero(touched)
    here = slice(held[0], held[-1] + 1) if len(held) else slice(0, 0)
    return tuple(ranges[here]), values[here]
