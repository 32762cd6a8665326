"""Running filters over a batch so that one that raises, hangs or returns nonsense costs only its own rows."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from guard.errors import FilterError
from guard.schema import Filter, Locator, Scores, Span, check_scores

__all__ = ["FilterRunner", "RowScores", "score_rows"]

R = TypeVar("R")

_MAX_CALLS = 256  # of one filter for one batch: isolates about a dozen bad rows among a thousand
_MAX_REASON_CHARS = 200


@dataclass
class RowScores:
    """What all filters said about one text.

    Parameters
    ----------
    scores : dict of str to float
        The highest score of any filter, for each category.
    errors : list of str
        One sentence for each filter that could not score the text.
    """

    scores: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class FilterRunner:
    """Calls one filter in a thread of its own and gives up on it after a while.

    Parameters
    ----------
    filter_ : Filter
    timeout_s : float
        Seconds for a batch, repeats included.

    Notes
    -----
    A thread that hangs cannot be killed in Python: it is left behind as a daemon, which does not keep the process
    alive. While it hangs, every further call fails at once, so that hung threads do not pile up. A filter that
    hangs in C code without releasing the interpreter lock stops the process itself, and no thread can help that.
    """

    def __init__(self, filter_: Filter[str], *, timeout_s: float) -> None:
        self.filter = filter_
        self._timeout_s = timeout_s
        self._hung: threading.Thread | None = None

    def score(self, texts: Sequence[str]) -> list[Mapping[str, float] | str]:
        """Score every text: its scores by category, or the reason why there are none.

        When a batch fails, its halves are tried, down to single texts: the rest of the batch keeps its scores.
        A hung batch is not tried again.
        """
        deadline = time.monotonic() + self._timeout_s
        results: list[Mapping[str, float] | str] = ["was not reached in time"] * len(texts)
        pending = [(0, len(texts))] if texts else []
        calls = 0
        while pending and calls < _MAX_CALLS and (not calls or time.monotonic() < deadline):
            start, end = pending.pop()
            calls += 1
            try:
                scores = self._scores(texts[start:end], deadline)
            except FilterError as error:
                results[start:end] = [_one_line(error)] * (end - start)
                if end - start > 1 and not self._is_hung():
                    middle = (start + end) // 2
                    pending += [(middle, end), (start, middle)]
                continue
            results[start:end] = self._rows(scores)
        return results

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the spans that the filter finds in `text`; none when it cannot locate.

        Raises
        ------
        FilterError
            When it raises or hangs, or returns spans outside the text.
        """
        locator = self.filter
        if not isinstance(locator, Locator):
            return ()
        spans = self._call(lambda: locator.locate(text), time.monotonic() + self._timeout_s)
        valid = isinstance(spans, (tuple, list)) and all(_is_span(span, len(text)) for span in spans)
        if not valid:
            raise FilterError(f"filter {self.filter.name} located something that is no span of a text of {len(text)}")
        return tuple(spans)

    def _scores(self, texts: Sequence[str], deadline: float) -> Scores:
        result: object = self._call(lambda: self.filter.score_batch(texts), deadline)
        return check_scores(result, n_items=len(texts), filter_=self.filter)

    def _rows(self, scores: Scores) -> list[Mapping[str, float] | str]:
        # float32(0.9) is below 0.9: without rounding, a score of 0.9 would not reach a threshold of 0.9.
        rows = np.round(scores.astype(np.float64), 7).tolist()
        return [dict(zip(self.filter.categories, row, strict=True)) for row in rows]

    def _is_hung(self) -> bool:
        return self._hung is not None and self._hung.is_alive()

    def _call(self, function: Callable[[], R], deadline: float) -> R:
        """Call in a daemon thread; whatever goes wrong is a FilterError."""
        name = self.filter.name
        if self._is_hung():
            raise FilterError(f"filter {name} still hangs in an earlier batch")
        outcome: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()
        thread = threading.Thread(target=_deliver, args=(function, outcome), name=f"filter {name}", daemon=True)
        thread.start()
        try:
            result, error = outcome.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            self._hung = thread
            raise FilterError(f"filter {name} gave no answer within {self._timeout_s:g} s") from None
        if isinstance(error, FilterError):
            raise error if name in str(error) else FilterError(f"filter {name} failed: {error}") from error
        if error is not None:
            raise FilterError(f"filter {name} raised {type(error).__name__}: {error}") from error
        return result  # type: ignore[return-value]  # None only where the function itself returned it


def score_rows(runners: Sequence[FilterRunner], texts: Sequence[str]) -> list[RowScores]:
    """Score every text with every filter.

    Parameters
    ----------
    runners : sequence of FilterRunner
    texts : sequence of str

    Returns
    -------
    list of RowScores
        One for each text.
    """
    rows = [RowScores() for _ in texts]
    for runner in runners:
        for row, result in zip(rows, runner.score(texts), strict=True):
            if isinstance(result, str):
                row.errors.append(result)
                continue
            for category, score in result.items():
                row.scores[category] = max(score, row.scores.get(category, 0.0))
    return rows


def _deliver(function: Callable[[], R], outcome: queue.SimpleQueue[tuple[R | None, BaseException | None]]) -> None:
    try:
        outcome.put((function(), None))
    except BaseException as error:  # SystemExit too: a filter that leaves has not judged the text
        outcome.put((None, error))


def _is_span(span: object, length: int) -> bool:
    return isinstance(span, Span) and 0 <= span.start <= span.end <= length


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_REASON_CHARS]
