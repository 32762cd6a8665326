"""The usual words that a filter finds harmful on their own: what its reading of slips prefers."""

from __future__ import annotations

from guard.filters.slip_reading import usual_words
from guard.schema import Filter

__all__ = ["charged_words", "slip_settings"]

LEAST = 0.5
"""Score from which on a word counts: that is more harmful than not."""


def charged_words(filter_: Filter[str], category: str, *, least: float = LEAST) -> list[str]:
    """Score some 12,000 words one by one and return those that reach a score, in the order of the alphabet.

    Parameters
    ----------
    filter_ : Filter
    category : str
    least : float
        In [0, 1].
    """
    words = usual_words()
    scores = filter_.score_batch(words)[:, filter_.categories.index(category)]
    return sorted(word for word, score in zip(words, scores.tolist(), strict=True) if score >= least)


def slip_settings(filter_: Filter[str], category: str) -> dict[str, object]:
    """Return what ``slips`` of a filter's ``config.json`` is to hold, for one category."""
    return {"charged": charged_words(filter_, category), "categories": [category]}
