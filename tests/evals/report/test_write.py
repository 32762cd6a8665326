"""Reports are written whole or not at all, and read back or refused."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import evals.report as report_room
from evals.report import read, to_json, write
from guard.errors import DataError, OutputError
from tests.evals.report.example import example_report, hostile_report


@contextmanager
def _disk_of(n_bytes: int) -> Iterator[None]:
    """Let no file grow over `n_bytes`, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_leaves_three_files_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "run"
    written = write(example_report(), folder)
    assert [path.name for path in written] == ["report.json", "report.md", "report.html"]
    assert sorted(folder.iterdir()) == sorted(written)
    assert read(folder) == read(folder / "report.json") == example_report()
    assert written[0].read_bytes() == to_json(example_report()).encode()


def test_write_hostile_report_can_be_written(tmp_path: Path) -> None:
    write(hostile_report(), tmp_path)
    assert read(tmp_path) == hostile_report()


def test_write_full_disk_keeps_the_files_of_before(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in write(example_report(models=1), tmp_path)}
    with _disk_of(20_000), pytest.raises(OutputError, match=r"could not be written to .*--out") as caught:
        write(example_report(), tmp_path)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_write_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"file.run: Not a directory"):
        write(example_report(), tmp_path / "file" / "run")
    with pytest.raises(OutputError, match="File exists"):
        write(example_report(), tmp_path / "file")


def test_write_report_with_nan_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report\.times\.seconds is nan"):
        write(replace(example_report(), times={"seconds": float("nan")}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_read_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no report at .*report\.json; give the folder of a finished run"):
        read(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="not text in UTF-8"):
        read(tmp_path)
    (tmp_path / "report.json").write_text(to_json(example_report())[:100])
    with pytest.raises(DataError, match="cut short"):
        read(tmp_path)


def test_door_is_sorted_and_whole() -> None:
    assert report_room.__all__ == sorted(report_room.__all__)
    assert all(hasattr(report_room, name) for name in report_room.__all__)
