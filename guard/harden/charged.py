"""The usual words that a filter finds harmful on their own: what its reading of slips prefers."""

from __future__ import annotations

from guard.filters.slip_reading import usual_words
from guard.schema import Filter
from guard.views import words

__all__ = ["charged_words", "slip_settings"]

LEAST, BOLD = 0.5, 0.8
"""Scores from which on a word counts (more harmful than not), and from which on slips are read as it at worst."""


def charged_words(filter_: Filter[str], category: str, *, least: float = LEAST) -> list[str]:
    """Score some 12,000 words one by one and return those that reach a score, in the order of the alphabet.

    Parameters
    ----------
    filter_ : Filter
    category : str
    least : float
        In [0, 1].
    """
    return sorted(word for word, score in _scored(filter_, category).items() if score >= least)


def slip_settings(filter_: Filter[str], category: str) -> dict[str, object]:
    """Return what ``slips`` of a filter's ``config.json`` is to hold, for one category."""
    scores = _scored(filter_, category)
    charged = sorted(word for word, score in scores.items() if score >= LEAST)
    bold = [word for word in charged if scores[word] >= BOLD or word in words.swears()]
    return {"charged": charged, "bold": bold, "categories": [category]}


def _scored(filter_: Filter[str], category: str) -> dict[str, float]:
    """Return what each usual word scores on its own."""
    usual = usual_words()
    return dict(zip(usual, filter_.score_batch(usual)[:, filter_.categories.index(category)].tolist(), strict=True))
