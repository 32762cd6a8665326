"""A data set of the user's own: rows of a CSV, JSON Lines or Parquet file, or of a data set on the hub."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from evals.rows import read_batches
from guard.errors import DataError

__all__ = ["HUB", "MOST_GROUPS", "Columns", "OwnRow", "read_own"]

HUB = "hub:"
"""How the name of a data set on the hub begins."""

MOST_GROUPS = 50
"""More slices than that are no slices: a column of ids was named."""

_BATCH_ROWS = 1024
_YES = frozenset({"1", "1.0", "true", "yes", "y", "harmful", "unsafe"})
_NO = frozenset({"0", "0.0", "false", "no", "n", "harmless", "benign", "safe"})


@dataclass(frozen=True)
class Columns:
    """Where things are; None for what the data set does not have.

    Parameters
    ----------
    prompt : str
    reference : str or None
        What a right answer is or holds.
    group : str or None
        Slice of the data.
    harmful : str or None
        Whether the prompt should be turned down.
    system : str or None
        Instructions that come before the prompt.
    """

    prompt: str = "prompt"
    reference: str | None = None
    group: str | None = None
    harmful: str | None = None
    system: str | None = None

    def named(self) -> dict[str, str]:
        """Return the columns that are named, by their role."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: column for role, column in named.items() if column}


@dataclass(frozen=True)
class OwnRow:
    """One row of the data set.

    Parameters
    ----------
    id : str
        ``row-<number>``, from 1 and counting every row.
    prompt_id : str
        The statistical unit: the id of the first row with the same instructions and prompt.
    text : str
        What is sent: the instructions, a blank line and the prompt, or the prompt alone.
    reference : str or None
        None where the cell is empty: nothing is right or wrong there.
    group : str
    harmful : bool or None
        None where the data set does not say.
    """

    id: str
    prompt_id: str
    text: str
    reference: str | None = None
    group: str = "all rows"
    harmful: bool | None = None


def read_own(source: str, columns: Columns) -> list[OwnRow]:
    """Read a data set.

    Parameters
    ----------
    source : str
        A file ending in ``.csv``, ``.jsonl`` (both perhaps with ``.gz``) or ``.parquet``, or
        ``hub:ORGANISATION/NAME[@REVISION][:SPLIT]``.
    columns : Columns

    Returns
    -------
    list of OwnRow
        In the order of the rows.

    Raises
    ------
    DataError
        No such file, data set or column, no rows, or a row with something wrong in it: the message has its number.
    """
    files = _hub_files(source) if source.startswith(HUB) else [Path(source)]
    named = columns.named()
    if len(set(named.values())) < len(named):
        raise DataError(
            f"{source}: two roles have the same column ({', '.join(sorted(named.values()))}): name each once"
        )
    first: dict[str, str] = {}
    rows: list[OwnRow] = []
    for file in files:
        for where, cells in _cells(file, named):
            row = _row(f"row-{len(rows) + 1:06d}", cells, named, where)
            rows.append(_sharing(row, first.setdefault(row.text, row.id)))
    if not rows:
        raise DataError(f"{source} has no rows: give at least one")
    _require_few_groups(rows, source, named.get("group"))
    return rows


def _hub_files(source: str) -> list[Path]:
    from evals.hub_data import hub_table

    return hub_table(source.removeprefix(HUB))


def _cells(file: Path, named: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield where each row stands, for messages, and the row."""
    for batch in read_batches(file, batch_rows=_BATCH_ROWS):
        if batch.first == 1:
            for role, column in named.items():
                if column not in batch.columns:
                    known = ", ".join(batch.columns[:20]) or "none"
                    raise DataError(f"{file} has no column {column!r} for the {role}; it has {known}: name another")
        for number, row in enumerate(batch.rows, batch.first):
            yield f"{file}, row {number}", row


def _row(row_id: str, cells: Mapping[str, object], named: Mapping[str, str], where: str) -> OwnRow:
    prompt = _text(cells, named["prompt"], where)
    if prompt is None:
        raise DataError(f"{where}: {named['prompt']!r} is empty: fill it in, or remove the row")
    system = _text(cells, named["system"], where) if "system" in named else None
    group = _plain(cells, named["group"], where) if "group" in named else "all rows"
    return OwnRow(
        row_id,
        row_id,
        prompt if system is None else f"{system}\n\n{prompt}",
        _plain(cells, named["reference"], where) if "reference" in named else None,
        group or "none",
        _label(cells, named["harmful"], where) if "harmful" in named else None,
    )


def _sharing(row: OwnRow, prompt_id: str) -> OwnRow:
    return OwnRow(row.id, prompt_id, row.text, row.reference, row.group, row.harmful)


def _text(cells: Mapping[str, object], column: str, where: str) -> str | None:
    value = cells.get(column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {column!r} is a {type(value).__name__}, not text")
    return value if value and value.strip() else None


def _plain(cells: Mapping[str, object], column: str, where: str) -> str | None:
    """Return a cell as text, a number or truth value as it is written; None where it is empty."""
    value = cells.get(column)
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:g}" if value.is_integer() else repr(value)
    raise DataError(f"{where}: {column!r} is a {type(value).__name__}: give text or a number")


def _label(cells: Mapping[str, object], column: str, where: str) -> bool:
    said = (_plain(cells, column, where) or "").strip().casefold()
    if said not in _YES | _NO:
        raise DataError(
            f"{where}: {column!r} is {said[:40]!r}, which says neither yes nor no: give 1 or 0, true or false,"
            " harmful or harmless"
        )
    return said in _YES


def _require_few_groups(rows: Sequence[OwnRow], source: str, column: str | None) -> None:
    groups = {row.group for row in rows}
    if column is not None and len(groups) > MOST_GROUPS:
        raise DataError(
            f"{source}: column {column!r} has {len(groups)} values, and at most {MOST_GROUPS} slices can be reported:"
            " group by another column"
        )
