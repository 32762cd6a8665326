"""The folder of an import: the report in all its forms, and the values behind it for a comparison."""

from __future__ import annotations

from pathlib import Path

from evals import report as reports
from evals.imports.imported import ImportedLog
from evals.schema import Report
from evals.values import FILE, write_values
from guard.errors import ConfigError

__all__ = ["check_free", "write_import"]

_JOURNAL = "journal.jsonl"


def check_free(folder: Path) -> None:
    """Refuse the folder of an audit, whose report would be lost.

    Raises
    ------
    ConfigError
        It holds a journal, or is a file.
    """
    if (folder / _JOURNAL).exists():
        raise ConfigError(f"{folder} holds the run of an audit, and its report would be lost; name another with --out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder with --out")


def write_import(log: ImportedLog, report: Report, folder: Path) -> list[Path]:
    """Write the report, and ``values.jsonl`` beside it; returns the files.

    Raises
    ------
    OutputError
        No permission or no space.
    """
    written = reports.write(report, folder)
    write_values(folder / FILE, log.identity(), [log.values()])
    return [*written, folder / FILE]
