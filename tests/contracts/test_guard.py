"""Contract 3: a blocked prompt is never asked; a faulty filter gives ``on_error``; one record a request."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from guard.audit_log import AuditLog, verify
from guard.errors import FilterError
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Scores, Span, Stage

NEVER = threading.Event()


def _good(items: Sequence[str]) -> Scores:
    return np.array([["bad" in item] for item in items], dtype=np.float32).reshape(len(items), 1)


def _raises(items: Sequence[str]) -> Scores:
    raise ValueError("broken")


def _leaves(items: Sequence[str]) -> Scores:
    sys.exit(0)


def _hangs(items: Sequence[str]) -> Scores:
    NEVER.wait(20)
    return _good(items)


def _nan(items: Sequence[str]) -> Scores:
    return np.full((len(items), 1), np.nan, dtype=np.float32)


def _refuses(items: Sequence[str]) -> Scores:
    raise FilterError("cannot score this")


# Everything that may go wrong inside a filter. Each would let a text pass if the fault were taken for "no score".
FAULTS: dict[str, Callable[[Sequence[str]], object]] = {
    "raises": _raises,
    "raises FilterError": _refuses,
    "exits": _leaves,
    "hangs": _hangs,
    "NaN": _nan,
    "infinity": lambda items: np.full((len(items), 1), np.inf, dtype=np.float32),
    "over one": lambda items: np.full((len(items), 1), 1.5, dtype=np.float32),
    "negative": lambda items: np.full((len(items), 1), -0.5, dtype=np.float32),
    "one row short": lambda items: _good(items)[:-1],
    "one row more": lambda items: _good([*items, "x"]),
    "one column more": lambda items: np.zeros((len(items), 2), dtype=np.float32),
    "flat": lambda items: np.zeros(len(items), dtype=np.float32),
    "float64": lambda items: np.zeros((len(items), 1)),
    "list": lambda items: [[0.0]] * len(items),
    "None": lambda items: None,
}


class Faulty:
    name = "faulty@1"
    categories = ("bad",)

    def __init__(self, score_batch: Callable[[Sequence[str]], object]) -> None:
        self.score_batch = score_batch


class Echo:
    name = "echo@1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        self.asked += prompts
        return list(prompts)


def guard_with(
    fault: Callable[[Sequence[str]], object],
    *,
    stage: Stage,
    on_error: Action = Action.BLOCK,
    generator: Echo | None = None,
    log: AuditLog | None = None,
) -> Guard:
    policy = Policy("test", {(stage, "bad"): (0.5, Action.REVIEW)}, on_error, message="No.")
    faulty = [Faulty(fault)]
    inputs, outputs = (faulty, []) if stage == "input" else ([], faulty)
    return Guard(
        generator or Echo(),
        policy,
        inputs=inputs,
        outputs=outputs,
        audit_log=log,
        filter_timeout_s=0.05,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("stage", ["input", "output"])
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_gives_on_error_and_is_recorded(tmp_path: Path, fault: str, stage: Stage) -> None:
    echo = Echo()
    with AuditLog(tmp_path / "audit.jsonl") as log:
        responses = guard_with(FAULTS[fault], stage=stage, generator=echo, log=log).generate(["fine", "bad"])
    assert [response.text for response in responses] == ["No.", "No."]
    verdicts = [r.prompt_verdict if stage == "input" else r.output_verdict for r in responses]
    assert all(verdict is not None and verdict.action == Action.BLOCK for verdict in verdicts)
    assert all(verdict is not None and "faulty@1" in str(verdict.error) for verdict in verdicts)
    assert echo.asked == ([] if stage == "input" else ["fine", "bad"])
    lines = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert all("faulty@1" in str(json.loads(line)["record"]["verdicts"]) for line in lines)


@pytest.mark.parametrize("on_error", Action)
def test_any_on_error_is_carried_out(on_error: Action) -> None:
    (response,) = guard_with(_raises, stage="output", on_error=on_error).generate(["fine"])
    expected = on_error if on_error <= Action.REVIEW else Action.BLOCK  # nothing to redact, nothing better to draw
    assert response.action == expected
    assert response.text == ("fine" if on_error <= Action.REVIEW else "No.")


def test_fault_of_one_filter_does_not_soften_another() -> None:
    policy = Policy("test", {("input", "bad"): (0.5, Action.BLOCK)}, on_error=Action.ALLOW)
    guard = Guard(Echo(), policy, inputs=[Faulty(_good), Faulty(_raises)], outputs=[])  # type: ignore[list-item]
    passed, blocked = guard.generate(["fine", "bad"])
    assert (passed.action, blocked.action) == (Action.ALLOW, Action.BLOCK)
    assert passed.prompt_verdict.error is not None


def test_one_bad_item_does_not_take_the_batch_with_it() -> None:
    def picky(items: Sequence[str]) -> Scores:
        return _raises(items) if "poison" in items else _good(items)

    responses = guard_with(picky, stage="input").generate(["a", "b", "poison", "c", "d"])
    assert [response.text for response in responses] == ["a", "b", "No.", "c", "d"]


@pytest.mark.parametrize("spans", [[Span(0, 99, "bad", 1.0)], "nonsense"])
def test_faulty_locator_blocks_rather_than_redacts(spans: object) -> None:
    filter_ = Faulty(_good)
    filter_.locate = lambda text: spans  # type: ignore[attr-defined]
    policy = Policy("test", {("output", "bad"): (0.5, Action.REDACT)}, message="No.")
    (response,) = Guard(Echo(), policy, inputs=[], outputs=[filter_]).generate(["bad"])  # type: ignore[list-item]
    assert response.text == "No."
    assert response.output_verdict is not None
    assert "faulty@1" in str(response.output_verdict.error)


@pytest.mark.parametrize("action", Action)
def test_blocked_prompt_never_reaches_the_generator(action: Action) -> None:
    echo = Echo()
    policy = Policy("test", {("input", "bad"): (0.5, action)})
    responses = Guard(echo, policy, inputs=[Faulty(_good)], outputs=[]).generate(["a", "bad", "b"])  # type: ignore[list-item]
    passed = [r for r in responses if r.action != Action.BLOCK]
    assert len(echo.asked) == len(passed)
    assert ("bad" in echo.asked) == (action <= Action.REVIEW)


def test_record_is_written_before_the_text_is_returned(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        guard = guard_with(_good, stage="input", log=log)
        for n_requests in range(1, 4):
            guard.generate(["fine"])
            assert verify(tmp_path / "audit.jsonl").n_records == n_requests
