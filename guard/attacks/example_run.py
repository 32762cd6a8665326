"""One example under attack: its search, what it asked, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from guard.attacks.schema import Attempt, Example, Judged, Probabilities, RandomSource, Status, Transformation, Victim
from guard.attacks.space import Attack, Differentiate, Judge, Propose, Request, Restrain, Searching, Verdicts
from guard.attacks.words import AttackedText

__all__ = ["ExampleRun", "example_seed"]


def example_seed(seed: int, example_id: str) -> int:
    """Return the seed of one example's randomness, in [0, 2**32): a function of the run's seed and its id alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{example_id}".encode()).digest()[:4], "big")


class ExampleRun:
    """One example and its search under way. The search moves in it: see :class:`guard.attacks.space.Space`.

    Parameters
    ----------
    attack : Attack
    victim : Victim
    example : Example
    seed : int
        The run's.
    budget : int or None
        Most queries.
    """

    def __init__(self, attack: Attack, victim: Victim, example: Example, *, seed: int, budget: int | None) -> None:
        self.attack, self.example, self._victim, self._budget = attack, example, victim, budget
        self.original = AttackedText.of(example.text)
        self._random = RandomSource(example_seed(seed, example.id))
        self._n_queries = 0
        self._asked: set[str] = set()
        self._opened: dict[int, frozenset[int]] = {}
        self._start: Judged | None = None
        self._best: Judged | None = None
        self._searching = self._whole()
        self.request: Request | None = next(self._searching)

    @property
    def start(self) -> Judged:
        """The original text, judged."""
        assert self._start is not None, "a search begins after the original text is judged"
        return self._start

    @property
    def label(self) -> int:
        """The right label."""
        return self.example.label

    @property
    def random(self) -> RandomSource:
        """The example's own randomness."""
        return self._random

    @property
    def victim(self) -> Victim:
        """For searches that read tokens or embeddings."""
        return self._victim

    def indices(self, text: AttackedText) -> list[int]:
        """Return the words of a text that may change, by any of the transformations."""
        each = (self.allowed(text, part, None) for part in self.attack.transformations)
        return list(dict.fromkeys(index for indices in each for index in indices))

    def allowed(self, text: AttackedText, transformation: Transformation, wanted: list[int] | None) -> tuple[int, ...]:
        """Return which of the wanted words a transformation may change.

        The order is that of Python's sets of small integers, which TextAttack goes through them in: transformations
        that draw at random draw in this order.
        """
        if text is self.original and wanted is not None and len(wanted) == 1:
            return tuple(index for index in wanted if index in self._open(transformation))
        return self._allowed(text, transformation, wanted)

    def _open(self, transformation: Transformation) -> frozenset[int]:
        """Return the words of the original text that a transformation may change: searches ask word by word."""
        if id(transformation) not in self._opened:
            self._opened[id(transformation)] = frozenset(self._allowed(self.original, transformation, None))
        return self._opened[id(transformation)]

    def _allowed(self, text: AttackedText, transformation: Transformation, wanted: list[int] | None) -> tuple[int, ...]:
        there = range(text.n_words)
        indices = set(there) if wanted is None else {index for index in wanted if index in there}
        for rule in self.attack.allowed:
            indices = indices & rule.indices(text, transformation)
        return tuple(indices)

    def judge(self, texts: list[AttackedText]) -> Searching[Verdicts]:
        """Ask for the victim's word."""
        return cast(Verdicts, (yield Judge(texts)))

    def propose(
        self, text: AttackedText, indices: list[int] | None = None, *, unchecked: bool = False
    ) -> Searching[list[AttackedText]]:
        """Ask for one text's candidates."""
        return cast(list[list[AttackedText]], (yield Propose([text], [indices], unchecked)))[0]

    def propose_many(
        self, texts: list[AttackedText], indices: list[list[int] | None] | None = None
    ) -> Searching[list[list[AttackedText]]]:
        """Ask for the candidates of several texts."""
        return cast(list[list[AttackedText]], (yield Propose(texts, indices or [None] * len(texts))))

    def gradients(
        self, texts: list[AttackedText], *, halfway_to: int | None = None
    ) -> Searching[list[npt.NDArray[np.float32]]]:
        """Ask for the gradients of the right label's cross entropy."""
        return cast(list[npt.NDArray[np.float32]], (yield Differentiate(texts, halfway_to)))

    def restrain(
        self, candidates: list[AttackedText], currents: list[AttackedText]
    ) -> Searching[list[AttackedText | None]]:
        """Ask which texts of the search's own making pass the constraints."""
        return cast(list[AttackedText | None], (yield Restrain(candidates, currents)))

    def within_budget(self, texts: Sequence[AttackedText]) -> Sequence[AttackedText]:
        """Count texts as queries, and return those of them that the budget still has room for."""
        if self._budget is not None:
            texts = texts[: max(0, self._budget - self._n_queries)]
        self._n_queries += len(texts)
        self._asked.update(text.text for text in texts)
        return texts

    def verdicts(self, probabilities: Probabilities, texts: Sequence[AttackedText]) -> Verdicts:
        """Judge texts that the victim has read."""
        judged = self.attack.goal.judge(probabilities, texts, original=self.original, label=self.label)
        return Verdicts(judged, self._n_queries == self._budget)

    def send(self, answer: object) -> Attempt | None:
        """Give the search an answer; the attempt once it ends, else None with the next request in `request`."""
        try:
            self.request = self._searching.send(answer)
        except StopIteration as end:
            self.request = None
            return cast(Attempt, end.value)
        return None

    def _whole(self) -> Searching[Attempt]:
        """Judge the original, search unless there is nothing to attack, and say what came of it."""
        self._start = (yield from self.judge([self.original])).judged[0]
        if self.attack.goal.skips(self._start.probabilities, self.label):
            return self._attempt(self._start, "skipped")
        best = yield from self.attack.search.run(self)
        if self.attack.goal.endless:
            return self._attempt(best, "maximized")
        return self._attempt(best, "succeeded" if best.met else "failed")

    def _attempt(self, best: Judged, status: Status) -> Attempt:
        start = self.start
        return Attempt(
            example_id=self.example.id,
            label=self.label,
            original=self.original.text,
            perturbed=best.text.text,
            status=status,
            n_queries=self._n_queries,
            n_victim_texts=len(self._asked),
            n_words=self.original.n_words,
            n_words_changed=Levenshtein.distance(self.original.words, best.text.words),
            edit_distance=Levenshtein.distance(self.original.text, best.text.text),
            score_before=start.score,
            score_after=best.score,
            label_after=self.attack.goal.decided(best.probabilities),
        )
