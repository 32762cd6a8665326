"""Asking a check about unfinished texts, so that whatever goes wrong counts as a violation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from guard.canonical import canonicalize
from guard.errors import ConfigError
from guard.schema import Filter, check_scores

__all__ = ["Answer", "Check", "CheckRunner", "threshold_check"]

Check: TypeAlias = Callable[[Sequence[str]], Sequence[bool]]
"""Texts so far, one a row, to whether each is violated. What it says of a text must not depend on the others."""

_Answers: TypeAlias = "list[bool] | BaseException"


class Answer:
    """What a check said of one text.

    Attributes
    ----------
    violated : bool
    fault : bool
        It failed, and the text counts as violated for that.
    """

    __slots__ = ("fault", "violated")

    def __init__(self, violated: bool, *, fault: bool = False) -> None:
        self.violated, self.fault = violated, fault


_FAULT = Answer(True, fault=True)


class CheckRunner:
    """Calls a check and fails closed.

    Parameters
    ----------
    check : Check
    timeout_s : float or None
        Seconds for one call; None waits as long as it takes, in the caller's own thread.

    Notes
    -----
    A call that raises, or does not give one bool a text, is repeated text by text, so that one text cannot harm the
    others. A call that hangs is left behind in its daemon thread, and all further answers are violations.
    """

    def __init__(self, check: Check, *, timeout_s: float | None) -> None:
        self._check, self._timeout_s = check, timeout_s
        self._asked: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[_Answers] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hung = False

    def __enter__(self) -> CheckRunner:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the thread end."""
        self._asked.put(None)

    def ask(self, texts: Sequence[str]) -> list[Answer]:
        """Return an answer for each text."""
        answers = self._call(list(texts))
        if answers is not None:
            return [Answer(violated) for violated in answers]
        if len(texts) == 1 or self._hung:
            return [_FAULT] * len(texts)
        return [answer for text in texts for answer in self.ask([text])]

    def _call(self, texts: list[str]) -> list[bool] | None:
        """Return one bool a text, or None where something went wrong."""
        if self._hung:
            return None
        if self._timeout_s is None:
            answers = _answers(self._check, texts)
        else:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="steering check", daemon=True)
                self._thread.start()
            self._asked.put(texts)
            try:
                answers = self._answered.get(timeout=self._timeout_s)
            except queue.Empty:
                self._hung = True
                return None
        return None if isinstance(answers, BaseException) else answers

    def _serve(self) -> None:
        while (texts := self._asked.get()) is not None:
            self._answered.put(_answers(self._check, texts))


def _answers(check: Check, texts: list[str]) -> _Answers:
    """Call the check; an error is a value, since it has to cross threads."""
    try:
        given = list(check(texts))
    except Exception as error:
        return error
    if len(given) != len(texts) or not all(isinstance(one, bool | np.bool_) for one in given):
        return TypeError(f"the check gave {given!r:.100}, not one bool for each of {len(texts)} texts")
    return [bool(one) for one in given]


def threshold_check(filters: Sequence[Filter[str]], thresholds: Mapping[str, float]) -> Check:
    """Make a check of filters: a text is violated when a score reaches its category's threshold.

    Parameters
    ----------
    filters : sequence of Filter
        Given canonical text.
    thresholds : mapping of str to float
        By category, in [0, 1]; other categories do not count.

    Raises
    ------
    ConfigError
        A threshold on a category that no filter provides, or none at all.
    """
    known = {category for one in filters for category in one.categories}
    if not thresholds or not set(thresholds) <= known:
        raise ConfigError(
            f"thresholds on {sorted(thresholds)}; give at least one, on what the filters provide: {sorted(known)}"
        )

    def check(texts: Sequence[str]) -> list[bool]:
        plain = [canonicalize(text).text for text in texts]
        violated = np.zeros(len(texts), dtype=bool)
        for one in filters:
            scores = check_scores(one.score_batch(plain), n_items=len(plain), filter_=one)
            limits = np.array([thresholds.get(category, np.inf) for category in one.categories])
            # As the guard rounds: float32(0.9) is below 0.9.
            violated |= (np.round(scores.astype(np.float64), 7) >= limits).any(axis=1)
        return [bool(one) for one in violated]

    return check
