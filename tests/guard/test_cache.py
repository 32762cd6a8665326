"""The cache folder: where it lies, its lock, and placement at once."""

from __future__ import annotations

import errno
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guard import cache
from guard.errors import AssetError


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("/a/assay", "/x", "/a/assay"),
        (None, "/x", "/x/assay"),
        ("", "/x", "/x/assay"),
        (None, None, "/home/me/.cache/assay"),
        ("~/models", None, "/home/me/models"),
    ],
)
def test_cache_dir_by_environment(
    monkeypatch: pytest.MonkeyPatch, own: str | None, shared: str | None, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in (("ASSAY_CACHE", own), ("XDG_CACHE_HOME", shared)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cache.cache_dir() == Path(expected)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_clear_errors_without_room_names_the_way_out(tmp_path: Path, number: int) -> None:
    with pytest.raises(AssetError, match=r"no room left under .*ASSAY_CACHE"), cache.clear_errors(tmp_path):
        raise OSError(number, "whatever")


def test_locked_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssetError, match="cannot write under") as caught, cache.locked(tmp_path / "file" / "cache"):
        pass
    assert "\n" not in str(caught.value)


def test_place_replaces_a_full_folder(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    for content in ("old", "new"):
        with cache.staging(tmp_path) as staged:
            (staged / "built" / "sub").mkdir(parents=True)
            (staged / "built" / "sub" / "file").write_text(content)
            cache.place(staged / "built", target)
    assert (target / "sub" / "file").read_text() == "new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["deep"]


def test_sweep_leaves_everything_else(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / ".tmp-of-others").mkdir()
    with cache.staging(tmp_path) as staged:
        cache.sweep(tmp_path)
        assert not staged.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".tmp-of-others", "mine"]


def _append_while_locked(folder: Path, name: str) -> None:
    with cache.locked(folder):
        log = folder / "log"
        before = log.read_text() if log.exists() else ""
        time.sleep(0.1)
        log.write_text(f"{before}{name}\n")


def test_locked_serves_one_process_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_while_locked, args=(tmp_path, str(number))) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted((tmp_path / "log").read_text().split()) == ["0", "1", "2"]


def test_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from guard import cache
with cache.locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    started = time.monotonic()
    with cache.locked(tmp_path):
        assert time.monotonic() - started < 5
