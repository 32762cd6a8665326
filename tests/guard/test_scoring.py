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
from guard.scoring import Fault, FilterRunner, score_rows


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
    assert {i for i, result in enumerate(results) if isinstance(result, Fault)} == bad
    assert all(result == {"bad": 0.2} for i, result in enumerate(results) if i not in bad)


def test_calls_are_bounded_and_the_rest_fails_closed() -> None:
    filter_ = Scripted(_fails_on_x)
    results = FilterRunner(filter_, timeout_s=30).score(["x"] * 2000)
    assert len(filter_.batches) <= 256
    assert all(isinstance(result, Fault) for result in results)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda items: [[0.5]] * len(items), "returned list, not an array"),
        (lambda items: np.zeros(len(items), dtype=np.float32), r"returned shape \(1,\), expected \(1, 1\)"),
        (lambda items: np.zeros((len(items), 1)), "returned float64, expected float32"),
        (lambda items: np.full((len(items), 1), 2, dtype=np.float32), "returned scores outside"),
        (lambda items: None, "returned NoneType"),
        (lambda items: sys.exit(0), "raised SystemExit"),
        (lambda items: dict[int, object]()[0], "raised KeyError"),
    ],
)
def test_reason_says_what_went_wrong(function: Callable[[Sequence[str]], object], reason: str) -> None:
    (result,) = FilterRunner(Scripted(function), timeout_s=5).score(["a"])
    assert isinstance(result, Fault)
    assert result.detail.startswith("filter scripted@1 ")
    assert re.search(reason, result.detail)


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
    assert rows[0].faults == []
    assert rows[1].scores == {"bad": 0.25, "rude": 0.25}
    assert rows[1].faults == [
        Fault("filter scripted@1 raised ValueError: an x", "filter scripted@1 failed: ValueError", "scripted@1")
    ]


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
    "spans",
    [
        *[[Span(start, end, "bad", 1.0)] for start, end in ((0, 4), (-1, 2), (2, 1), (0.0, 1), (0, "1"))],  # type: ignore[arg-type]
        *[[Span(0, 1, "bad", score)] for score in (float("nan"), 1.5, -0.1, "high", None)],  # type: ignore[arg-type]
        [(0, 1)],
        None,
        5,
    ],
)
def test_locate_of_no_span_is_refused(spans: object) -> None:
    with pytest.raises(FilterError, match="located something that is no span of a text of 3"):
        FilterRunner(Locating(spans), timeout_s=5).locate("abc")


def test_located_spans_come_back_in_plain_numbers() -> None:
    odd = Span(np.int64(0), np.int32(3), np.str_("bad"), np.float32(0.5))  # type: ignore[arg-type]
    (span,) = FilterRunner(Locating((odd,)), timeout_s=5).locate("abc")
    assert span == Span(0, 3, "bad", 0.5)
    assert [type(value) for value in (span.start, span.end, span.category, span.score)] == [int, int, str, float]


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_exception_without_words_is_a_fault() -> None:
    def fail(items: Sequence[str]) -> Scores:
        raise UnspeakableError

    (result,) = FilterRunner(Scripted(fail), timeout_s=5).score(["a"])
    assert result == Fault(
        "filter scripted@1 raised UnspeakableError: (no message)",
        "filter scripted@1 failed: UnspeakableError",
        "scripted@1",
    )


@pytest.mark.parametrize("named", [True, False])
def test_brief_of_a_fault_quotes_nothing(named: bool) -> None:
    def fail(items: Sequence[str]) -> Scores:
        raise FilterError(f"{'scripted@1' if named else 'it'}: {items[0]}; {items[0]}") from KeyError(items[0])

    (result,) = FilterRunner(Scripted(fail), timeout_s=5).score(["my secret; words: here"])
    assert isinstance(result, Fault)
    assert "my secret" in result.detail
    assert result.brief == "filter scripted@1 failed: KeyError"


@pytest.mark.parametrize("change", [("name", "other@1"), ("categories", ("good",)), ("categories", ("bad", "good"))])
def test_filter_that_changes_its_name_or_categories_has_failed(change: tuple[str, object]) -> None:
    filter_ = Scripted(lambda items: np.zeros((len(items), len(filter_.categories)), dtype=np.float32))
    runner = FilterRunner(filter_, timeout_s=5)
    assert runner.score(["a"]) == [{"bad": 0.0}]
    setattr(filter_, *change)
    (result,) = runner.score(["a"])
    message = "filter scripted@1 changed its name or its categories since it was given"
    assert result == Fault(message, message, "scripted@1")


def test_long_texts_are_scored_alone_after_the_short_ones() -> None:
    filter_ = Scripted(lambda items: np.zeros((len(items), 1), dtype=np.float32))
    longest, long, most = "l" * 5000, "m" * 4001, "s" * 4000
    assert len(FilterRunner(filter_, timeout_s=5).score([longest, "a", long, most])) == 4
    assert filter_.batches == [["a", most], [long], [longest]]


def test_long_text_that_hangs_leaves_its_neighbours_their_scores() -> None:
    release = threading.Event()

    def slow_on_long(items: Sequence[str]) -> Scores:
        if any(len(item) > 10 for item in items):
            release.wait(10)
        return np.zeros((len(items), 1), dtype=np.float32)

    results = FilterRunner(Scripted(slow_on_long), timeout_s=0.2).score(["a", "l" * 5000, "b"])
    release.set()
    assert results[0] == results[2] == {"bad": 0.0}
    assert isinstance(results[1], Fault)


@pytest.mark.parametrize(
    ("n_chars", "seconds"), [(0, 2.0), (1, 2.0), (100_000, 2.0), (100_001, 4.0), (1_000_000, 20.0)]
)
def test_time_limit_grows_with_the_text(n_chars: int, seconds: float) -> None:
    assert FilterRunner(Scripted(_by_length), timeout_s=2)._seconds(["x" * n_chars]) == seconds


def test_longest_timeout_is_one_that_a_thread_can_wait() -> None:
    filter_ = Scripted(lambda items: np.zeros((len(items), 1), dtype=np.float32))
    runner = FilterRunner(filter_, timeout_s=threading.TIMEOUT_MAX)
    assert runner.score(["x" * 300_000]) == [{"bad": 0.0}]


@pytest.mark.parametrize("answers", ["first", "second"])
def test_filter_hangs_until_its_last_thread_answers(answers: str) -> None:
    releases, both = {"first": threading.Event(), "second": threading.Event()}, threading.Barrier(2)

    def hang(items: Sequence[str]) -> Scores:
        both.wait(10)
        releases[items[0]].wait(10)
        return _by_length(items)

    runner = FilterRunner(Scripted(hang), timeout_s=0.3)
    callers = [threading.Thread(target=runner.score, args=([text],)) for text in releases]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    hung = [thread for thread in threading.enumerate() if thread.name == "filter scripted@1"]
    releases[answers].set()
    _until(lambda: sum(thread.is_alive() for thread in hung) == len(hung) - 1)
    assert runner._is_hung()
    for release in releases.values():
        release.set()
    _until(lambda: not runner._is_hung())
    assert not runner._is_hung()
