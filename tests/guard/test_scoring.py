from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from guard.errors import FilterError
from guard.schema import Scores, Span
from guard.scoring import FilterRunner, score_rows


class Scripted:
    """A filter that does what a function says, and counts its calls."""

    def __init__(self, function: Callable[[Sequence[str]], object], categories: tuple[str, ...] = ("bad",)) -> None:
        self.name = "scripted@1"
        self.categories = categories
        self.batches: list[list[str]] = []
        self._function = function

    def score_batch(self, items: Sequence[str]) -> Scores:
        self.batches.append(list(items))
        return self._function(items)  # type: ignore[return-value]


def _by_length(items: Sequence[str]) -> Scores:
    return np.array([[len(item) / 10] for item in items], dtype=np.float32).reshape(len(items), 1)


def _fails_on_x(items: Sequence[str]) -> Scores:
    if any("x" in item for item in items):
        raise ValueError("an x")
    return _by_length(items)


def _nan_on_x(items: Sequence[str]) -> Scores:
    scores = _by_length(items)
    scores[["x" in item for item in items]] = np.nan
    return scores


def test_score_of_a_good_batch_takes_one_call() -> None:
    filter_ = Scripted(_by_length)
    assert FilterRunner(filter_, timeout_s=5).score(["a", "bb"]) == [{"bad": 0.1}, {"bad": 0.2}]
    assert filter_.batches == [["a", "bb"]]


def test_score_of_nothing_takes_no_call() -> None:
    filter_ = Scripted(_fails_on_x)
    assert FilterRunner(filter_, timeout_s=5).score([]) == []
    assert filter_.batches == []


@pytest.mark.parametrize("function", [_fails_on_x, _nan_on_x])
@pytest.mark.parametrize("bad", [{0}, {31}, {5, 6, 20}, set(range(32))])
def test_only_the_offending_rows_fail(function: Callable[[Sequence[str]], Scores], bad: set[int]) -> None:
    texts = ["x" if i in bad else "ok" for i in range(32)]
    results = FilterRunner(Scripted(function), timeout_s=5).score(texts)
    assert {i for i, result in enumerate(results) if isinstance(result, str)} == bad
    assert all(result == {"bad": 0.2} for i, result in enumerate(results) if i not in bad)


def test_calls_are_bounded_and_the_rest_fails_closed() -> None:
    filter_ = Scripted(_fails_on_x)
    results = FilterRunner(filter_, timeout_s=30).score(["x"] * 2000)
    assert len(filter_.batches) <= 256
    assert all(isinstance(result, str) for result in results)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda items: [[0.5]] * len(items), "returned list, not an array"),
        (lambda items: np.zeros(len(items), dtype=np.float32), r"returned shape \(1,\), expected \(1, 1\)"),
        (lambda items: np.zeros((len(items), 1)), "returned float64, expected float32"),
        (lambda items: np.full((len(items), 1), 2, dtype=np.float32), "returned scores outside"),
        (lambda items: None, "returned NoneType"),
        (lambda items: sys.exit(0), "raised SystemExit"),
        (lambda items: {}[0], "raised KeyError"),
    ],
)
def test_reason_says_what_went_wrong(function: Callable[[Sequence[str]], object], reason: str) -> None:
    (result,) = FilterRunner(Scripted(function), timeout_s=5).score(["a"])
    assert isinstance(result, str)
    assert result.startswith("filter scripted@1 ")
    assert re.search(reason, result)


def test_hung_filter_is_given_up_and_not_called_again_until_it_answers() -> None:
    release = threading.Event()

    def hang(items: Sequence[str]) -> Scores:
        release.wait(10)
        return _by_length(items)

    filter_ = Scripted(hang)
    runner = FilterRunner(filter_, timeout_s=0.05)
    start = time.monotonic()
    assert "gave no answer within 0.05 s" in str(runner.score(["a", "b"]))
    assert "still hangs in an earlier batch" in str(runner.score(["c"]))
    assert time.monotonic() - start < 2
    assert len(filter_.batches) == 1
    release.set()
    _until(lambda: not runner._is_hung())
    assert runner.score(["d"]) == [{"bad": 0.1}]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_hung_filter_does_not_keep_the_process_alive() -> None:
    program = """
import threading
from guard.scoring import FilterRunner
class Hangs:
    name, categories = "hangs@1", ("bad",)
    def score_batch(self, items):
        threading.Event().wait()
print(FilterRunner(Hangs(), timeout_s=0.05).score(["a"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert "gave no answer" in done.stdout


@pytest.mark.parametrize("score", [0.1, 0.3, 0.6, 0.7, 0.9, 1.0])
def test_score_reaches_the_number_that_it_was_given_as(score: float) -> None:
    # float32(0.9) is 0.89999998: unrounded, it would miss a threshold of 0.9.
    runner = FilterRunner(Scripted(lambda items: np.full((1, 1), score, dtype=np.float32)), timeout_s=5)
    assert runner.score(["a"]) == [{"bad": score}]


def test_rows_take_the_highest_score_and_every_error() -> None:
    low = Scripted(lambda items: np.full((len(items), 2), 0.25, dtype=np.float32), ("bad", "rude"))
    rows = score_rows([FilterRunner(f, timeout_s=5) for f in (low, Scripted(_fails_on_x))], ["aaaaa", "x"])
    assert rows[0].scores == {"bad": 0.5, "rude": 0.25}
    assert rows[0].errors == []
    assert rows[1].scores == {"bad": 0.25, "rude": 0.25}
    assert rows[1].errors == ["filter scripted@1 raised ValueError: an x"]


class Locating(Scripted):
    def __init__(self, spans: object) -> None:
        super().__init__(_by_length)
        self._spans = spans

    def locate(self, text: str) -> tuple[Span, ...]:
        return self._spans  # type: ignore[return-value]


def test_locate_of_a_filter_that_cannot_is_empty() -> None:
    assert FilterRunner(Scripted(_by_length), timeout_s=5).locate("abc") == ()


def test_locate_returns_the_spans() -> None:
    span = Span(0, 3, "bad", 1.0)
    assert FilterRunner(Locating([span]), timeout_s=5).locate("abc") == (span,)


@pytest.mark.parametrize(
    "spans", [[Span(0, 4, "bad", 1.0)], [Span(-1, 2, "bad", 1.0)], [Span(2, 1, "bad", 1.0)], [(0, 1)], None]
)
def test_locate_of_no_span_is_refused(spans: object) -> None:
    with pytest.raises(FilterError, match="located something that is no span of a text of 3"):
        FilterRunner(Locating(spans), timeout_s=5).locate("abc")
