"""A run that is killed, however often and wherever, and resumed ends with the report of an unbroken one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.report import without_times
from tests.small_command import Moment, journal_lines, kill_at, run, start, write_inputs

pytestmark = pytest.mark.slow

_FILES = {"journal.jsonl", "report.html", "report.json", "report.md", "values.jsonl"}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> list[str]:
    return ["audit", *write_inputs(tmp_path_factory.mktemp("inputs"), model=tiny_llama)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, options: list[str]) -> Path:
    """The folder of a run that nobody killed."""
    out = tmp_path_factory.mktemp("unbroken")
    ended = run(*options, "--out", out)
    assert ended.returncode in (0, 1, 3), ended.stderr
    assert ended.stderr == ""
    [folder] = out.iterdir()
    return folder


def _moments(rng: random.Random, n_lines: int) -> Iterator[Moment]:
    """One before the run has a folder, then one in each third of its samples."""
    yield Moment(0, rng.uniform(0.0, 0.5))
    for third in range(3):
        yield Moment(rng.randint(1 + third * n_lines // 3, (third + 1) * n_lines // 3 - 2), rng.uniform(0.0, 0.05))


def _samples(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "journal.jsonl").read_text(encoding="ascii").splitlines()[1:]
    return [(entry["model"], entry["sample"]["id"]) for entry in map(json.loads, lines)]


def test_run_killed_four_times_and_resumed_each_time_ends_with_the_unbroken_report(
    tmp_path: Path, options: list[str], unbroken: Path
) -> None:
    out, n_lines, killed = tmp_path / "out", journal_lines(unbroken.parent), 0
    resume: list[str] = []
    for moment in _moments(random.Random(20), n_lines):
        # Small batches, and not those of the unbroken run: more places to be killed at, and the same report.
        process = start(*options, "--batch-size", "2", "--out", out, *resume)
        killed += kill_at(process, out, moment)
        resume = ["--resume"]
    assert killed >= 3  # where this process is held up, the other one may end first
    [folder] = out.iterdir()
    (folder / ".report.html.4194304.part").write_text("<html", encoding="utf-8")  # what a kill between two moves leaves
    ended = run(*options, "--batch-size", "32", "--out", out, *resume)
    assert ended.stderr == ""
    assert without_times((folder / "report.json").read_text()) == without_times((unbroken / "report.json").read_text())
    assert {file.name for file in folder.iterdir()} == _FILES
    assert sorted(_samples(folder)) == sorted(set(_samples(unbroken)))
