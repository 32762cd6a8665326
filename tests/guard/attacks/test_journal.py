from __future__ import annotations

from pathlib import Path

import pytest

from guard.attacks.journal import AttackJournal
from guard.attacks.schema import Attempt, Example
from guard.errors import DataError, OutputError

IDENTITY = {"attack": "a", "seed": "1"}
TEXT = "naïve \ud800 \u2028 text\n"  # whatever a text holds, its line is one line
ATTEMPT = Attempt("x", 1, TEXT, TEXT + "!", "succeeded", 5, 4, 2, 1, 1, 0.25, 0.75, 0)


def test_attempt_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with AttackJournal(path, IDENTITY) as journal:
        journal.append(ATTEMPT)
        assert journal.get(Example("x", TEXT, 1)) == ATTEMPT
    with AttackJournal(path, IDENTITY) as journal:
        assert journal.get(Example("x", TEXT, 1)) == ATTEMPT
        assert journal.get(Example("y", TEXT, 1)) is None
    assert len(path.read_bytes().splitlines()) == 2


def test_line_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    with AttackJournal(tmp_path / "j", IDENTITY) as journal:
        journal.append(ATTEMPT)
        assert len((tmp_path / "j").read_bytes().splitlines()) == 2


def test_journal_in_use_is_refused(tmp_path: Path) -> None:
    with AttackJournal(tmp_path / "j", IDENTITY), pytest.raises(OutputError, match="another process"):
        AttackJournal(tmp_path / "j", IDENTITY)
    AttackJournal(tmp_path / "j", IDENTITY).__exit__(None, None, None)


def test_journal_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        AttackJournal(tmp_path / "missing" / "j", IDENTITY)


@pytest.mark.parametrize("content", ["hello\n", '{"schema": "assay.journal/2"}\n', "{}\n"])
def test_other_files_are_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "j"
    path.write_text(content)
    with pytest.raises(DataError, match="no journal of an attack"):
        AttackJournal(path, IDENTITY)
    assert path.read_text() == content
