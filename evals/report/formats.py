"""Writing the files that CI systems and people ask for beside the report, each of them whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from evals.formats import Formats, Inputs, format_options, own_file
from evals.report.junit import to_junit
from evals.report.model_card import to_model_card
from evals.report.samples import write_samples
from evals.report.sarif import to_sarif
from evals.report.summary import to_summary
from evals.schema import Report
from guard.errors import DataError, OutputError

__all__ = ["Formats", "Inputs", "format_options", "own_file", "write_formats"]

_JOURNAL = "journal.jsonl"


def write_formats(report: Report, targets: Formats, inputs: Inputs | None = None) -> list[Path]:
    """Write the formats that are wanted, each to a temporary name first and then moved into place.

    Parameters
    ----------
    report : Report
    targets : Formats
    inputs : Inputs, optional

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ConfigError, DataError
        A target that cannot be, or samples without a journal to take them from.
    OutputError
        No permission or no space. Formats written before stay.
    """
    targets.require_usable()
    given = inputs or Inputs()
    for name, path in targets.wanted().items():
        _write_whole(path, lambda part, name=name: _WRITERS[name](report, given, part))  # type: ignore[misc]
    return list(targets.wanted().values())


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    # The end of the name stays, since it says the format.
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}; the run itself is kept: name another file and "
            "write it from the run with assay report"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _junit(report: Report, given: Inputs, path: Path) -> None:
    _text(path, to_junit(report))


def _sarif(report: Report, given: Inputs, path: Path) -> None:
    _text(path, to_sarif(report, gate_file=given.gate, policy_file=given.policy))


def _summary(report: Report, given: Inputs, path: Path) -> None:
    _text(path, to_summary(report, baseline=given.baseline, newly=given.newly, key=given.key))


def _model_card(report: Report, given: Inputs, path: Path) -> None:
    _text(path, to_model_card(report))


def _samples(report: Report, given: Inputs, path: Path) -> None:
    journal = None if given.run is None else given.run / _JOURNAL
    if journal is None or not journal.exists():
        raise DataError(f"no {_JOURNAL} beside the report, and the samples are in it; give the folder of a run")
    write_samples(journal, path, models={model.digest: model.name for model in report.models})


_WRITERS: Mapping[str, Callable[[Report, Inputs, Path], None]] = {
    "junit": _junit,
    "sarif": _sarif,
    "summary": _summary,
    "samples": _samples,
    "model_card": _model_card,
}
