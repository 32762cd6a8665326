from __future__ import annotations

import os
from pathlib import Path

import pytest

from evals.journal import Journal
from evals.runs import discard_unbegun, new_run, resumable_run
from guard.errors import DataError, OutputError


def test_new_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = {new_run(tmp_path, suite="quick", models=["org/na me", "/x/../y.gguf"]) for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.is_dir() and folder.parent == tmp_path for folder in folders)
    assert all(folder.name.startswith("quick-na-me-y.gguf-") for folder in folders)


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OutputError, match="--out"):
        new_run(file, suite="quick", models=["m"])


def test_newest_run_of_the_same_plan_is_resumed(tmp_path: Path) -> None:
    for place, (name, seed) in enumerate([("a", "1"), ("b", "1"), ("c", "2")]):
        (tmp_path / name).mkdir()
        Journal(tmp_path / name / "journal.jsonl", {"seed": seed}).__exit__(None, None, None)
        os.utime(tmp_path / name / "journal.jsonl", (place, place))
    assert resumable_run(tmp_path, {"seed": "1"}, named=None) == tmp_path / "b"
    assert resumable_run(tmp_path, {"seed": "2"}, named=None) == tmp_path / "c"
    assert resumable_run(tmp_path, {"seed": "1"}, named="a") == tmp_path / "a"
    assert resumable_run(tmp_path, {"seed": "1"}, named=str(tmp_path / "c")) == tmp_path / "c"
    assert resumable_run(tmp_path, {"seed": "3"}, named=None) is None
    with pytest.raises(DataError, match="no journal"):
        resumable_run(tmp_path, {"seed": "1"}, named="nowhere")


@pytest.mark.parametrize(
    ("files", "is_left"),
    [
        ({}, False),
        ({"journal.jsonl": "{}\n"}, False),
        ({"journal.jsonl": '{"torn'}, False),
        ({"journal.jsonl": "{}\n{}\n"}, True),
        ({"journal.jsonl": "{}\n", "notes.txt": ""}, True),
    ],
)
def test_run_that_made_nothing_is_discarded(tmp_path: Path, files: dict[str, str], is_left: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name, content in files.items():
        (run / name).write_text(content, encoding="utf-8")
    discard_unbegun(run)
    assert run.exists() == is_left
