from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from guard.judge import Judge
from guard.policy import Policy
from guard.schema import Action, Scores
from guard.segments import segments
from guard.steer import JudgedCheck

SENTENCE = "A harmless sentence about the weather that is long enough to be a segment of its own, more or less so. "


class Counting:
    name = "counting@1"
    categories = ("rude",)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score_batch(self, items: Sequence[str]) -> Scores:
        self.seen += items
        return np.array([["zonk" in item] for item in items], dtype=np.float32).reshape(len(items), 1)


def _check(action: Action, filter_: Counting) -> JudgedCheck:
    policy = Policy("test", {("output", "rude"): (0.5, action)})
    return JudgedCheck(Judge(policy, {"output": [filter_]}, timeout_s=5))


@pytest.mark.parametrize(("action", "stops"), [(Action.REVIEW, False), (Action.REGENERATE, True), (Action.BLOCK, True)])
def test_text_is_violated_where_the_policy_would_stop_it(action: Action, stops: bool) -> None:
    check = _check(action, Counting())
    assert check(["fine", f"{SENTENCE * 3}zonk", "", "zonk"]) == [False, stops, False, stops]


def test_segments_that_passed_are_not_judged_again() -> None:
    filter_ = Counting()
    check = _check(Action.BLOCK, filter_)
    for n in range(1, 9):
        assert check([SENTENCE * n]) == [False]
    last = [len(text) for text in filter_.seen]
    assert len(filter_.seen) < 2.5 * len(segments(SENTENCE * 8))
    assert max(last) < 4 * len(SENTENCE)


def test_a_violated_segment_is_found_every_time() -> None:
    check = _check(Action.BLOCK, Counting())
    text = f"{SENTENCE}zonk. {SENTENCE * 4}"
    assert [check([text]), check([text])] == [[True], [True]]


def test_filter_that_fails_is_a_violation() -> None:
    filter_ = Counting()
    filter_.score_batch = lambda items: None  # type: ignore[assignment,method-assign,return-value]
    assert _check(Action.BLOCK, filter_)(["fine"]) == [True]
