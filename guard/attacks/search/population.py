"""What searches over many texts at once share: mixing two texts word by word, and the best change of each word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from guard.attacks.schema import Judged
from guard.attacks.words import AttackedText

__all__ = ["best_of", "by_word", "mixed"]


def mixed(
    text: AttackedText, other: AttackedText, places: Iterable[int], original: AttackedText
) -> AttackedText | None:
    """Return `text` with the words of `other` at some places.

    Parameters
    ----------
    text, other, original : AttackedText
        With as many words.
    places : iterable of int

    Returns
    -------
    AttackedText or None
        None where the mixture does not have as many words: two of them have run together.
    """
    if not text.n_words == other.n_words == original.n_words:
        return None
    new = text.replace_many({i: other.words[i] for i in places if other.words[i] != text.words[i]})
    if new.n_words != original.n_words:
        return None
    return replace(new, modified=frozenset(new.differing(original)))


def by_word(candidates: Sequence[AttackedText], n_words: int) -> list[list[AttackedText]]:
    """Return the candidates of each word: those whose last change was there, if they have as many words."""
    found: list[list[AttackedText]] = [[] for _ in range(n_words)]
    for candidate in candidates:
        if candidate.newly_modified and candidate.n_words == n_words:
            found[min(candidate.newly_modified)].append(candidate)
    return found


def best_of(judged: Iterable[Judged]) -> Judged:
    """Return the one with the highest score, the first of equals."""
    return max(judged, key=lambda each: each.score)
