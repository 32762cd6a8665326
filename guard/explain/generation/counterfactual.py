"""The least edit of a text that turns a verdict: words left out or replaced, none of which can be put back."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from guard.errors import ConfigError
from guard.explain.generation.prompt_words import PromptWords
from guard.explain.schema import Range, Values

__all__ = ["Change", "Counterfactual", "Scorer", "find_edit"]

Scorer = Callable[[Sequence[str]], Values]
"""Texts to one number each, float64, shape (n,): the same text always gives the same number."""

_BUDGET = 2000
_WIDTH = 8
"""Best sets of words that are grown in one step, so that every call of the scorer is full."""


@dataclass(frozen=True)
class Change:
    """One word of an edit.

    Parameters
    ----------
    range : (int, int)
        Of the word in the text before.
    word : str
    replacement : str
        Empty where the word is left out.
    """

    range: Range
    word: str
    replacement: str


@dataclass(frozen=True)
class Counterfactual:
    """What an edit is and what it does.

    Parameters
    ----------
    text : str
    edited : str or None
        None where none was found that turns the verdict.
    changes : tuple of Change
        In order of the text. Putting any one of them back alone turns the verdict back.
    threshold : float
        The verdict is whether a number reaches it.
    before, after : float
        The number of the text, and of the edited text.
    n_scored : int
        Texts that were scored.
    """

    text: str
    edited: str | None
    changes: tuple[Change, ...]
    threshold: float
    before: float
    after: float
    n_scored: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        changes = [{"start": c.range[0], "end": c.range[1], "word": c.word, "to": c.replacement} for c in self.changes]
        return {
            "edited": self.edited,
            "changes": changes,
            "threshold": self.threshold,
            "before": self.before,
            "after": self.after,
            "n_scored": self.n_scored,
        }


def find_edit(
    text: str,
    scorer: Scorer,
    threshold: float,
    *,
    order: Sequence[int] | None = None,
    replacements: Mapping[int, Sequence[str]] | None = None,
    budget: int = _BUDGET,
) -> Counterfactual:
    """Find a small edit of a text after which its number lies on the other side of a threshold.

    Parameters
    ----------
    text : str
    scorer : callable
    threshold : float
        Reached by equality, as policies have it.
    order : sequence of int, optional
        Places of words, the one most to blame for the verdict first. Default: by what leaving each out does.
    replacements : mapping of int to sequence of str, optional
        What may stand in the place of a word, the least change first; leaving it out comes last.
    budget : int
        Most texts to score in the search. Every single change is tried whatever it is, and the last step, which puts
        words back, scores what it needs.

    Returns
    -------
    Counterfactual
        Of one word where one word is enough: of the word at which the number can be moved furthest, with the least
        change there that turns the verdict. Otherwise small, and such that no single change can be put back; a
        smaller edit of other words may exist.

    Raises
    ------
    ConfigError
        A threshold that is not finite, or a budget below 1.

    Notes
    -----
    Best-first search over sets of words is Martens and Provost 2014, "Explaining Data-Driven Document Classifications"
    (algorithm 1); here the beginnings of the order are tried first, so that an edit is known early and bounds the
    search, and sets of equal size are grown together. The last step is the one of delta debugging (Zeller and
    Hildebrandt 2002, definition 6: 1-minimal).
    """
    if not math.isfinite(threshold) or budget < 1:
        raise ConfigError(f"threshold {threshold} with a budget of {budget}: give a finite one, and at least 1")
    return _Search(PromptWords.of(text), scorer, threshold, budget).run(order, replacements or {})


@dataclass
class _Search:
    """One search under way: every edit is a set of places, each with what stands there then."""

    words: PromptWords
    scorer: Scorer
    threshold: float
    budget: int
    known: dict[str, float] = field(default_factory=dict)
    options: dict[int, str] = field(default_factory=dict)
    before: float = 0.0

    def run(self, order: Sequence[int] | None, replacements: Mapping[int, Sequence[str]]) -> Counterfactual:
        """Try single words, then beginnings of the order, then sets from the best on."""
        (self.before,) = self._numbers([self.words.text])
        places = list(range(len(self.words.ranges)))
        blame = self._choose(places, replacements)
        ranked = list(order) if order is not None else sorted(places, key=lambda at: (-blame[at], at))
        most = sorted(places, key=lambda at: (-blame[at], at))
        best = next((edit for at in most if self._turned(edit := frozenset([at]))), None)
        if best is None:
            prefixes = [frozenset(ranked[:size]) for size in range(2, len(ranked) + 1)]
            best = self._best(prefixes[: max(0, self.budget - len(self.known))])
            best = self._grown(ranked, best)
        return self._told(None if best is None else self._minimal(best))

    def _choose(self, places: Sequence[int], replacements: Mapping[int, Sequence[str]]) -> dict[int, float]:
        """Pick for each word the first that turns the verdict alone, else what moves the number furthest.

        Returns how far the number can be moved at each place.
        """
        tried = [(at, new) for at in places for new in (*replacements.get(at, ()), "") if new != self.words.word(at)]
        numbers = self._numbers([self.words.edited({at: new}) for at, new in tried])
        gains, turned = dict.fromkeys(places, -math.inf), set[int]()
        for (at, new), number in zip(tried, numbers, strict=True):
            gain, turns = self._sign() * (self.before - number), self._turns(number)
            if at not in turned and (turns or gain > gains[at]):
                self.options[at] = new
            gains[at] = max(gain, gains[at])
            turned |= {at} if turns else set()
        return gains

    def _grown(self, ranked: Sequence[int], best: frozenset[int] | None) -> frozenset[int] | None:
        """Grow the most promising sets by a word until a smaller edit than the known one is found."""
        heap: list[tuple[float, int, tuple[int, ...]]] = [(self._distance(frozenset([at])), 1, (at,)) for at in ranked]
        heapq.heapify(heap)
        seen = {frozenset(one[2]) for one in heap}
        while heap and len(self.known) < self.budget:
            front = [heapq.heappop(heap) for _ in range(min(_WIDTH, len(heap)))]
            most = len(ranked) if best is None else len(best) - 1
            children = [c for _, size, of in front if size < most for c in _children(frozenset(of), ranked, seen)]
            children = children[: self.budget - len(self.known)]
            seen.update(children)
            found = self._best(children)
            if found is not None:
                return found
            for child in children:
                heapq.heappush(heap, (self._distance(child), len(child), tuple(sorted(child))))
        return best

    def _minimal(self, edit: frozenset[int]) -> frozenset[int]:
        """Put words back, the one that keeps the verdict furthest turned first, until none can be."""
        while len(edit) > 1:
            smaller = self._best([edit - {at} for at in sorted(edit)])
            if smaller is None:
                return edit
            edit = smaller
        return edit

    def _best(self, edits: Sequence[frozenset[int]]) -> frozenset[int] | None:
        """Return the smallest of those edits that turn the verdict, and of equal ones the clearest."""
        numbers = self._numbers([self._text(edit) for edit in edits])
        turned = [
            (len(edit), self._sign() * number, tuple(sorted(edit)))
            for edit, number in zip(edits, numbers, strict=True)
            if self._turns(number)
        ]
        return frozenset(min(turned)[2]) if turned else None

    def _numbers(self, texts: Sequence[str]) -> list[float]:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, np.asarray(self.scorer(new), dtype=np.float64).tolist(), strict=True))
        return [self.known[text] for text in texts]

    def _text(self, edit: frozenset[int]) -> str:
        return self.words.edited({at: self.options.get(at, "") for at in edit})

    def _distance(self, edit: frozenset[int]) -> float:
        (number,) = self._numbers([self._text(edit)])
        return self._sign() * (number - self.threshold)

    def _turned(self, edit: frozenset[int]) -> bool:
        (number,) = self._numbers([self._text(edit)])
        return self._turns(number)

    def _sign(self) -> float:
        return 1.0 if self.before >= self.threshold else -1.0

    def _turns(self, number: float) -> bool:
        return (number >= self.threshold) != (self.before >= self.threshold)

    def _told(self, edit: frozenset[int] | None) -> Counterfactual:
        text = self.words.text
        if edit is None:
            return Counterfactual(text, None, (), self.threshold, self.before, self.before, len(self.known))
        places = sorted(edit)
        changes = tuple(Change(self.words.ranges[at], self.words.word(at), self.options.get(at, "")) for at in places)
        edited = self._text(edit)
        return Counterfactual(text, edited, changes, self.threshold, self.before, self.known[edited], len(self.known))


def _children(edit: frozenset[int], ranked: Sequence[int], seen: set[frozenset[int]]) -> Iterator[frozenset[int]]:
    """Yield the edit with one more word, of those not seen."""
    for at in ranked:
        child = edit | {at}
        if child not in seen:
            seen.add(child)
            yield child
