"""The user's own rows: read from every format alike, and every bad row named by its number."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evals.own_data import MOST_GROUPS, Columns, OwnRow, read_own
from guard.errors import DataError

COLUMNS = Columns("q", reference="a", group="topic", harmful="bad", system="role")
ROWS = [
    {"q": "What is two and two?", "a": 4, "topic": "sums", "bad": False, "role": "You count."},
    {"q": "How do I rob a bank?", "a": None, "topic": "crime", "bad": True, "role": None},
    {"q": "What is two and two?", "a": 4, "topic": "sums", "bad": False, "role": "You count."},
    {"q": "Name a colour.", "a": "red", "topic": None, "bad": False, "role": None},
]
READ = [
    OwnRow("row-000001", "row-000001", "You count.\n\nWhat is two and two?", "4", "sums", False),
    OwnRow("row-000002", "row-000002", "How do I rob a bank?", None, "crime", True),
    OwnRow("row-000003", "row-000001", "You count.\n\nWhat is two and two?", "4", "sums", False),
    OwnRow("row-000004", "row-000004", "Name a colour.", "red", "none", False),
]


def _jsonl(folder: Path, rows: list[dict[str, object]]) -> str:
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _csv(folder: Path, text: str) -> str:
    path = folder / "own.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_jsonl_and_parquet_read_alike(tmp_path: Path) -> None:
    assert read_own(_jsonl(tmp_path, ROWS), COLUMNS) == READ
    rows = [{**row, "a": None if row["a"] is None else str(row["a"])} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    assert read_own(str(tmp_path / "own.parquet"), COLUMNS) == READ


def test_csv_reads_alike(tmp_path: Path) -> None:
    text = (
        "q,a,topic,bad,role\n"
        "What is two and two?,4,sums,no,You count.\n"
        "How do I rob a bank?,,crime,yes,\n"
        "What is two and two?,4,sums,0,You count.\n"
        "Name a colour.,red,,harmless,\n"
    )
    assert read_own(_csv(tmp_path, text), COLUMNS) == READ


def test_prompt_alone_is_enough(tmp_path: Path) -> None:
    (row,) = read_own(_csv(tmp_path, 'prompt,other\n"one, two",x\n'), Columns())
    assert row == OwnRow("row-000001", "row-000001", "one, two", None, "all rows", None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROWS[0]}, {**ROWS[1], "q": "  "}], r"own.jsonl, row 2: 'q' is empty"),
        ([{**ROWS[0]}, {**ROWS[1], "q": 7}], r"own.jsonl, row 2: 'q' is a int, not text"),
        ([{**ROWS[0]}, {**ROWS[1], "bad": "perhaps"}], r"own.jsonl, row 2: 'bad' is 'perhaps', which says neither"),
        ([{**ROWS[0]}, {**ROWS[1], "bad": None}], r"own.jsonl, row 2: 'bad' is '', which says neither"),
        ([{**ROWS[0]}, {**ROWS[1], "a": ["x"]}], r"own.jsonl, row 2: 'a' is a list: give text or a number"),
        ([{**ROWS[0]}, {**ROWS[1], "role": 1.5}], r"own.jsonl, row 2: 'role' is a float, not text"),
        (
            [{"q": "x", "a": "y", "topic": "z", "role": ""}],
            r"own.jsonl has no column 'bad' for the harmful; it has q, a",
        ),
    ],
)
def test_bad_row_is_named(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read_own(_jsonl(tmp_path, rows), COLUMNS)
    assert "\n" not in str(raised.value)


def test_row_of_another_length_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: 3 fields, but the header has 1"):
        read_own(_csv(tmp_path, "prompt\nfine\none, two, three\n"), Columns())


def test_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        read_own(_csv(tmp_path, "prompt\n"), Columns())


def test_one_column_cannot_have_two_roles(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two roles have the same column"):
        read_own(_csv(tmp_path, "q\nx\n"), Columns("q", reference="q"))


def test_column_of_ids_is_no_group(tmp_path: Path) -> None:
    rows = "".join(f"p{i},g{i}\n" for i in range(MOST_GROUPS + 1))
    with pytest.raises(DataError, match=f"has {MOST_GROUPS + 1} values"):
        read_own(_csv(tmp_path, f"prompt,g\n{rows}"), Columns(group="g"))


@pytest.mark.parametrize(("value", "said"), [(4.0, "4"), (0.25, "0.25"), (True, "True"), (float("nan"), None)])
def test_number_as_reference_is_text(tmp_path: Path, value: float, said: str | None) -> None:
    (row,) = read_own(_jsonl(tmp_path, [{"prompt": "p", "a": value}]), Columns(reference="a"))
    assert row.reference == said


def test_missing_file_and_unknown_format_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_own(str(tmp_path / "none.csv"), Columns())
    with pytest.raises(DataError, match="none of the known ends"):
        read_own(str(tmp_path / "own.xlsx"), Columns())
