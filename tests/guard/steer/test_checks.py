"""Whatever goes wrong in a check counts as a violation, of the text that it goes wrong on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from guard.errors import ConfigError
from guard.filters.callable import CallableFilter
from guard.steer.checks import CheckRunner, threshold_check


def _raise(_texts: Sequence[str]) -> list[bool]:
    raise RuntimeError("boom")


def _poisoned(texts: Sequence[str]) -> list[bool]:
    if "poison" in texts:
        raise ValueError("poison")
    return [text == "bad" for text in texts]


def _ask(check: Callable[..., Any], texts: list[str], timeout_s: float | None = None) -> list[tuple[bool, bool]]:
    with CheckRunner(check, timeout_s=timeout_s) as runner:
        return [(answer.violated, answer.fault) for answer in runner.ask(texts)]


OK, BAD, FAULT = (False, False), (True, False), (True, True)


@pytest.mark.parametrize("timeout_s", [None, 10.0])
@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (lambda texts: [text == "bad" for text in texts], [OK, BAD, OK]),
        (lambda texts: np.array([text == "bad" for text in texts]), [OK, BAD, OK]),
        (_raise, [FAULT] * 3),
        (lambda _texts: [False], [OK] * 3),  # too few for three, and right for each alone
        (lambda _texts: [False] * 4, [FAULT] * 3),
        (lambda texts: [0.0] * len(texts), [FAULT] * 3),
        (lambda texts: [float("nan")] * len(texts), [FAULT] * 3),
        (lambda _texts: None, [FAULT] * 3),
        (lambda texts: texts, [FAULT] * 3),
    ],
)
def test_answers(check: Callable[..., Any], expected: list[tuple[bool, bool]], timeout_s: float | None) -> None:
    assert _ask(check, ["good", "bad", "fine"], timeout_s) == expected


def test_text_that_breaks_the_check_harms_no_other() -> None:
    assert _ask(_poisoned, ["good", "poison", "bad"]) == [OK, FAULT, BAD]


def test_check_that_hangs_is_a_violation_of_all_from_then_on() -> None:
    gate, calls = threading.Event(), []

    def hang(texts: Sequence[str]) -> list[bool]:
        calls.append(list(texts))
        gate.wait(20)
        return [False] * len(texts)

    with CheckRunner(hang, timeout_s=0.05) as runner:
        assert [answer.fault for answer in runner.ask(["a", "b"])] == [True, True]
        assert [answer.violated for answer in runner.ask(["a"])] == [True]
    gate.set()
    assert calls == [["a", "b"]]


def test_no_thread_is_left_behind() -> None:
    _ask(lambda texts: [False] * len(texts), ["a"], 5.0)
    left = [thread for thread in threading.enumerate() if thread.name == "steering check"]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_threshold_check_is_at_or_over_on_canonical_text() -> None:
    rude = CallableFilter(lambda text: 0.9 if "darn" in text else 0.2, categories=["rude"])
    kind = CallableFilter(lambda text: 0.5, categories=["kind"])
    check = threshold_check([rude, kind], {"rude": 0.9})
    assert list(check(["darn", "fine", "da\u200brn"])) == [True, False, True]
    assert list(threshold_check([rude, kind], {"rude": 0.95, "kind": 0.5})(["darn"])) == [True]


@pytest.mark.parametrize("thresholds", [{}, {"unknown": 0.5}])
def test_threshold_on_nothing_is_refused(thresholds: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="what the filters provide"):
        threshold_check([CallableFilter(lambda _text: 0.0, categories=["rude"])], thresholds)
