from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guard.audit_log import AuditLog, Decision, verify
from guard.errors import DataError, OutputError
from guard.schema import Action, Span, Verdict

VERDICT = Verdict(
    Action.BLOCK, "input", {"rude": 0.9}, ("rude",), (Span(0, 4, "rude", 0.9),), "filter f@1 raised E: my text"
)


def decision(prompt: str = "hello", **changes: object) -> Decision:
    given = {"kind": "generate", "policy": "p@1", "filters": ("f@1",), "action": Action.BLOCK, "verdicts": (VERDICT,)}
    return Decision(**{**given, "prompt": prompt, **changes})  # type: ignore[arg-type]


def written(path: Path, n_records: int, **options: bool) -> Path:
    with AuditLog(path, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), **options) as log:  # type: ignore[arg-type]
        for number in range(n_records):
            log.append(decision(f"prompt {number}"))
    return path


def test_record_holds_digests_and_not_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.append(
            decision("secret prompt", output="secret output", released="secret released", error="failed: secret")
        )
    (line,) = path.read_text(encoding="utf-8").splitlines()
    record = json.loads(line)["record"]
    assert "secret" not in line
    assert "my text" not in line
    assert record["prompt"].startswith("sha256:")
    assert record["error"] == "failed"
    assert record["verdicts"][0] == {
        "action": "BLOCK",
        "stage": "input",
        "scores": {"rude": 0.9},
        "triggered": ["rude"],
        "spans": [{"start": 0, "end": 4, "category": "rude", "score": 0.9}],
        "error": "filter f@1 raised E",
    }


def test_record_keeps_the_texts_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, keep_text=True) as log:
        log.append(decision("héllo \ud800", released=None))
    record = json.loads(path.read_text(encoding="utf-8"))["record"]
    assert record["prompt"] == "héllo \ud800"
    assert record["released"] is None
    assert record["verdicts"][0]["error"] == "filter f@1 raised E: my text"


def test_log_is_continued(tmp_path: Path) -> None:
    path = written(written(tmp_path / "audit.jsonl", 2), 3)
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [entry["sequence"] for entry in entries] == [0, 1, 2, 3, 4]
    assert [entry["previous"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    assert verify(path).ok


def test_head_is_what_verify_finds(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        assert log.head == (0, "0" * 64)
        log.append(decision())
        found = verify(path)
        assert log.head == (found.n_records, found.head) == (1, found.head)


def test_torn_line_is_cut_and_the_cut_recorded(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.jsonl", 2)
    with path.open("ab") as file:
        file.write(b'{"hash":"12')
    assert verify(path).problem is not None
    assert "torn" in str(verify(path).problem)
    written(path, 1)
    records = [json.loads(line)["record"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert [record["kind"] for record in records] == ["generate", "generate", "recovery", "generate"]
    assert records[2]["cut_bytes"] == 11
    assert verify(path).ok


def test_torn_first_line_leaves_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"{")
    written(path, 1)
    assert verify(path).n_records == 2


def test_tampered_log_is_not_continued(tmp_path: Path) -> None:
    path = written(tmp_path / "audit.jsonl", 2)
    path.write_bytes(path.read_bytes().replace(b'"rude":0.9', b'"rude":0.1', 1))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="was tampered with, line 1: edited"):
        AuditLog(path)
    assert path.read_bytes() == before


def test_second_writer_is_refused(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl"), pytest.raises(OutputError, match="is in use: one log, one writer"):
        AuditLog(tmp_path / "audit.jsonl")
    AuditLog(tmp_path / "audit.jsonl").close()


def test_closed_log_refuses(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.close()
    log.close()
    with pytest.raises(OutputError, match="is closed"):
        log.append(decision())


@pytest.mark.parametrize("path", ["missing/audit.jsonl", ".", "a\x00b"])
def test_unusable_path_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(OutputError, match="cannot be opened"):
        AuditLog(tmp_path / path)


def test_full_disk_is_an_output_error_and_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.append(decision())
        whole, write = path.read_bytes(), os.write

        def write_a_little(descriptor: int, data: bytes) -> int:
            if len(data) < 100:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[:-50])

        monkeypatch.setattr(os, "write", write_a_little)
        with pytest.raises(OutputError, match="No space left on device"):
            log.append(decision())
        assert path.read_bytes() == whole
        monkeypatch.undo()
        log.append(decision())
    assert verify(path).n_records == 2


def test_log_that_cannot_be_cut_back_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    log = AuditLog(tmp_path / "audit.jsonl")
    monkeypatch.setattr(os, "write", fail)
    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        log.append(decision())
    monkeypatch.undo()
    with pytest.raises(OutputError, match="is closed"):
        log.append(decision())


def test_durable_log_syncs_each_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    written(tmp_path / "a.jsonl", 2, durable=True)
    written(tmp_path / "b.jsonl", 2)
    assert len(synced) == 2


def test_threads_share_a_log(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        threads = [threading.Thread(target=lambda: [log.append(decision()) for _ in range(25)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert verify(tmp_path / "audit.jsonl").n_records == 100
    assert verify(tmp_path / "audit.jsonl").ok


def test_verify_of_no_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        verify(tmp_path / "nowhere.jsonl")


def test_file_is_private(tmp_path: Path) -> None:
    assert written(tmp_path / "audit.jsonl", 1).stat().st_mode & 0o077 == 0
