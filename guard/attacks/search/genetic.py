"""A population of texts: the fitter ones are crossed word by word, and every child gets one good change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Judged
from guard.attacks.search.population import best_of, by_word, mixed
from guard.attacks.space import Searching, Space
from guard.errors import ConfigError

__all__ = ["Genetic"]

_Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Member:
    """A text, and how likely each of its words is to be changed next."""

    judged: Judged
    weights: _Weights


@dataclass(frozen=True)
class Genetic:
    """Genetic search over word swaps.

    Source: Alzantot et al. 2018, "Generating Natural Language Adversarial Examples", algorithm 1.

    Parameters
    ----------
    population : int
        Texts in a generation, at least 2.
    generations : int
    temperature : float
        Of the softmax of the scores by which parents are drawn; lower prefers the fittest more.
    tries : int
        How many words of a text are tried, most promising first by chance, until one has a change that helps.

    Notes
    -----
    A word is drawn in proportion to how many candidates it has in the original text. A child that breaks a constraint
    gives way to its first parent. All children of a generation are changed and judged together.

    Parents are drawn by how well they do, as in the paper; TextAttack 0.3.11 draws them by how badly.
    """

    population: int = 60
    generations: int = 20
    temperature: float = 0.3
    tries: int = 5

    def __post_init__(self) -> None:
        """Refuse numbers that no population could have."""
        if self.population < 2 or self.generations < 1 or self.tries < 1 or not self.temperature > 0:
            raise ConfigError(f"{self}: at least 2 texts, 1 generation and 1 try, and a temperature above 0")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text found."""
        start = space.start
        candidates = yield from space.propose(start.text)
        weights = np.array([len(mine) for mine in by_word(candidates, start.text.n_words)], dtype=np.float64)
        if not weights.any():
            return start
        members, over = yield from self._changed(space, [_Member(start, weights)] * self.population)
        for _ in range(self.generations):
            best = max(members, key=lambda member: member.judged.score)
            if over or best.judged.met:
                break
            children, over = yield from self._children(space, members)
            if children and not over:
                children, over = yield from self._changed(space, children)
            members = [best, *children]
        return best_of(member.judged for member in members)

    def _children(self, space: Space, members: list[_Member]) -> Searching[tuple[list[_Member], bool]]:
        """Cross drawn pairs of parents, every word from either."""
        scores = np.array([member.judged.score for member in members])
        fitness = np.exp((scores - scores.max()) / self.temperature)
        pairs = space.random.numpy.choice(len(members), size=(self.population - 1, 2), p=fitness / fitness.sum())
        crossed, currents, weights = [], [], []
        for first, second in pairs:
            mother, father = members[first], members[second]
            taken = space.random.numpy.uniform(size=len(mother.weights)) < 0.5
            text = mixed(mother.judged.text, father.judged.text, np.flatnonzero(taken).tolist(), space.start.text)
            crossed.append(text if text is not None else mother.judged.text)
            currents.append(mother.judged.text)
            weights.append(np.where(taken, father.weights, mother.weights))
        passed = yield from space.restrain(crossed, currents)
        texts = [text if text is not None else current for text, current in zip(passed, currents, strict=True)]
        verdicts = yield from space.judge(texts)
        return [_Member(*pair) for pair in zip(verdicts.judged, weights, strict=False)], verdicts.over

    def _changed(self, space: Space, members: list[_Member]) -> Searching[tuple[list[_Member], bool]]:
        """Give every member the best change of one word, drawn by weight, if it helps; else try another word."""
        members, over = list(members), False
        left = {place: member.weights.copy() for place, member in enumerate(members)}
        for _ in range(self.tries):
            left = {place: weights for place, weights in left.items() if weights.any()}
            if not left or over:
                break
            words = {place: _drawn(space, weights) for place, weights in left.items()}
            texts = [members[place].judged.text for place in left]
            proposed = yield from space.propose_many(texts, [[words[place]] for place in left])
            verdicts = yield from space.judge([text for mine in proposed for text in mine])
            over, judged = verdicts.over, iter(verdicts.judged)
            for place, mine in zip(list(left), proposed, strict=True):
                left[place][words[place]] = 0
                best = best_of([members[place].judged, *(each for _, each in zip(mine, judged, strict=False))])
                if best is not members[place].judged:
                    members[place] = _Member(best, _without(members[place].weights, words[place]))
                    del left[place]
            if any(member.judged.met for member in members):
                break
        return members, over


def _drawn(space: Space, weights: _Weights) -> int:
    return int(space.random.numpy.choice(len(weights), p=weights / weights.sum()))


def _without(weights: _Weights, word: int) -> _Weights:
    kept = weights.copy()
    kept[word] = 0
    return kept
