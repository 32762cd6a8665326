"""Word by word in order of importance: the best change of each word is kept if it helps, until the goal is met."""

from __future__ import annotations

import math
from dataclasses import dataclass

from guard.attacks.schema import Judged
from guard.attacks.search.ranking import RANKINGS, Ranking, rank_words
from guard.attacks.space import Searching, Space
from guard.errors import ConfigError

__all__ = ["GreedyByImportance"]


@dataclass(frozen=True)
class GreedyByImportance:
    """Greedy word swaps in order of importance.

    Source: Gao et al. 2018, "Black-box Generation of Adversarial Text Sequences", algorithm 1; Jin et al. 2020, "Is
    BERT Really Robust?", algorithm 1.

    Parameters
    ----------
    ranking : Ranking
        How the importance of a word is told: see :func:`guard.attacks.search.ranking.rank_words`.
    unknown : str
        Stands for a word in the rankings ``unknown`` and ``saliency``.
    first_words : int or None
        Only so many words that may change, from the start of the text, are ranked and tried.
    follow : bool
        Find each ranked word where it is now; else its old index is used whatever was deleted before it.

    Notes
    -----
    TextAttack 0.3.11 does not follow words: once one is deleted, what it takes for a ranked word is the one after it.
    Its recipe for input reduction is measured like that, so the default is the same.

    When several candidates meet the goal, the one most like the original is taken where a constraint measured that,
    else the one with the highest score.
    """

    ranking: Ranking = "unknown"
    unknown: str = "[UNK]"
    first_words: int | None = None
    follow: bool = False

    def __post_init__(self) -> None:
        """Refuse a ranking that there is not."""
        if self.ranking != "random" and self.ranking not in RANKINGS:
            raise ConfigError(f"no ranking is called {self.ranking!r}; known: {', '.join([*RANKINGS, 'random'])}")
        if self.first_words is not None and self.first_words < 1:
            raise ConfigError(f"first_words={self.first_words}; give at least 1")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text found."""
        order, over = yield from rank_words(space, self.ranking, self.unknown, self.first_words)
        current = space.start
        for index in order:
            if over:
                break
            place = current.text.origin[index] if self.follow else index
            candidates = yield from space.propose(current.text, [place])
            if not candidates:
                continue
            verdicts = yield from space.judge(candidates)
            over = verdicts.over
            best = max(verdicts.judged, key=lambda judged: judged.score, default=current)
            if best.score <= current.score:
                continue
            if best.met:
                return _most_similar(verdicts.judged)
            current = best
        return current


def _most_similar(judged: list[Judged]) -> Judged:
    """Return the most similar of those that meet the goal, from the highest score down to the first that does not."""
    ranked = sorted(judged, key=lambda each: -each.score)
    best, most = ranked[0], -math.inf
    for each in ranked:
        if not each.met or each.text.similarity is None:
            break
        if each.text.similarity > most:
            best, most = each, each.text.similarity
    return best
