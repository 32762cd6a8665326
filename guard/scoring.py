"""Running filters over a batch so that one that raises, hangs or returns nonsense costs only its own rows."""

from __future__ import annotations

import math
import operator
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from guard.errors import FilterError
from guard.schema import Filter, Locator, Scores, Span, check_scores

__all__ = ["Fault", "FilterRunner", "RowScores", "score_rows"]

R = TypeVar("R")

_MAX_CALLS = 256  # of one filter for one group of texts: isolates about a dozen bad rows among a thousand
_MAX_REASON_CHARS = 200
_LONG_CHARS = 4_000  # a longer text gets a call of its own, so that it cannot take the time of its neighbours
_CHARS_PER_TIMEOUT = 100_000
_MAX_CAUSES = 8  # to follow from an error to what first went wrong


@dataclass(frozen=True)
class Fault:
    """Why there is no score, in two lengths.

    Parameters
    ----------
    detail : str
        One line, in the words of the exception, which may quote the text.
    brief : str
        Names the filter and the kind of fault, and never holds a part of the text.
    filter_name : str
        Empty where no single filter is to blame.
    """

    detail: str
    brief: str
    filter_name: str = ""


@dataclass
class RowScores:
    """What all filters said about one text.

    Parameters
    ----------
    scores : dict of str to float
        The highest score of any filter, for each category.
    faults : list of Fault
        One for each filter that could not score the text.
    """

    scores: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class _OwnError(FilterError):
    """A fault that is described here and not in the words of a filter: it quotes no text."""


class FilterRunner:
    """Calls one filter in a thread of its own and gives up on it after a while.

    Parameters
    ----------
    filter_ : Filter
        Its name and categories are read once. If they differ later, the filter has failed.
    timeout_s : float
        Seconds for a group of texts, repeats included, for each started 100,000 characters of it. Each text over
        4,000 characters is a group of its own; the others of a batch are one group.

    Notes
    -----
    A thread that hangs cannot be killed in Python: it is left behind as a daemon, which does not keep the process
    alive. While it hangs, every further call fails at once, so that hung threads do not pile up. A filter that
    hangs in C code without releasing the interpreter lock stops the process itself, and no thread can help that.
    """

    def __init__(self, filter_: Filter[str], *, timeout_s: float) -> None:
        self.filter = filter_
        self.name, self.categories = str(filter_.name), tuple(filter_.categories)
        self._timeout_s = timeout_s
        self._hung: set[threading.Thread] = set()
        self._hung_lock = threading.Lock()

    def score(self, texts: Sequence[str]) -> list[Mapping[str, float] | Fault]:
        """Score every text: its scores by category, or the reason why there are none.

        Short texts are scored together, then the long ones, one a call, the longest last. When a call fails, its
        halves are tried, down to single texts: the rest keeps its scores. A hung call is not tried again.
        """
        results: dict[int, Mapping[str, float] | Fault] = {}
        for places in _groups(texts):
            group = self._score_group([texts[place] for place in places])
            results.update(zip(places, group, strict=True))
        return [results[place] for place in range(len(texts))]

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the spans that the filter finds in `text`; none when it cannot locate.

        Raises
        ------
        FilterError
            When it raises or hangs, or returns something other than spans inside the text with scores in [0, 1].
        """
        locator = self.filter
        if not isinstance(locator, Locator):
            return ()
        return self._call(lambda: self._spans(locator.locate(text), len(text)), self._seconds([text]))

    def fault(self, error: FilterError) -> Fault:
        """Describe an error of this filter."""
        detail = _one_line(str(error))
        if isinstance(error, _OwnError):
            return Fault(detail, detail, self.name)
        root: BaseException = error
        for _ in range(_MAX_CAUSES):
            root = root.__cause__ or root
        return Fault(detail, f"filter {self.name} failed: {type(root).__name__}", self.name)

    def _score_group(self, texts: Sequence[str]) -> list[Mapping[str, float] | Fault]:
        """Score texts in one call, or in halves where that fails, all within one time limit."""
        deadline = time.monotonic() + self._seconds(texts)
        late = f"filter {self.name} did not reach the text in time"
        results: list[Mapping[str, float] | Fault] = [Fault(late, late, self.name)] * len(texts)
        pending = [(0, len(texts))]
        calls = 0
        while pending and calls < _MAX_CALLS and (not calls or time.monotonic() < deadline):
            start, end = pending.pop()
            calls += 1
            try:
                scores = self._scores(texts[start:end], deadline - time.monotonic())
            except FilterError as error:
                results[start:end] = [self.fault(error)] * (end - start)
                if end - start > 1 and not self._is_hung():
                    middle = (start + end) // 2
                    pending += [(middle, end), (start, middle)]
                continue
            results[start:end] = self._rows(scores)
        return results

    def _seconds(self, texts: Sequence[str]) -> float:
        """Return how long the filter may take over texts of this size."""
        n_chars = sum(len(text) for text in texts)
        return min(self._timeout_s * max(1, math.ceil(n_chars / _CHARS_PER_TIMEOUT)), threading.TIMEOUT_MAX)

    def _scores(self, texts: Sequence[str], seconds: float) -> Scores:
        return self._call(lambda: self._checked(self.filter.score_batch(texts), len(texts)), seconds)

    def _checked(self, scores: object, n_items: int) -> Scores:
        """Hold what the filter returned, and the filter itself, to what it promised."""
        if str(self.filter.name) != self.name or tuple(self.filter.categories) != self.categories:
            raise _OwnError(f"filter {self.name} changed its name or its categories since it was given")
        try:
            return check_scores(scores, n_items=n_items, filter_=self.filter)
        except FilterError as error:
            raise _OwnError(str(error)) from error

    def _rows(self, scores: Scores) -> list[Mapping[str, float] | Fault]:
        # float32(0.9) is below 0.9: without rounding, a score of 0.9 would not reach a threshold of 0.9.
        rows = np.round(scores.astype(np.float64), 7).tolist()
        return [dict(zip(self.categories, row, strict=True)) for row in rows]

    def _spans(self, spans: object, length: int) -> tuple[Span, ...]:
        """Rebuild what the filter located from plain numbers and texts, as records need them."""
        try:
            if not isinstance(spans, (tuple, list)):
                raise TypeError(type(spans).__name__)
            return tuple(_plain_span(span, length) for span in spans)
        except Exception as error:
            message = f"filter {self.name} located something that is no span of a text of {length}"
            raise _OwnError(message) from error

    def _is_hung(self) -> bool:
        with self._hung_lock:
            self._hung = {thread for thread in self._hung if thread.is_alive()}
            return bool(self._hung)

    def _call(self, function: Callable[[], R], seconds: float) -> R:
        """Call in a daemon thread; whatever goes wrong is a FilterError."""
        if self._is_hung():
            raise _OwnError(f"filter {self.name} still hangs in an earlier batch")
        outcome: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()
        thread = threading.Thread(target=_deliver, args=(function, outcome), name=f"filter {self.name}", daemon=True)
        thread.start()
        try:
            result, error = outcome.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            with self._hung_lock:
                self._hung.add(thread)
            limit = f"{self._timeout_s:g} s for each started {_CHARS_PER_TIMEOUT:,} characters"
            raise _OwnError(f"filter {self.name} gave no answer within {limit}") from None
        if error is None:
            return result  # type: ignore[return-value]  # None only where the function itself returned it
        words = _words(error)
        if isinstance(error, FilterError) and self.name in words:
            raise error
        if isinstance(error, FilterError):
            raise FilterError(f"filter {self.name} failed: {words}") from error
        raise FilterError(f"filter {self.name} raised {type(error).__name__}: {words}") from error


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
            if isinstance(result, Fault):
                row.faults.append(result)
                continue
            for category, score in result.items():
                row.scores[category] = max(score, row.scores.get(category, 0.0))
    return rows


def _groups(texts: Sequence[str]) -> list[list[int]]:
    """Places of the short texts together, then of each long one, the longest last."""
    short = [place for place, text in enumerate(texts) if len(text) <= _LONG_CHARS]
    long = sorted(set(range(len(texts))) - set(short), key=lambda place: (len(texts[place]), place))
    return [short] * bool(short) + [[place] for place in long]


def _deliver(function: Callable[[], R], outcome: queue.SimpleQueue[tuple[R | None, BaseException | None]]) -> None:
    try:
        outcome.put((function(), None))
    except BaseException as error:  # SystemExit too: a filter that leaves has not judged the text
        outcome.put((None, error))


def _plain_span(span: object, length: int) -> Span:
    """Rebuild a span from plain Python numbers, or raise whatever comes when it is none."""
    if not isinstance(span, Span):
        raise TypeError(type(span).__name__)
    value = None if span.value is None else float(span.value)
    place = operator.index(span.start), operator.index(span.end)
    plain = Span(*place, str(span.category), float(span.score), value, str(span.method))
    if not (0 <= plain.start <= plain.end <= length and 0.0 <= plain.score <= 1.0):
        raise ValueError("outside its range")
    if value is not None and not math.isfinite(value):
        raise ValueError("worth what is no number")
    return plain


def _words(error: BaseException) -> str:
    """Return what an exception says, also where saying it fails."""
    try:
        return str(error)
    except Exception:
        return "(no message)"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_REASON_CHARS]
