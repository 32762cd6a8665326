"""Word by word as the greedy search, with a gradient in the place of queries: which words first, and which changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Judged, TokenEncoding, WhiteBox
from guard.attacks.search.ranking import word_tokens
from guard.attacks.space import Searching, Space
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["GreedyFewQueries"]

_Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GreedyFewQueries:
    """Greedy word swaps that ask the victim as little as they can; the victim must be a white box.

    Parameters
    ----------
    n_judged : int
        Of each word's candidates only so many are judged: those that should raise the loss most.
    n_draws : int
        How often a transformation that draws is asked for candidates of a word; drawing costs no query.
    n_again : int
        Where a pass over all words fails, how many fresh candidates of each are judged in a second one; 0 for none.
    unknown : str
        The victim's token for an unknown word.

    Raises
    ------
    ConfigError
        A number below its least.

    Notes
    -----
    One gradient of the original text ranks its words by how much the loss should change, to first order, if a word's
    tokens were unknown ones: ``sum |(E[unknown] - E[token]) @ gradient|``, in the place of a query a word. Either sign
    counts: what raises the loss and what lowers it both show where it can be moved. Candidates are ranked by
    ``mean(E[new tokens]) @ mean(gradient of the word)`` (Ebrahimi et al. 2018, equation 1, with means since a
    misspelt word has more tokens). A first success ends the search. A gradient is no query, and costs about as much
    time as three; ``n_queries`` does not tell of it.
    """

    n_judged: int = 3
    n_draws: int = 1
    n_again: int = 4
    unknown: str = "[UNK]"

    def __post_init__(self) -> None:
        """Refuse a search that asks nothing."""
        if self.n_judged < 1 or self.n_draws < 1 or self.n_again < 0:
            raise ConfigError(f"{self}: n_judged and n_draws are at least 1, n_again at least 0")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the first success, or the best text found."""
        text, current = space.start.text, space.start
        (gradient,) = yield from space.gradients([text])
        compass = _Compass(space.victim, text, gradient, self.unknown)
        ranked = compass.ranked(space.indices(text))
        for n_judged in (self.n_judged, self.n_again):
            for index in ranked if n_judged else ():
                candidates = yield from self._candidates(space, current.text, index)
                chosen = compass.steepest(candidates, index, n_judged)
                if not chosen:
                    continue
                verdicts = yield from space.judge(chosen)
                best = max(verdicts.judged, key=lambda judged: judged.score, default=current)
                current = best if best.score > current.score else current
                if current.met or verdicts.over:
                    return current
        return current

    def _candidates(self, space: Space, text: AttackedText, index: int) -> Searching[list[AttackedText]]:
        """Return the distinct candidates of some draws."""
        found: dict[str, AttackedText] = {}
        for _ in range(self.n_draws):
            for candidate in (yield from space.propose(text, [index])):
                found.setdefault(candidate.text, candidate)
        return [*found.values()]


class _Compass:
    """Where the loss rises: the gradient of the original text, word by word."""

    def __init__(self, victim: object, text: AttackedText, gradient: _Embeddings, unknown: str) -> None:
        if not isinstance(victim, WhiteBox):
            raise ConfigError(
                f"victim {getattr(victim, 'name', victim)} has no gradients; search greedily by importance"
            )
        self._victim, self._text, self._gradient = victim, text, gradient
        self._table, self._encoding = victim.embeddings(), victim.tokens(text.text)
        vocabulary = getattr(victim, "vocabulary", ())
        if unknown not in vocabulary:
            raise ConfigError(f"victim {victim.name} has no token {unknown!r}; name its unknown token")
        self._unknown = self._table[vocabulary.index(unknown)]

    def ranked(self, indices: Sequence[int]) -> list[int]:
        """Return words, most important first, equal ones in order."""
        importance = np.array([self._importance(index) for index in indices])
        return [indices[place] for place in np.argsort(-importance, kind="stable")]

    def _importance(self, index: int) -> float:
        rows = word_tokens(self._encoding, *self._text.span(index))
        ways = self._unknown - self._vectors(self._encoding, rows)
        return float(np.abs(np.einsum("ij,ij->i", ways, self._gradient[rows])).sum())

    def steepest(self, candidates: Sequence[AttackedText], index: int, n: int) -> list[AttackedText]:
        """Return the candidates of a word whose loss should be highest, equal ones in order.

        Words keep their index from the original text while words are put for words, so its gradient serves on.
        """
        rows = word_tokens(self._encoding, *self._text.span(index)) if index < self._text.n_words else []
        if len(candidates) <= n or not rows:
            return [*candidates[:n]]
        uphill = self._gradient[rows].mean(axis=0)
        rises = [self._rise(candidate, index, uphill) for candidate in candidates]
        return [candidates[place] for place in np.argsort(-np.array(rises), kind="stable")[:n]]

    def _rise(self, candidate: AttackedText, index: int, uphill: _Embeddings) -> float:
        if index >= candidate.n_words:
            return -np.inf
        encoding = self._victim.tokens(candidate.text)
        vectors = self._vectors(encoding, word_tokens(encoding, *candidate.span(index)))
        return float(vectors.mean(axis=0) @ uphill) if len(vectors) else -np.inf

    def _vectors(self, encoding: TokenEncoding, rows: Sequence[int]) -> _Embeddings:
        return self._table[[encoding.ids[row] for row in rows]]
