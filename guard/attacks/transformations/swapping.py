"""Putting other words in the place of one: what all word swaps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from guard.attacks.schema import Ask, RandomSource
from guard.attacks.words import AttackedText

__all__ = ["Replacements", "swap_words"]

Replacements = Callable[[str, RandomSource], Iterable[str]]
"""A word to the words that may stand in its place."""


def swap_words(asks: Sequence[Ask], replacements: Replacements) -> list[list[AttackedText]]:
    """Return for each ask the texts with one of its words replaced, word by word in the order of its indices.

    Parameters
    ----------
    asks : sequence of Ask
    replacements : callable
        Draws, if it does, from the source it is given. What equals the word is passed over.
    """
    return [_swapped(ask, replacements) for ask in asks]


def _swapped(ask: Ask, replacements: Replacements) -> list[AttackedText]:
    found = []
    for index in ask.indices:
        word = ask.text.words[index]
        found += [ask.text.replace(index, new) for new in replacements(word, ask.random) if new != word]
    return found
