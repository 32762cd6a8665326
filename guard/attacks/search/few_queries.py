"""Words for words with few queries: one gradient says where to begin, and what was judged says where to go on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guard.attacks.schema import Judged
from guard.attacks.search.compass import Compass
from guard.attacks.space import Searching, Space
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["FewQueries"]

_LEAST_SCORE = 1e-9
_LEAST_CANDIDATES = 4


@dataclass(frozen=True)
class FewQueries:
    """Puts words for words, asking the victim as little as it can; the victim must be a white box.

    Parameters
    ----------
    n_draws : int
        How often a transformation that draws is asked for candidates of a word; drawing costs no query.
    keep : float
        Share of the words, in (0, 1], that passes from the third on go over: those that moved the victim most.
    most : float
        Share, in (0, 1], of as many candidates of a word as its transformations give at once that are judged at most;
        never fewer than four.
    unknown : str or None
        The victim's token for an unknown word; None looks for a usual one.

    Raises
    ------
    ConfigError
        A number out of its range.

    Notes
    -----
    Words are ranked by one gradient, taken halfway to a text of unknown words (:class:`guard.attacks.search.compass.
    Compass`), in the place of a query a word; a word's candidates by the same gradient. The first pass goes over the
    words and judges one candidate of each, on top of what helped so far; the second one another, the words that moved
    the victim most first; from then on each pass goes over the better part of them with twice as many candidates, as
    in successive halving (Jamieson and Talwalkar 2016, algorithm 1). A word's replacement gives way to a better one.
    The search ends with the first success, or when no word has candidates left to judge. Where the constraints leave no
    room beside what was chosen, a candidate is tried alone.

    A gradient is no query, and costs about as much time as two; ``n_queries`` does not tell of it.
    """

    n_draws: int = 3
    keep: float = 0.5
    most: float = 0.6
    unknown: str | None = None

    def __post_init__(self) -> None:
        """Refuse a search that asks nothing."""
        if self.n_draws < 1 or not 0 < self.keep <= 1 or not 0 < self.most <= 1:
            raise ConfigError(f"{self}: n_draws is at least 1, keep and most in (0, 1]")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the first success, or the best text found."""
        indices = space.indices(space.start.text)
        if not indices:
            return space.start
        compass = yield from Compass.of(space, self.unknown)
        order = compass.ranked(indices)
        words = {index: _Word(index) for index in order}
        so_far = _SoFar(space.start)
        for width, some in self._passes(words):
            for word in some:
                if word.left is None:
                    yield from self._draw(space, compass, word)
                over = yield from _try(space, so_far, word, width)
                if over or so_far.best.met:
                    return so_far.best
        return so_far.best

    def _passes(self, words: dict[int, _Word]) -> Iterator[tuple[int, list[_Word]]]:
        """Yield how many candidates of which words come next, until none are left."""
        yield 1, [*words.values()]
        width = 1
        while live := [word for word in words.values() if word.left]:
            most = len(words) if width == 1 else math.ceil(self.keep * len(words))
            yield width, sorted(live, key=lambda word: -word.worth)[:most]
            width *= 2

    def _draw(self, space: Space, compass: Compass, word: _Word) -> Searching[None]:
        """Find the candidates of a word: the best of some draws, at most as many as one draw has."""
        original, index = space.start.text, word.index
        found: dict[str, None] = {}
        n_once = 0
        for _ in range(self.n_draws):
            drawn = yield from space.propose(original, [index], unchecked=True)
            new = [each for each in _replacements(original, index, drawn) if each not in found]
            n_once = n_once or len(new)
            if not new:
                break  # it does not draw, or the word has no more
            found |= dict.fromkeys(new)
        most = min(n_once, max(_LEAST_CANDIDATES, math.ceil(self.most * n_once)))
        word.left = compass.steepest(index, [*found])[:most]


@dataclass
class _Word:
    """A word that may change: what is left to judge for it, and by how much its best replacement moved the victim."""

    index: int
    left: list[str] | None = None
    worth: float = 0.0


@dataclass
class _SoFar:
    """The best text, and which replacements it is made of."""

    best: Judged
    chosen: dict[int, str] = field(default_factory=dict)


def _try(space: Space, so_far: _SoFar, word: _Word, width: int) -> Searching[bool]:
    """Judge a word's next candidates, keep the best where it helps, and tell whether the budget is spent."""
    some, word.left = (word.left or [])[:width], (word.left or [])[width:]
    before, score = so_far.chosen, so_far.best.score
    passing = yield from _passing(space, before, word.index, some, so_far.best.text)
    if not passing and before and some:
        before, score = {}, space.start.score
        passing = yield from _passing(space, before, word.index, some, space.start.text)
    if not passing:
        return False
    verdicts = yield from space.judge([text for _, text in passing])
    if not verdicts.judged:
        return verdicts.over
    at = max(range(len(verdicts.judged)), key=lambda place: verdicts.judged[place].score)
    found = verdicts.judged[at]
    gained = _log_odds(found.score) - _log_odds(score) + (word.worth if word.index in before else 0.0)
    word.worth = max(word.worth, gained)
    if found.score > so_far.best.score or found.met:
        so_far.best, so_far.chosen = found, {**before, word.index: passing[at][0]}
    return verdicts.over


def _passing(
    space: Space, chosen: dict[int, str], index: int, some: Sequence[str], current: AttackedText
) -> Searching[list[tuple[str, AttackedText]]]:
    """Return the candidates that pass the constraints together with what was chosen, and the texts they make."""
    texts = [space.start.text.replace_many({**chosen, index: each}) for each in some]
    kept = yield from space.restrain(texts, [current] * len(texts))
    return [(each, text) for each, text in zip(some, kept, strict=True) if text is not None]


def _replacements(original: AttackedText, index: int, candidates: Sequence[AttackedText]) -> list[str]:
    """Return what stands in the place of a word in each candidate that changes nothing else."""
    start, end = original.span(index)
    before, after = original.text[:start], original.text[end:]
    return [
        each.text[start : len(each.text) - len(after)]
        for each in candidates
        if each.text.startswith(before) and each.text.endswith(after) and len(each.text) > len(before) + len(after)
    ]


def _log_odds(score: float) -> float:
    inside = min(max(score, _LEAST_SCORE), 1 - _LEAST_SCORE)
    return math.log(inside / (1 - inside))
