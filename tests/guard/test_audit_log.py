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
    with AuditLog(path, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), **options) as log:
        for number in range(n_records):
            log.append(decision(f"prompt {number}"))
    return path


def test_record_holds_digests_and_not_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.append(
            decision(
                "secret prompt",
                output="secret output",
                released="secret released",
                error="my secret; also: secret",
                error_brief="generation failed: E",
                verdict_briefs=("filter f@1 failed: E",),
            )
        )
    (line,) = path.read_text(encoding="utf-8").splitlines()
    record = json.loads(line)["record"]
    assert "secret" not in line
    assert "my text" not in line
    assert record["prompt"].startswith("sha256:")
    assert record["error"] == "generation failed: E"
    assert record["verdicts"][0] == {
        "action": "BLOCK",
        "stage": "input",
        "scores": {"rude": 0.9},
        "triggered": ["rude"],
        "spans": [{"start": 0, "end": 4, "category": "rude", "score": 0.9}],
        "error": "filter f@1 failed: E",
    }


def test_error_without_a_brief_is_withheld(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        log.append(decision(error="my text; it broke", verdict_briefs=()))
    record = json.loads(path.read_text(encoding="utf-8"))["record"]
    assert record["error"] == record["verdicts"][0]["error"] == "an error whose words are not kept"


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
        threads = [threading.Thread(target=log.extend, args=([decision()] * 5,)) for _ in range(20)]
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


@pytest.mark.parametrize("content", [b"my notes", b'{"hash":"xyz', b'{"name": 1}', b"\x00" * 20])
def test_file_that_is_no_log_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="ends in what is no audit record, line 1"):
        AuditLog(path)
    assert path.read_bytes() == content


def test_bad_line_before_a_torn_one_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b'a line\n{"hash":"12')
    with pytest.raises(OutputError, match="line 1: no audit record"):
        AuditLog(path)
    assert path.read_bytes() == b'a line\n{"hash":"12'


@pytest.mark.parametrize("n_cut", [1, 5, 200, 10_000])
def test_record_torn_anywhere_is_mended(tmp_path: Path, n_cut: int) -> None:
    path = written(tmp_path / "audit.jsonl", 2)
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    path.write_bytes(content[: max(first + 1, len(content) - n_cut)])
    with AuditLog(path) as log:
        assert log.head[0] == 2  # the first record, and that of the cut
    assert verify(path).ok


def test_beginning_of_a_record_of_another_log_is_refused(tmp_path: Path) -> None:
    path, other = written(tmp_path / "audit.jsonl", 1), written(tmp_path / "other.jsonl", 1)
    content = path.read_bytes() + other.read_bytes()[:-5]
    path.write_bytes(content)
    with pytest.raises(OutputError, match="no audit record, line 2"):
        AuditLog(path)
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with AuditLog(path) as log:
        with log._lock:  # as a thread of the parent may hold it
            child = os.fork()
            if child == 0:  # pragma: no cover
                status = 1
                try:
                    log.append(decision("child"))
                except OutputError as error:
                    status = 0 if "belongs to the process that opened it" in str(error) else 2
                finally:
                    os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        log.append(decision("parent"))
    assert verify(path).n_records == 1
    assert verify(path).ok


@pytest.mark.parametrize("interrupted", ["write", "fsync"])
def test_interrupt_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str) -> None:
    path, write = tmp_path / "audit.jsonl", os.write

    def interrupt(descriptor: int, data: bytes = b"") -> int:
        if data:
            write(descriptor, data)
        raise KeyboardInterrupt

    with AuditLog(path, durable=True) as log:
        log.append(decision())
        head = log.head
        monkeypatch.setattr(os, interrupted, interrupt)
        with pytest.raises(KeyboardInterrupt):
            log.append(decision())
        monkeypatch.undo()
        assert log.head == head
        log.append(decision())
    assert verify(path).n_records == 2
    assert verify(path).ok


def test_close_waits_for_a_write_under_way(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    closing = threading.Thread(target=log.close)
    with log._lock:
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        log.append(decision())
    closing.join(5)
    assert verify(log.path).n_records == 1
