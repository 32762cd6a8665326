from __future__ import annotations

from pathlib import Path

import pytest

from evals.harden_generator.work import WorkFolder
from guard.errors import DataError, OutputError


def test_what_was_made_once_is_read_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> list[int]:
        made.append(1)
        return [len(made)]

    first = WorkFolder(tmp_path / "w", identity="a")
    assert first.once("x", make) == first.once("x", make) == [1]
    again = WorkFolder(tmp_path / "w", identity="a")
    assert again.once("x", make) == [1]
    assert again.spent == first.spent
    assert set(again.spent["x"]) == {"wall_s", "cpu_s"}
    again.remove()
    assert not (tmp_path / "w").exists()


def test_other_settings_and_damage_are_refused(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "w", identity="a")
    with pytest.raises(DataError, match="other settings"):
        WorkFolder(tmp_path / "w", identity="b")
    for content in ("{", "[1]", "{}"):
        (tmp_path / "w" / "x.json").write_text(content)
        with pytest.raises(DataError, match="is damaged"):
            work.once("x", lambda: 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        WorkFolder(tmp_path / "file" / "w", identity="a")
