"""Rows of a CSV, JSON Lines or Parquet file: read in batches, and written back as they were."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from guard.errors import DataError

__all__ = ["FORMATS", "Batch", "Format", "file_format", "read_batches"]

Format = Literal["csv", "jsonl", "parquet"]

FORMATS: Mapping[str, Format] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".parquet": "parquet",
}
"""How a file is read and written, by the end of its name."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Parameters
    ----------
    first : int
        Number of the first row, from 1, headers not counted.
    columns : tuple of str
        In the order of the file; of JSON Lines, every key of the batch in order of appearance.
    rows : sequence of mapping
        Column to value. CSV values are the strings of the file.
    raw : sequence of str or None
        JSON Lines only: each object as it stands in the file.
    arrow : pyarrow.RecordBatch or None
        Parquet only: the rows with their types.
    """

    first: int
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, object]]
    raw: Sequence[str] | None = None
    arrow: Any = None

    def texts(self, column: str, *, source: Path) -> list[str | None]:
        """Return the text of each row; None where there is none or it is empty.

        Raises
        ------
        DataError
            A value that is not text.
        """
        texts = []
        for number, row in enumerate(self.rows, self.first):
            value = row.get(column)
            if value is not None and not isinstance(value, str):
                raise DataError(f"{source}, row {number}: {column!r} is a {type(value).__name__}, not text")
            texts.append(value or None)
        return texts


def file_format(path: Path, *, role: str) -> Format:
    """Return the format that the end of the name stands for.

    Parameters
    ----------
    path : pathlib.Path
    role : str
        What the file is for, as the message calls it, for example ``"the output"``.

    Raises
    ------
    DataError
        None of the known ends.
    """
    name = path.name.lower()
    for suffix, known in FORMATS.items():
        if name.endswith(suffix):
            return known
    raise DataError(f"{role} {path} has none of the known ends ({', '.join(FORMATS)}): rename or convert it")


def read_batches(source: Path, *, batch_rows: int) -> Iterator[Batch]:
    """Read a table batch by batch, so that a file larger than memory can be read.

    Parameters
    ----------
    source : pathlib.Path
        UTF-8 where it is text.
    batch_rows : int
        At least 1.

    Yields
    ------
    Batch
        At least one, which is empty where the file has columns and no rows.

    Raises
    ------
    DataError
        Missing, empty, not in UTF-8, or a row that is not what its format says; the message has the row's number.
    """
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    reader = readers[file_format(source, role="the table")]
    try:
        yield from reader(source, batch_rows)
    except OSError as error:
        raise DataError(f"cannot read {source} ({error.strerror or error}): check the path") from error


@contextmanager
def _open_text(source: Path) -> Iterator[io.TextIOBase]:
    """Open as text with line ends left alone; what is wrong inside becomes a DataError."""
    opener = gzip.open if source.name.lower().endswith(".gz") else open
    try:
        with opener(source, "rt", encoding="utf-8-sig", newline="") as handle:
            yield cast(io.TextIOBase, handle)
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 (byte {error.object[error.start]:#04x}): convert it first") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{source} is not a whole gzip file ({error}): get it again") from error


def _read_csv(source: Path, batch_rows: int) -> Iterator[Batch]:
    with _open_text(source) as handle:
        records = _csv_records(source, handle)
        header = next(records, None)
        if header is None:
            raise DataError(f"{source} is empty: a CSV file begins with a line of column names")
        columns = tuple(header)
        if len(set(columns)) != len(columns):
            raise DataError(f"{source} has two columns of one name ({', '.join(columns)}): rename one")
        first, rows = 1, list[Mapping[str, object]]()
        for record in records:
            if len(record) != len(columns):
                where = f"{source}, row {first + len(rows)}"
                raise DataError(f"{where}: {len(record)} fields, but the header has {len(columns)}: check its quotes")
            rows.append(dict(zip(columns, record, strict=True)))
            if len(rows) == batch_rows:
                yield Batch(first, columns, rows)
                first, rows = first + len(rows), []
        if rows or first == 1:
            yield Batch(first, columns, rows)


def _csv_records(source: Path, handle: io.TextIOBase) -> Iterator[list[str]]:
    """Yield the header and each row that is not blank."""
    reader, number = csv.reader(handle, strict=True), 0
    while True:
        # The limit belongs to the csv module and not to a reader: it is put back after each record.
        limit = csv.field_size_limit(sys.maxsize)
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{source}, row {number}: not CSV ({error}): check its quotes") from error
        finally:
            csv.field_size_limit(limit)
        if record is None:
            return
        if record:
            yield record
            number += 1


def _read_jsonl(source: Path, batch_rows: int) -> Iterator[Batch]:
    with _open_text(source) as handle:
        first, rows, raw = 1, list[Mapping[str, object]](), list[str]()
        for line in _lines(handle):
            rows.append(_json_object(line, source, first + len(rows)))
            raw.append(line)
            if len(rows) == batch_rows:
                yield Batch(first, _keys(rows), rows, raw)
                first, rows, raw = first + len(rows), [], []
        if first == 1 and not rows:
            raise DataError(f"{source} is empty: each line must hold one JSON object")
        if rows:
            yield Batch(first, _keys(rows), rows, raw)


def _lines(handle: io.TextIOBase) -> Iterator[str]:
    """Yield each line that is not blank. JSON allows no bare line end inside a string, so any of them ends a row."""
    return (stripped for line in handle if (stripped := line.strip()))


def _json_object(line: str, source: Path, number: int) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}, row {number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{source}, row {number}: a {type(row).__name__}, not an object with columns")
    return row


def _keys(rows: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for row in rows for key in row))


def _read_parquet(source: Path, batch_rows: int) -> Iterator[Batch]:
    try:
        with pq.ParquetFile(source) as file:
            columns, first = tuple(file.schema_arrow.names), 1
            if len(set(columns)) < len(columns):
                raise DataError(f"{source} has two columns of one name: rename one")
            for arrow in file.iter_batches(batch_size=batch_rows):
                yield Batch(first, columns, _python_rows(arrow, source, first), arrow=arrow)
                first += arrow.num_rows
            if first == 1:
                empty = pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
                yield Batch(1, columns, [], arrow=empty)
    except pa.ArrowException as error:
        raise DataError(f"{source} is not a whole Parquet file ({str(error).splitlines()[0]}): get it again") from error


def _python_rows(arrow: Any, source: Path, first: int) -> list[dict[str, object]]:
    """Turn a batch into rows; Parquet can hold dates and bytes that Python cannot."""
    try:
        rows: list[dict[str, object]] = arrow.to_pylist()
    except (ValueError, OverflowError) as error:
        last = first + arrow.num_rows - 1
        raise DataError(
            f"{source}, rows {first} to {last}: a value that Python cannot hold ({error}): leave its column out"
        ) from error
    return rows
