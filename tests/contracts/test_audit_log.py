"""Contract 6: editing, dropping, inserting or reordering a record breaks the verification of an audit log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.audit_log import AuditLog, Decision, verify
from guard.schema import Action, Verdict

N_RECORDS = 5
Tampering = Callable[[list[bytes]], list[bytes]]

# What is done to the lines, and the first line at which it shows.
TAMPERINGS: dict[str, tuple[Tampering, int]] = {
    "edit a value": (lambda lines: [*lines[:2], lines[2].replace(b"ALLOW", b"BLOCK"), *lines[3:]], 3),
    "edit the time": (lambda lines: [lines[0].replace(b'"time":"2', b'"time":"1'), *lines[1:]], 1),
    "edit the hash": (lambda lines: [*lines[:4], _edit_hash(lines[4])], 5),
    "add a space": (lambda lines: [lines[0].replace(b",", b", ", 1), *lines[1:]], 1),
    "drop the first": (lambda lines: lines[1:], 1),
    "drop one inside": (lambda lines: [*lines[:2], *lines[3:]], 3),
    "swap two": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
    "reverse": (lambda lines: lines[::-1], 1),
    "repeat one": (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
    "insert an empty line": (lambda lines: [lines[0], b"\n", *lines[1:]], 2),
    "insert other JSON": (lambda lines: [lines[0], b"[1]\n", *lines[1:]], 2),
    "insert bytes": (lambda lines: [lines[0], b"\xff\x00\n", *lines[1:]], 2),
    "tear the last": (lambda lines: [*lines[:4], lines[4][:-5]], 5),
    "lose the last newline": (lambda lines: [*lines[:4], lines[4][:-1]], 5),
}


def _edit_hash(line: bytes) -> bytes:
    place = line.index(b'"hash":"') + 8
    return line[:place] + (b"0" if line[place : place + 1] != b"0" else b"1") + line[place + 1 :]


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, tuple[int, str]]:
    """A log of five records, and its head."""
    verdict = Verdict(Action.ALLOW, "input", {"rude": 0.1})
    with AuditLog(tmp_path / "audit.jsonl") as log:
        for number in range(N_RECORDS):
            log.append(Decision("check", "p@1", ("f@1",), Action.ALLOW, (verdict,), prompt=str(number)))
        return log.path, log.head


def test_untouched_log_verifies(log: tuple[Path, tuple[int, str]]) -> None:
    path, head = log
    assert verify(path, head=head).ok
    assert verify(path).n_records == N_RECORDS


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_shows_at_its_line(log: tuple[Path, tuple[int, str]], name: str) -> None:
    path, _ = log
    tamper, line = TAMPERINGS[name]
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    found = verify(path)
    assert not found.ok
    assert found.line == line
    assert found.n_records == line - 1


@pytest.mark.parametrize("n_kept", [0, 1, 4])
def test_cut_tail_shows_against_a_noted_head(log: tuple[Path, tuple[int, str]], n_kept: int) -> None:
    path, head = log
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:n_kept]))
    assert verify(path).ok  # the file alone cannot tell
    found = verify(path, head=head)
    assert found.problem == f"{N_RECORDS - n_kept} of {N_RECORDS} records are missing at the end"
    assert found.line == n_kept + 1


def test_log_written_anew_shows_against_a_noted_head(log: tuple[Path, tuple[int, str]], tmp_path: Path) -> None:
    _, head = log
    with AuditLog(tmp_path / "forged.jsonl") as forged:
        for _ in range(N_RECORDS + 1):
            forged.append(Decision("check", "p@1", (), Action.ALLOW, ()))
    assert verify(tmp_path / "forged.jsonl").ok
    assert verify(tmp_path / "forged.jsonl", head=head).line == N_RECORDS


def test_longer_log_agrees_with_an_earlier_head(log: tuple[Path, tuple[int, str]]) -> None:
    path, head = log
    with AuditLog(path) as continued:
        continued.append(Decision("check", "p@1", (), Action.ALLOW, ()))
    assert verify(path, head=head).n_records == N_RECORDS + 1
    assert verify(path, head=head).ok
