from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.journal import Journal
from evals.schema import Generation, Record, Sample
from guard.errors import ConfigError, DataError, OutputError
from guard.schema import Action, Span, Verdict

IDENTITY = {"model": "m@1", "seed": "0"}


def _record(number: int, text: str = "out") -> Record:
    sample = Sample(f"toxicity/p{number}", "toxicity", f"p{number}", "a prompt \ud800", "insult", number)
    fired = Verdict(Action.BLOCK, "output", {"toxicity": 0.1 + 0.2}, ("toxicity",), (Span(0, 2, "toxicity", 0.3),))
    passed = Verdict(Action.ALLOW, "input", {"toxicity": 0.25})
    arms = {
        "unguarded": Generation(text, Action.ALLOW, passed),
        "guarded": Generation("No.", Action.BLOCK, passed, fired),
    }
    return Record(sample, text, arms, {"wall_ms": 1.5})  # type: ignore[arg-type]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    records = [_record(1), _record(2, "é\x00\n‮")]
    with Journal(path, IDENTITY) as journal:
        journal.append("m", records)
    with Journal(path, IDENTITY) as journal:
        assert len(journal) == 2
        assert [journal.get("m", r.sample.id) for r in records] == records
        assert journal.get("other", records[0].sample.id) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_journal_cut_anywhere_keeps_every_whole_line(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, IDENTITY) as journal:
        journal.append("m", [_record(1), _record(2), _record(3)])
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    with Journal(path, IDENTITY) as journal:
        assert len(journal) == max(0, content[:cut].count(b"\n") - 1)
        journal.append("m", [r for r in (_record(1), _record(2), _record(3)) if journal.get("m", r.sample.id) is None])
    assert path.read_bytes() == content


def test_journal_of_another_run_is_refused_by_the_entry_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, IDENTITY).__exit__(None, None, None)
    with pytest.raises(ConfigError, match="its seed is 0, now it is 1"):
        Journal(path, {**IDENTITY, "seed": "1"})


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"{}\n",
        b'{"schema": "assay.journal/0", "identity": {}}\n',
        b"[1]\n",
        b'{"schema": "assay.journal/2", "identity": null}\n',
    ],
)
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError):
        Journal(path, IDENTITY)
    assert path.read_bytes() == content


def test_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.append("m", [_record(1), _record(2)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][: len(lines[1]) // 2] + b"\n" + lines[2])
    with pytest.raises(DataError, match="line 2 is damaged"):
        Journal(path, IDENTITY)


def test_line_is_plain_json_with_the_output_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.append("m", [_record(1)])
    header, line = path.read_text(encoding="ascii").splitlines()
    assert json.loads(header) == {"schema": "assay.journal/2", "identity": IDENTITY}
    assert json.loads(line)["arms"]["guarded"]["action"] == Action.BLOCK


def test_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        Journal(tmp_path / "missing" / "journal.jsonl", IDENTITY)


def test_second_writer_of_one_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, IDENTITY) as journal:
        with pytest.raises(OutputError, match="another process"):
            Journal(path, IDENTITY)
        journal.append("m", [_record(1)])
    with Journal(path, IDENTITY) as journal:
        assert len(journal) == 1
