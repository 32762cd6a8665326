from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evals.finetuning.texts import TextColumns, read_texts
from guard.errors import DataError
from guard.train.generator.encoding import Turn

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    else:
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_columns_are_found_by_their_usual_names(tmp_path: Path, name: str) -> None:
    dialogue = (Turn("user", "hi"), Turn("assistant", "yes?"))
    for rows in (
        [{"messages": TURNS, "text": "not this"}],
        [{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes?"}]}],
        [{"prompt": "hi", "answer": "yes?"}],
        [{"instruction": "hi", "output": "yes?", "text": "not this"}],
    ):
        (found,) = read_texts(written(tmp_path, name, rows), TextColumns())
        assert found.turns == dialogue
        assert not found.is_plain
    (plain,) = read_texts(written(tmp_path, name, [{"text": "hello", "other": "x"}]), TextColumns())
    assert plain.is_plain
    assert plain.whole == "hello"


def test_columns_are_taken_as_named_and_groups_are_units(tmp_path: Path) -> None:
    rows = [{"q": "one", "a": "1", "call": 7}, {"q": "two", "a": "2", "call": 7}, {"q": "three", "a": "3", "call": 8}]
    found = read_texts(written(tmp_path, "a.jsonl", rows), TextColumns(prompt="q", answer="a", group="call"))
    assert [one.unit for one in found] == ["7", "7", "8"]
    assert [one.id for one in found] == ["row-000001", "row-000002", "row-000003"]
    assert found[1].whole == "two\n2"
    assert found[0].with_contents(["x", "y"]).turns == (Turn("user", "x"), Turn("assistant", "y"))


def test_messages_may_be_json_in_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('messages\n"' + json.dumps(TURNS).replace('"', '""') + '"\n', encoding="utf-8")
    (found,) = read_texts(str(path), TextColumns())
    assert found.turns == (Turn("user", "hi"), Turn("assistant", "yes?"))


def test_paragraphs_of_a_text_file_are_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\ntwo\r\n\r\n \nthree  \n\n\n".encode("utf-8-sig"))
    assert [one.whole for one in read_texts(str(path), TextColumns())] == ["one\ntwo", "three"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_texts(str(path), TextColumns())
    with pytest.raises(DataError, match="cannot read"):
        read_texts(str(tmp_path / "none.txt"), TextColumns())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"body": "x"}], "none of them is called text"),
        ([{"text": 3}], "row 1: 'text' is a int"),
        ([{"messages": "{"}], "row 1: the messages are not JSON"),
        ([{"messages": {"role": "user"}}], "row 1: the messages are a dict"),
        ([{"messages": [{"role": "robot", "content": "x"}]}], "row 1: a turn is"),
        ([{"messages": [{"role": "user", "content": None}]}], "row 1: a turn is"),
    ],
)
def test_what_is_wrong_in_a_row_is_said_with_its_number(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_texts(written(tmp_path, "a.jsonl", rows), TextColumns())


def test_columns_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column 'speech' for the text"):
        read_texts(written(tmp_path, "a.jsonl", [{"text": "x"}]), TextColumns(text="speech"))
    for wrong in ({"text": "a", "prompt": "b", "answer": "c"}, {"prompt": "b"}, {"text": "a", "messages": "b"}):
        with pytest.raises(DataError, match="name one of"):
            TextColumns(**wrong)
