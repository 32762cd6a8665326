"""Rows with added score columns written to a CSV, JSON Lines or Parquet file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

import pyarrow as pa
import pyarrow.parquet as pq

from evals.rows import Batch, Format
from guard.errors import DataError

__all__ = ["Cells", "RowWriter", "open_writer"]

Cells = Sequence[Sequence[float | None]]
"""One row of scores for each row of a batch; None is a score that could not be had."""

_GROUP_ROWS = 16_384
"""Rows of one Parquet row group: small groups cost space and speed."""


class RowWriter(Protocol):
    """Writes batches in order; a context manager that closes the file."""

    def write(self, batch: Batch, cells: Cells) -> None:
        """Write the rows of `batch`, each with its cells behind its own columns."""

    def __enter__(self) -> Self:
        """Return the writer."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file."""


def open_writer(path: Path, added: Sequence[str], *, kind: Format, compressed: bool, source: Path) -> RowWriter:
    """Open a new file for writing.

    Parameters
    ----------
    path : pathlib.Path
        Must not exist.
    added : sequence of str
        Names of the added columns.
    kind : {"csv", "jsonl", "parquet"}
    compressed : bool
        gzip, for CSV and JSON Lines.
    source : pathlib.Path
        Where the rows come from, as messages name it.
    """
    if kind == "parquet":
        return _ParquetWriter(path, added, source)
    return (_CsvWriter if kind == "csv" else _JsonlWriter)(path, added, source, compressed)


class _TextWriter:
    """Holds the open text file."""

    def __init__(self, path: Path, added: Sequence[str], source: Path, compressed: bool) -> None:
        self._added = tuple(added)
        self._source = source
        self._stack = ExitStack()
        binary = self._stack.enter_context(path.open("xb"))
        if compressed:
            # Without a name and a time in the header the same rows make the same bytes.
            packed = gzip.GzipFile(filename="", fileobj=binary, mode="wb", mtime=0)
            binary = cast(Any, self._stack.enter_context(packed))
        # A lone surrogate has no UTF-8; it is written as the escape that JSON and Python know.
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", newline="")
        self._file = self._stack.enter_context(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class _UnixLines:
    """Ends each record in a line feed, though the csv module is told otherwise.

    It quotes only the characters of its line end, so one of a line feed alone would leave a bare carriage return
    unquoted, which reads back as the end of a row.
    """

    def __init__(self, file: io.TextIOBase) -> None:
        self._file = file

    def write(self, record: str) -> int:
        return self._file.write(record.removesuffix("\r\n") + "\n")


class _CsvWriter(_TextWriter):
    """Columns are those of the first batch; a row with another one is refused."""

    _columns: tuple[str, ...] | None = None

    def write(self, batch: Batch, cells: Cells) -> None:
        writer = csv.writer(_UnixLines(self._file))
        if self._columns is None:
            self._columns = batch.columns
            writer.writerow([*self._columns, *self._added])
        for number, (row, scores) in enumerate(zip(batch.rows, cells, strict=True), batch.first):
            _check_columns(row.keys() - set(self._columns), number, self._source)
            own = [_csv_cell(row.get(column)) for column in self._columns]
            writer.writerow([*own, *("" if score is None else f"{score:.6f}" for score in scores)])


class _JsonlWriter(_TextWriter):
    """An object that came from JSON Lines keeps its own spelling, numbers included."""

    def write(self, batch: Batch, cells: Cells) -> None:
        raw = batch.raw or [json.dumps(row, ensure_ascii=False, default=str) for row in batch.rows]
        for row, scores in zip(raw, cells, strict=True):
            rounded = [None if score is None else round(score, 6) for score in scores]
            added = json.dumps(dict(zip(self._added, rounded, strict=True)), ensure_ascii=False)
            inside = row.rstrip()[1:-1].strip()
            self._file.write(f"{{{inside}, {added[1:]}\n" if inside else f"{added}\n")


class _ParquetWriter:
    """Gathers rows to groups of a useful size; column types are those of the first batch."""

    def __init__(self, path: Path, added: Sequence[str], source: Path) -> None:
        self._added = tuple(added)
        self._source = source
        self._stack = ExitStack()
        self._file = self._stack.enter_context(path.open("xb"))
        self._schema: Any = None
        self._writer: Any = None
        self._waiting: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._stack.close()

    def write(self, batch: Batch, cells: Cells) -> None:
        table = pa.Table.from_batches([batch.arrow]) if batch.arrow is not None else self._typed(batch)
        if self._schema is None:
            self._schema = table.schema
        for index, name in enumerate(self._added):
            column = pa.array([scores[index] for scores in cells], type=pa.float32())
            table = table.append_column(name, column)
        if self._writer is None:
            self._writer = self._stack.enter_context(pq.ParquetWriter(self._file, table.schema))
        self._waiting.append(table)
        if sum(part.num_rows for part in self._waiting) >= _GROUP_ROWS:
            self._flush()

    def _typed(self, batch: Batch) -> Any:
        """Give rows of text formats their types, which later batches must keep."""
        last = batch.first + len(batch.rows) - 1
        try:
            if self._schema is None:
                columns = {name: [row.get(name) for row in batch.rows] for name in batch.columns}
                return pa.table(columns if batch.rows else {name: pa.array([], pa.string()) for name in batch.columns})
            for number, row in enumerate(batch.rows, batch.first):
                _check_columns(row.keys() - set(self._schema.names), number, self._source)
            names = self._schema.names
            untyped = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in batch.rows])
            _check_fields(untyped.schema, self._schema)
            return untyped.cast(self._schema)  # safe: refuses what would lose a digit
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise DataError(
                f"{self._source}, rows {batch.first} to {last}: values do not fit one Parquet type a column "
                f"({str(error).splitlines()[0]}): write .jsonl instead"
            ) from error

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
            self._waiting.clear()


def _check_fields(found: Any, wanted: Any) -> None:
    """Refuse objects with keys that the first rows did not have: a cast would drop them."""
    for field in found:
        if pa.types.is_struct(field.type) and pa.types.is_struct(wanted.field(field.name).type):
            extra = {part.name for part in field.type} - {part.name for part in wanted.field(field.name).type}
            if extra:
                raise TypeError(f"column {field.name} has new keys {', '.join(sorted(extra))}")


def _check_columns(unknown: set[str], number: int, source: Path) -> None:
    if unknown:
        names = ", ".join(sorted(unknown))
        raise DataError(f"{source}, row {number}: column {names} is not in the first rows: write .jsonl instead")


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
