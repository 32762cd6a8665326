"""Scoring a table: every row back as it was, in order, with one column a category, or a clear line and no file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evals.tables import TableSummary, score_table
from guard.errors import ConfigError, DataError, FilterError, OutputError
from guard.schema import Scores


@dataclass
class LengthFilter:
    """Scores a text by its length in characters, divided by 8, at most 1."""

    name: str = "length@1"
    categories: tuple[str, ...] = ("length",)
    sizes: list[int] = field(default_factory=list)

    def score_batch(self, items: Sequence[str]) -> Scores:
        self.sizes.append(len(items))
        column = [min(1.0, len(item) / 8) for item in items]
        return np.array([column] * len(self.categories), np.float32).T.reshape(len(items), len(self.categories))


def _score(source: Path, out: Path, **options: Any) -> TableSummary:
    return score_table(source, out, **{"column": "text", "filters": [LengthFilter()], **options})


CSV = 'id,text,"a ""b"", c"\n007,abcd,NA\n1e5,"two\r\nlines, ""so""",nan\n ,,null\n-0,12345678,"  x"\n'


def test_csv_values_come_back_as_strings(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(CSV.encode())
    summary = _score(tmp_path / "in.csv", tmp_path / "out.csv", batch_rows=2)
    assert summary == TableSummary(n_rows=4, n_unscored=1, categories=("length",))
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_bytes().decode(), newline="")))
    assert rows == [
        ["id", "text", 'a "b", c', "length"],
        ["007", "abcd", "NA", "0.500000"],
        ["1e5", 'two\r\nlines, "so"', "nan", "1.000000"],
        [" ", "", "null", ""],
        ["-0", "12345678", "  x", "1.000000"],
    ]


def test_jsonl_objects_keep_their_spelling(tmp_path: Path) -> None:
    lines = ['{"text": "abcd", "n": 1.50, "big": 123456789012345678901, "u": "\\u00e9"}', '{ "text":null }', "{}"]
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines) + "\n")
    assert _score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", batch_rows=2).n_unscored == 2
    assert (tmp_path / "out.jsonl").read_text().splitlines() == [
        '{"text": "abcd", "n": 1.50, "big": 123456789012345678901, "u": "\\u00e9", "length": 0.5}',
        '{"text":null, "length": null}',
        '{"length": null}',
    ]


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "when": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
            "text": pa.array(["abcd", None, ""]).dictionary_encode(),
            "tags": pa.array([["a"], [], None]),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    assert _score(tmp_path / "in.parquet", tmp_path / "out.parquet", batch_rows=2).n_unscored == 2
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.column("length").to_pylist() == [0.5, None, None]
    assert scored.schema.field("length").type == pa.float32()
    assert scored.select(["when", "tags"]).equals(table.select(["when", "tags"]))
    assert scored.column("text").to_pylist() == ["abcd", None, ""]


@pytest.mark.parametrize("start", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("end", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_to_every_other(tmp_path: Path, start: str, end: str) -> None:
    source, out = tmp_path / f"in.{start}", tmp_path / f"out.{end}"
    rows = [{"id": f"{number:03d}", "text": "é" * (number % 9)} for number in range(25)]
    _write(source, rows)
    summary = _score(source, out, batch_rows=10)
    assert (summary.n_rows, summary.n_unscored) == (25, 3)
    back = _read(out)
    assert [(row["id"], row["text"] or "") for row in back] == [(row["id"], row["text"]) for row in rows]
    expected = [None if not row["text"] else len(row["text"]) / 8 for row in rows]
    assert [None if row["length"] in ("", None) else float(str(row["length"])) for row in back] == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, out.name])


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    if ".csv" in path.name:
        text = "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())


def _read(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        return list(pq.read_table(path).to_pylist())
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode()
    if ".csv" in path.name:
        return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    return [json.loads(line) for line in text.splitlines()]


CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@example(rows=[("a\rb", "\r"), ("\n", '"')], batch_rows=1)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), batch_rows=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], batch_rows: int) -> None:
    folder = tmp_path_factory.mktemp("trip")
    with (folder / "in.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("text", "other"), *rows])
    _score(folder / "in.csv", folder / "out.csv", batch_rows=batch_rows)
    with (folder / "out.csv").open(encoding="utf-8", newline="") as handle:
        back = list(csv.reader(handle))
    assert [row[:2] for row in back] == [["text", "other"], *map(list, rows)]
    assert [row[2] == "" for row in back[1:]] == [text == "" for text, _ in rows]


@given(
    values=st.lists(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=8), max_size=4))
)
@settings(max_examples=60, deadline=None)
def test_jsonl_round_trip(tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.mktemp("trip")
    rows = [{"text": "abcd"}, *({k: v for k, v in row.items() if k not in ("text", "length")} for row in values)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _score(folder / "in.jsonl", folder / "out.jsonl", batch_rows=3)
    back = [json.loads(line) for line in (folder / "out.jsonl").read_text().split("\n")[:-1]]
    assert back == [{**row, "length": 0.5 if "text" in row else None} for row in rows]


def test_memory_and_batches_do_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for n_rows in (2_000, 20_000):
        filter_ = LengthFilter()
        (tmp_path / "in.csv").write_text("text\n" + f"{'x' * 200}\n" * n_rows)
        tracemalloc.start()
        done: list[int] = []
        _score(tmp_path / "in.csv", tmp_path / "out.csv", filters=[filter_], batch_rows=128, on_progress=done.append)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert max(filter_.sizes) == 128
        assert sum(filter_.sizes) == done[-1] == n_rows
        assert done == sorted(done)
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 2_000_000


def test_several_filters_add_their_columns_in_order(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nabcd\n")
    filters = [LengthFilter(categories=("b", "a")), LengthFilter(categories=("c",))]
    assert _score(tmp_path / "in.csv", tmp_path / "out.csv", filters=filters).categories == ("b", "a", "c")
    assert (tmp_path / "out.csv").read_text() == "text,b,a,c\nabcd,0.500000,0.500000,0.500000\n"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_source_may_be_the_output(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"in.{suffix}"
    _write(file, [{"id": "1", "text": "abcd"}])
    _score(file, file)
    assert [float(row["length"]) for row in _read(file)] == [0.5]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_without_rows_stays_one(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"in.{suffix}"
    if suffix == "csv":
        source.write_text("id,text\n")
    else:
        pq.write_table(pa.table({"id": pa.array([], pa.int8()), "text": pa.array([], pa.string())}), source)
    for end in ("csv", "parquet"):
        assert _score(source, tmp_path / f"out.{end}").n_rows == 0
    assert (tmp_path / "out.csv").read_text() == "id,text,length\n"
    assert pq.read_schema(tmp_path / "out.parquet").names == ["id", "text", "length"]


GOOD = b"text\nabcd\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "cannot read"),
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"", "is empty"),
        ("a.csv", b"words\nx\n", "has no column 'text'; it has words"),
        ("a.jsonl", b'{"words": 1}\n', "has no column 'text'; it has words"),
        ("a.csv", b"text,text\nx,y\n", "two columns of one name"),
        ("a.csv", b"text,length\nx,y\n", "has a column 'length' already"),
        ("a.jsonl", b'{"text": "x"}\n{"length": 1}\n', "has a column 'length' already"),
        ("a.csv", b"text,b\nx,y\nx\n", "row 2: 1 fields, but the header has 2"),
        ("a.csv", b"text,b\nx,y\nx,y,z\n", "row 2: 3 fields, but the header has 2"),
        ("a.csv", b'text\nx\n"y\n', "row 2: not CSV"),
        ("a.csv", b'text\nx\n"y"z\n', "row 2: not CSV"),
        ("a.csv", b"text\nx\n\xff\n", "is not UTF-8"),
        ("a.csv.gz", b"text\nx\n", "not a whole gzip file"),
        ("a.csv.gz", gzip.compress(GOOD * 999)[:-9], "not a whole gzip file"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "row 2: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', "row 2: a list, not an object"),
        ("a.jsonl", b'{"text": "x"}\n{"text": 4}\n', "row 2: 'text' is a int, not text"),
        ("a.jsonl", b"[" * 100_000, "row 1: not JSON"),
        ("a.parquet", b"PAR1 and not much more", "not a whole Parquet file"),
        ("a.xlsx", b"x", "none of the known ends"),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_bad_input_is_one_clear_line_and_no_file(
    tmp_path: Path, name: str, content: bytes | None, message: str, batch_rows: int
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "out.csv").write_text("kept")
    with pytest.raises(DataError, match=message) as caught:
        _score(tmp_path / name, tmp_path / "out.csv", batch_rows=batch_rows)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out.csv").read_text() == "kept"
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("lines", "end", "message"),
    [
        (['{"text": "x"}', '{"text": "x", "new": 1}'], "csv", "row 2: column new is not in the first rows"),
        (['{"text": "x"}', '{"text": "x", "new": 1}'], "parquet", "row 2: column new is not in the first rows"),
        (['{"text": "x", "n": 1}', '{"text": "x", "n": "one"}'], "parquet", "rows 2 to 2: values do not fit"),
        (['{"text": "x", "n": "\\ud800"}'], "parquet", "rows 1 to 1: values do not fit"),
    ],
)
def test_rows_that_do_not_fit_the_output_format(tmp_path: Path, lines: list[str], end: str, message: str) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        _score(tmp_path / "in.jsonl", tmp_path / f"out.{end}", batch_rows=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": []}, "no filter"),
        ({"filters": [LengthFilter(), LengthFilter()]}, "two filters give length"),
        ({"batch_rows": 0}, "at least 1"),
    ],
)
def test_impossible_options_are_config_errors(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    (tmp_path / "in.csv").write_bytes(GOOD)
    with pytest.raises(ConfigError, match=message):
        _score(tmp_path / "in.csv", tmp_path / "out.csv", **options)


def test_failing_filter_leaves_no_file(tmp_path: Path) -> None:
    class Broken(LengthFilter):
        def score_batch(self, items: Sequence[str]) -> Scores:
            if "bad" in items:
                return np.full((len(items), 1), np.nan, np.float32)
            return super().score_batch(items)

    (tmp_path / "in.csv").write_text("text\ngood\nbad\n")
    with pytest.raises(FilterError, match="NaN"):
        _score(tmp_path / "in.csv", tmp_path / "out.csv", filters=[Broken()], batch_rows=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_lone_surrogates_and_long_texts_pass(tmp_path: Path) -> None:
    long = "a" * 10**6
    (tmp_path / "in.jsonl").write_text(f'{{"text": "\\ud800\\u0000"}}\n{{"text": "{long}"}}\n')
    _score(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [json.loads(line)["length"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [0.25, 1.0]
    _score(tmp_path / "in.jsonl", tmp_path / "out.csv")
    _score(tmp_path / "out.csv", tmp_path / "again.csv", filters=[LengthFilter(categories=("again",))])
    assert csv.field_size_limit() == 131_072
    assert long in (tmp_path / "again.csv").read_text()


def _below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "out.csv"


@pytest.mark.parametrize("place", [_below_a_file, lambda folder: folder / "none" / "out.csv"])
def test_unwritable_output_is_one_clear_line(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    (tmp_path / "in.csv").write_bytes(GOOD)
    with pytest.raises(OutputError, match=r"cannot write .*out\.csv"):
        _score(tmp_path / "in.csv", place(tmp_path))


PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
from evals.tables import score_table
from guard.errors import OutputError
from tests.evals.test_tables import LengthFilter
folder, mode = Path(sys.argv[1]), sys.argv[2]
def progress(n_rows):
    if mode == "kill" and n_rows > 300:
        os.kill(os.getpid(), signal.SIGKILL)
if mode == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    score_table(folder / "in.csv", folder / sys.argv[3], column="text", filters=[LengthFilter()], on_progress=progress)
except OutputError as error:
    sys.exit(7 if "free space" in str(error) else 1)
"""


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
@pytest.mark.parametrize(("mode", "code"), [("kill", -signal.SIGKILL), ("full", 7)])
def test_killed_or_out_of_room_leaves_no_half_file(tmp_path: Path, mode: str, code: int, out: str) -> None:
    random = Random(0)  # so that the text does not compress
    (tmp_path / "in.csv").write_text("text\n" + "".join(f"{random.randbytes(30).hex()}\n" for _ in range(2_000)))
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), mode, out]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert not (tmp_path / out).exists()
    if mode == "full":
        assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
