"""Contract 3, in full: every filter with every fault at every place; docs/guide/failure.md holds the table."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from guard.audit_log import AuditLog
from guard.errors import ConfigError
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Filter, Scores
from tests.contracts.filters import FACTORIES

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "failure.md"
PLACES = ("input", "output", "stream")
NEVER = threading.Event()


def _zeros(items: Sequence[str], width: int) -> Scores:
    return np.zeros((len(items), width), dtype=np.float32)


def _raise(_items: Sequence[str], _width: int) -> Scores:
    raise ValueError("broken")


def _hang(items: Sequence[str], width: int) -> Scores:
    NEVER.wait(10)
    return _zeros(items, width)


def _run_out_of_memory(_items: Sequence[str], _width: int) -> Scores:
    raise MemoryError("cannot allocate 1 TiB")


def _lose_worker(items: Sequence[str], width: int) -> Scores:
    """Leave the work to a process that is killed from outside."""
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-S", "-E", "-c", program], check=True)
    return _zeros(items, width)


FAULTS: dict[str, Callable[[Sequence[str], int], object]] = {
    "raises": _raise,
    "hangs": _hang,
    "NaN": lambda items, width: np.full((len(items), width), np.nan, dtype=np.float32),
    "wrong shape": lambda items, width: np.zeros((len(items) + 1, width), dtype=np.float32),
    "out of memory": _run_out_of_memory,
    "killed worker": _lose_worker,
}


class Broken:
    """A real filter in which scoring goes wrong."""

    def __init__(self, whole: Filter[str], fault: Callable[[Sequence[str], int], object]) -> None:
        self.name, self.categories = whole.name, whole.categories
        self._fault = fault

    def score_batch(self, items: Sequence[str]) -> Scores:
        return self._fault(items, len(self.categories))  # type: ignore[return-value]


@pytest.fixture(scope="module", params=sorted(FACTORIES))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filter[str]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return FACTORIES[request.param](folder)


def _answer(place: str, broken: Broken, log: AuditLog, **errors: object) -> tuple[str, Action, str | None]:
    """What is given out, the action and the error of a harmless request whose filter fails at that place."""
    stage = "input" if place == "input" else "output"
    rules = {(stage, broken.categories[0]): (1.0, Action.REVIEW)}
    policy = Policy("test", rules, message="No.", **errors)  # type: ignore[arg-type]
    inputs, outputs = ([broken], []) if place == "input" else ([], [broken])
    guard = Guard(str.upper, policy, inputs=inputs, outputs=outputs, audit_log=log, filter_timeout_s=0.2)
    if place == "stream":
        stream = guard.stream("harmless")
        return "".join(stream), stream.verdict.action, stream.verdict.error
    (response,) = guard.generate(["harmless"])
    verdict = response.output_verdict or response.prompt_verdict
    return response.text, response.action, response.prompt_verdict.error or verdict.error


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_closed_by_default(whole: Filter[str], fault: str, place: str, tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        text, action, error = _answer(place, Broken(whole, FAULTS[fault]), log)
    assert text == ("" if place == "stream" else "No.")
    assert action == Action.BLOCK
    assert whole.name in str(error)
    (line,) = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert whole.name in str(json.loads(line)["record"]["verdicts"])


@pytest.mark.parametrize("place", PLACES)
def test_open_only_for_the_filter_that_the_policy_names(whole: Filter[str], place: str, tmp_path: Path) -> None:
    kind = whole.name.partition("@")[0]
    with AuditLog(tmp_path / "audit.jsonl") as log:
        broken = Broken(whole, FAULTS["raises"])
        opened = _answer(place, broken, log, on_error_for={kind: Action.ALLOW})
        with pytest.raises(ConfigError, match="no filter of this kind is in use"):
            _answer(place, broken, log, on_error_for={f"not{kind}": Action.ALLOW})
    assert opened[:2] == ("HARMLESS", Action.ALLOW)
    assert whole.name in str(opened[2])


def test_page_holds_the_table_that_is_tested() -> None:
    rows = [f"| {name} | {' | '.join(['blocks'] * len(FAULTS))} |" for name in sorted(FACTORIES)]
    table = "\n".join([f"| filter | {' | '.join(FAULTS)} |", "| --- " * (len(FAULTS) + 1) + "|", *rows])
    assert table in PAGE.read_text(encoding="utf-8"), f"the page lacks this table:\n{table}"
