"""Generators and filters that answer a question once, so that both arms see the very same outputs and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from guard.generators.failures import Row, texts_of
from guard.schema import Filter, Generator, Locator, Scores, Span, check_scores

__all__ = ["MemoFilter", "MemoGenerator", "remembering"]


class MemoGenerator:
    """Asks the generator inside once for each (prompt, seed); sound, since its output is a function of both.

    Parameters
    ----------
    inner : Generator
    """

    def __init__(self, inner: Generator[str]) -> None:
        self._inner = inner
        self._known: dict[tuple[str, int], Row] = {}
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The name of the generator inside."""
        return self._inner.name

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Generate what is not known yet, in one call, and return all in order.

        Raises
        ------
        OutputMissingError
            The generator could not give one of them. That is remembered like an output, so that the others can be had
            without asking again.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        keys = list(zip(prompts, seeds, strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        if new:
            start = time.perf_counter()
            ask = getattr(self._inner, "generate_rows", self._inner.generate)
            outputs = ask([prompt for prompt, _ in new], seed=[one for _, one in new])
            self.seconds += time.perf_counter() - start
            self._known.update(zip(new, outputs, strict=True))
        return texts_of([self._known[key] for key in keys], name=self.name)

    def forget(self) -> None:
        """Drop what is known, so that memory stays bounded."""
        self._known.clear()


class MemoFilter:
    """Asks the filter inside once for each text; sound, since a row does not depend on its neighbours.

    Parameters
    ----------
    inner : Filter
    """

    def __init__(self, inner: Filter[str]) -> None:
        self._inner = inner
        self._known: dict[str, Scores] = {}
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The name of the filter inside."""
        return self._inner.name

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of the filter inside."""
        return self._inner.categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score what is not known yet, in one call, and return all in order; float32, (n_items, n_categories)."""
        new = [item for item in dict.fromkeys(items) if item not in self._known]
        if new:
            start = time.perf_counter()
            scores = check_scores(self._inner.score_batch(new), n_items=len(new), filter_=self._inner)
            self.seconds += time.perf_counter() - start
            self._known.update(zip(new, scores, strict=True))
        rows = [self._known[item] for item in items]
        return np.stack(rows) if rows else np.empty((0, len(self.categories)), dtype=np.float32)

    def forget(self) -> None:
        """Drop what is known, so that memory stays bounded."""
        self._known.clear()


class _MemoLocator(MemoFilter):
    """A remembering filter whose inner one can also locate."""

    def __init__(self, inner: Filter[str], locator: Locator) -> None:
        super().__init__(inner)
        self._locator = locator

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the spans that the filter inside finds."""
        return self._locator.locate(text)


def remembering(filter_: Filter[str]) -> MemoFilter:
    """Wrap a filter so that it remembers, keeping its ability to locate."""
    return _MemoLocator(filter_, filter_) if isinstance(filter_, Locator) else MemoFilter(filter_)
