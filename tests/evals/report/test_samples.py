"""The table of samples: every sample and arm of a real run, in CSV and Parquet alike, exact to the character."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evals.audit import audit
from evals.journal import Journal
from evals.report.samples import COLUMNS, write_samples
from evals.schema import Generation, Record, Sample
from guard.errors import DataError
from guard.schema import Action, Verdict
from tests.evals import small_audit

MODELS = {"scripted@1": "mine"}


def record(number: int, *, prompt: str = "a prompt", output: str | None = "an output", **arms: Generation) -> Record:
    sample = Sample(f"t/p{number}#0", "t", f"p{number}", prompt, "g", 7, harmful=number % 2 == 0)
    passed = Verdict(Action.ALLOW, "input", {"rude": 0.25})
    return Record(sample, output, arms or {"unguarded": Generation(output, Action.ALLOW, passed)})


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Any]:
    def write(*records: Record, end: str = "csv") -> list[dict[str, Any]]:
        (tmp_path / "journal.jsonl").unlink(missing_ok=True)
        with Journal(tmp_path / "journal.jsonl", {"seed": "1"}) as journal:
            journal.append("scripted@1", records)
        path = tmp_path / f"samples.{end}"
        assert write_samples(tmp_path / "journal.jsonl", path, models=MODELS) == sum(len(r.arms) for r in records)
        return read(path)

    return write  # type: ignore[return-value]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


BLOCKED = {
    "unguarded": Generation(
        "darn", Action.ALLOW, Verdict(Action.ALLOW, "input", {}), Verdict(Action.ALLOW, "output", {})
    ),
    "guarded": Generation(
        "I can't.",
        Action.BLOCK,
        Verdict(Action.REVIEW, "input", {"rude": 0.5, "pii": 0.125}, ("rude",)),
        Verdict(Action.BLOCK, "output", {"rude": 0.75}, ("rude", "toxicity"), error="a filter hung"),
    ),
}


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_row_has_what_the_record_has(written: Any, end: str) -> None:
    before, after = written(record(1, output="darn", **BLOCKED), end=end)
    assert [before["arm"], after["arm"]] == ["unguarded", "guarded"]
    assert list(after) == [*COLUMNS, "input.pii", "input.rude", "output.rude"]
    shared = ("mine", "scripted@1", "t", "t/p1#0", "p1", "g", "a prompt", "darn")
    for row in (before, after):
        keys = ("model", "digest", "task", "sample_id", "prompt_id", "group", "prompt", "output")
        assert tuple(row[key] for key in keys) == shared
    told = ("released", "action", "prompt_action", "output_action", "triggered", "error")
    assert tuple(after[key] for key in told) == (
        "I can't.",
        "block",
        "review",
        "block",
        "rude; toxicity",
        "a filter hung",
    )
    assert [float(after[key]) for key in ("input.pii", "input.rude", "output.rude")] == [0.125, 0.5, 0.75]
    assert before["input.rude"] in ("", None)


def test_parquet_has_types_and_csv_words(written: Any) -> None:
    (row,) = written(record(2), end="parquet")
    assert (row["seed"], row["harmful"], row["input.rude"], row["output_action"]) == (7, True, 0.25, None)
    (row,) = written(record(2), end="csv")
    assert (row["seed"], row["harmful"], row["input.rude"], row["output_action"]) == ("7", "true", "0.25", "")


HARD = 'a "quoted", cell\nwith\r\nlines\ttabs = 1 日本 🦜 \u202e\x00end'


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_choice_has_its_options_and_their_likelihoods(written: Any, end: str) -> None:
    plain = record(1)
    sample = replace(plain.sample, options=("he", "she"), target="she")
    chosen = replace(plain, sample=sample, likelihoods=(-1.5, None))
    row, other = written(chosen, record(2), end=end)
    assert (row["target"], row["options"], row["likelihoods"]) == ("she", '["he", "she"]', "[-1.5, null]")
    assert not any(other[key] for key in ("target", "options", "likelihoods"))


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_text_comes_back_to_the_character(written: Any, end: str) -> None:
    (row,) = written(record(1, prompt=HARD), end=end)
    assert row["prompt"] == HARD


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_lone_surrogate_is_written_as_its_escape(written: Any, end: str) -> None:
    (row,) = written(record(1, output="a\ud800b"), end=end)
    assert row["output"] == "a\\ud800b"


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_sample_without_output_has_an_empty_cell(written: Any, end: str) -> None:
    (row,) = written(
        record(1, output=None, clean=Generation(None, Action.ALLOW, Verdict(Action.ALLOW, "input", {}))), end=end
    )
    assert row["output"] in ("", None)
    assert row["arm"] == "clean"


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_run_without_samples_has_columns_and_no_rows(written: Any, tmp_path: Path, end: str) -> None:
    assert written(end=end) == []
    if end == "parquet":
        assert pq.read_schema(tmp_path / "samples.parquet").names == list(COLUMNS)


def test_real_run_gives_the_same_rows_in_both_formats(tmp_path: Path) -> None:
    plan = small_audit.plan(folder=tmp_path)
    audit(plan, tmp_path, rows=4, progress=lambda *_: None)
    journal = tmp_path / "journal.jsonl"
    names = {model.digest: model.name for model in plan.models}
    counts = [write_samples(journal, tmp_path / f"s.{end}", models=names) for end in ("csv", "parquet")]
    lines = [json.loads(line) for line in journal.read_text(encoding="ascii").splitlines()[1:]]
    assert counts == [sum(len(line["arms"]) for line in lines)] * 2
    table, frame = read(tmp_path / "s.csv"), read(tmp_path / "s.parquet")
    assert {row["task"] for row in frame} == {"toxicity", "refusal", "quality", "robustness"}
    assert {row["model"] for row in frame} == {"scripted"}
    for cells, row in zip(table, frame, strict=True):
        for key in ("sample_id", "arm", "released", "triggered"):
            assert cells[key] == (row[key] or "")
        for key in (name for name in row if name.startswith(("input.", "output."))):
            assert (float(cells[key]) if cells[key] else None) == pytest.approx(row[key])


def test_torn_last_line_is_left_out(written: Any, tmp_path: Path) -> None:
    written(record(1), record(2))
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert write_samples(journal, tmp_path / "less.csv", models={}) == 1
    assert read(tmp_path / "less.csv")[0]["model"] == "scripted@1"


def test_damaged_line_is_refused_by_its_number(written: Any, tmp_path: Path) -> None:
    written(record(1), record(2))
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b'{"model": 1}\n', lines[2]]))
    with pytest.raises(DataError, match=r"line 2 is damaged \(KeyError\)"):
        write_samples(journal, tmp_path / "s.csv", models={})


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n", '{"schema": "other/1"}\n'])
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="is no journal of a run"):
        write_samples(tmp_path / "journal.jsonl", tmp_path / "s.csv", models={})


@pytest.mark.parametrize("name", ["s.jsonl", "s", "s.csv.gz", "s.xlsx"])
def test_other_ends_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"neither \.csv nor \.parquet"):
        write_samples(tmp_path / "journal.jsonl", tmp_path / name, models={})
