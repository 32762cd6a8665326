"""The samples of a run as a table, one row a sample and arm: CSV or Parquet, from the journal."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evals.formats import sample_format
from guard.errors import DataError
from guard.schema import Action

__all__ = ["COLUMNS", "write_samples"]

COLUMNS = (
    *("model", "digest", "task", "sample_id", "prompt_id", "group", "arm", "seed", "harmful"),
    *("prompt", "output", "released", "action", "prompt_action", "output_action", "triggered", "error"),
    *("target", "options", "likelihoods"),
)
"""The columns that every table has; behind them come ``input.CATEGORY`` and ``output.CATEGORY``, the scores of the
filters on the prompt and on the output, empty where the filter did not see the text. ``options`` and ``likelihoods``
are JSON lists, empty where the sample has no options."""

_NUMBERS: Mapping[str, str] = {"seed": "int64", "harmful": "bool_"}
_BATCH_ROWS = 8_192
_JOURNAL = "assay.journal/"

_Row = dict[str, Any]


def write_samples(journal: Path, path: Path, *, models: Mapping[str, str]) -> int:
    """Write the samples of a journal to a new file.

    The journal is read twice, first for the categories, so that memory does not grow with the run. Texts are written
    as they are: a spreadsheet may take one that starts with ``=`` for a formula, and hidden characters stay hidden.
    A lone surrogate, which UTF-8 cannot hold, is written as its escape.

    Parameters
    ----------
    journal : Path
    path : Path
        Overwritten; its end says the format.
    models : mapping of str to str
        From the digest of a model to its name.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    DataError
        The journal cannot be read, or holds a damaged line before its last.
    """
    kind = sample_format(path)
    columns = (*COLUMNS, *_score_columns(journal))
    rows = (row for entry in _entries(journal) for row in _rows(entry, models))
    return (_write_csv if kind == "csv" else _write_parquet)(path, columns, rows)


def _score_columns(journal: Path) -> list[str]:
    seen = {key for entry in _entries(journal) for made in entry["arms"].values() for key in _scores(made)}
    return sorted(seen, key=lambda key: (key.partition(".")[0] != "input", key))


def _entries(journal: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a journal that are whole; a kill can only tear the last."""
    try:
        with journal.open("rb") as stream:
            _check_header(stream.readline(), journal)
            for number, line in enumerate(stream, 2):
                if line.endswith(b"\n"):
                    yield _entry(line, journal, number)
    except OSError as error:
        raise DataError(f"{journal} cannot be read ({error.strerror or error}); give the folder of a run") from error


def _check_header(line: bytes, journal: Path) -> None:
    try:
        known = str(json.loads(line)["schema"]).startswith(_JOURNAL)
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise DataError(f"{journal} is no journal of a run; give the folder of a run")


def _entry(line: bytes, journal: Path, number: int) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
        for made in entry["arms"].values():
            _scores(made)
        str(entry["model"]), str(entry["sample"]["id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{journal} line {number} is damaged ({type(error).__name__}); run the audit again") from error
    return entry  # type: ignore[no-any-return]


def _scores(made: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of both verdicts under the names of their columns."""
    verdicts = {"input": made["prompt_verdict"], "output": made["output_verdict"]}
    return {
        f"{stage}.{category}": float(score)
        for stage, verdict in verdicts.items()
        if verdict is not None
        for category, score in verdict["scores"].items()
    }


def _rows(entry: Mapping[str, Any], models: Mapping[str, str]) -> Iterator[_Row]:
    sample, digest = entry["sample"], entry["model"]
    shared = {key: sample.get(key) for key in ("task", "prompt_id", "group", "seed", "harmful", "prompt")}
    shared |= {"target": sample.get("target") or None}
    shared |= {"options": _listed(sample.get("options")), "likelihoods": _listed(entry.get("likelihoods"))}
    shared |= {"model": models.get(digest, digest), "digest": digest, "sample_id": sample["id"]}
    for arm, made in entry["arms"].items():
        before, after = made["prompt_verdict"], made["output_verdict"]
        verdicts = [verdict for verdict in (before, after) if verdict is not None]
        fired = [category for verdict in verdicts for category in verdict["triggered"]]
        errors = [verdict["error"] for verdict in verdicts if verdict["error"]]
        yield {
            **shared,
            "arm": arm,
            "output": entry["output"],
            "released": made["text"],
            "action": _word(made["action"]),
            "prompt_action": _word(before["action"]),
            "output_action": None if after is None else _word(after["action"]),
            "triggered": "; ".join(dict.fromkeys(fired)) or None,
            "error": "; ".join(dict.fromkeys(errors)) or None,
            **_scores(made),
        }


def _listed(values: object) -> str | None:
    return json.dumps(values, ensure_ascii=False) if values else None


def _word(action: int) -> str:
    return Action(action).name.lower()


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> int:
    written = 0
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for written, row in enumerate(rows, 1):  # noqa: B007
            writer.writerow([_cell(row.get(column)) for column in columns])
    return written


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: getattr(pa, _NUMBERS.get(name, "string"))() for name in COLUMNS}
    schema = pa.schema([(name, types.get(name, pa.float32())) for name in columns])
    source, written = iter(rows), 0
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(source, _BATCH_ROWS)):
            table = {name: [_encodable(row.get(name)) for row in batch] for name in columns}
            writer.write_table(pa.table(table, schema=schema))
            written += len(batch)
    return written


def _encodable(value: object) -> object:
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
