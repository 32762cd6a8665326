"""The usual words that a filter finds harmful on their own: what its reading of slips prefers."""

from __future__ import annotations

from guard.filters.slip_reading import usual_words
from guard.schema import Filter
from guard.views import words

__all__ = ["slip_settings"]

_LEAST, _BOLD = 0.5, 0.8
"""Scores from which on a word counts (more harmful than not), and from which on slips are read as it at worst."""


def slip_settings(filter_: Filter[str], category: str) -> dict[str, object]:
    """Return what ``slips`` of a filter's ``config.json`` is to hold, for one category."""
    scores = _scored(filter_, category)
    charged = sorted(word for word, score in scores.items() if score >= _LEAST)
    bold = [word for word in charged if scores[word] >= _BOLD or word in words.swears()]
    return {"charged": charged, "bold": bold, "categories": [category]}


def _scored(filter_: Filter[str], category: str) -> dict[str, float]:
    """Return what each of some 12,000 usual words scores on its own."""
    usual = usual_words()
    return dict(zip(usual, filter_.score_batch(usual)[:, filter_.categories.index(category)].tolist(), strict=True))
