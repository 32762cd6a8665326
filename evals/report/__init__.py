"""The report of a run: written as JSON, Markdown and HTML, and read back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from evals.journal import JOURNAL, read_journal
from evals.report.document import from_json, to_json, without_times
from evals.report.html import to_html
from evals.report.markdown import to_markdown
from evals.report.terminal import render
from evals.schema import Record, Report
from evals.values import FILE, SampleValue, read_values, sample_values
from guard.errors import DataError, OutputError

__all__ = ["from_json", "read", "render", "to_html", "to_json", "to_markdown", "without_times", "write"]

_DOCUMENT = "report.json"


def write(report: Report, folder: Path) -> list[Path]:
    """Write ``report.json``, ``report.md`` and ``report.html`` into `folder`, which is made if need be.

    All three are written under other names first and then moved into place, so that no reader meets half a file
    and a full disk leaves the files of an earlier run as they were.

    Returns
    -------
    list of Path
        The three files.

    Raises
    ------
    OutputError
        No permission, no space, or a value in the report that JSON has no word for.
    """
    page = to_html(report, records=_records(report, folder), values=_values(folder))
    texts = {_DOCUMENT: to_json(report), "report.md": to_markdown(report), "report.html": page}
    moves = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for (_, part), text in zip(moves.items(), texts.values(), strict=True):
            part.write_text(text, encoding="utf-8", newline="\n")
        for target, part in moves.items():
            part.replace(target)
    except OSError as error:
        _remove(moves.values())
        raise OutputError(
            f"the report could not be written to {folder}: {error.strerror or error}; free some space and "
            "start again with --resume, or give another folder with --out"
        ) from error
    return list(moves)


def _records(report: Report, folder: Path) -> list[tuple[str, Record]]:
    """Return the records of the run by model; none without a journal that can be read: the page then has examples."""
    names = {model.digest: model.name for model in report.models}
    try:
        found = list(read_journal(folder / JOURNAL)) if (folder / JOURNAL).exists() else []
    except DataError:
        return []
    return [(names[digest], record) for digest, record in found if digest in names]


def _values(folder: Path) -> list[SampleValue]:
    """Return the values of the samples, by which the page sorts them; none where they cannot be read."""
    try:
        return list(sample_values(read_values(folder).models)) if (folder / FILE).exists() else []
    except DataError:
        return []


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def read(run: Path) -> Report:
    """Return the report of a run.

    Parameters
    ----------
    run : Path
        The run's folder, or its ``report.json``.

    Raises
    ------
    DataError
        There is no such file, it cannot be read, or it is not a report of this version.
    """
    path = run / _DOCUMENT if run.is_dir() else run
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"no report at {path}; give the folder of a finished run, or its {_DOCUMENT}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8; give the {_DOCUMENT} of a run") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return from_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
