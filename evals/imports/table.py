"""What a log is, told by what it holds, and the reader that reads it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from evals.imports.garak import read_garak
from evals.imports.imported import ImportedLog
from evals.imports.inspect_log import read_inspect_archive, read_inspect_document
from evals.imports.lm_eval import read_lm_eval, read_lm_eval_samples
from evals.imports.reading import lines, read_document
from guard.errors import DataError

__all__ = ["read_log"]

_READ = "Inspect (.eval, .json), lm-evaluation-harness (results_*.json, samples_*.jsonl) and garak (.report.jsonl)"
_PATTERNS = ("*.eval", "results_*.json", "*.report.jsonl", "samples_*.jsonl")
_FIRST_LINES = 20
_KINDS = (
    (frozenset({"entry_type"}), "garak"),
    (frozenset({"attempt_id", "detector"}), "hits"),
    (frozenset({"doc_id"}), "samples"),
)


def read_log(path: Path) -> ImportedLog:
    """Read a log of Inspect, lm-evaluation-harness or garak.

    Parameters
    ----------
    path : pathlib.Path
        The file, whatever it is called, or a folder that holds one log.

    Raises
    ------
    DataError
        No such file, none of these tools wrote it, or it is damaged.
    """
    if path.is_dir():
        return read_log(_only_log(path))
    if _is_archive(path):
        return read_inspect_archive(path)
    kind = _kind_of_lines(path)
    if kind == "hits":
        raise DataError(f"{path} is a hitlog of garak: it holds only the hits; give the .report.jsonl beside it")
    if kind == "garak":
        return read_garak(path)
    return read_lm_eval_samples(path) if kind == "samples" else _read_document(path)


def _only_log(folder: Path) -> Path:
    """Return the log of a folder; the samples of lm-eval belong to its results."""
    for pattern in _PATTERNS:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise DataError(
                f"{folder} holds {len(found)} logs, {found[0].name} and {found[1].name} among them; name one"
            )
        if found:
            return found[0]
    raise DataError(f"{folder} holds no log; Assay reads those of {_READ}")


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except FileNotFoundError as error:
        raise DataError(f"no log at {path}; Assay reads those of {_READ}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error


def _kind_of_lines(path: Path) -> str:
    """Return what the first lines that are objects show the file to be; nothing where it is one JSON document."""
    try:
        for _, entry in itertools.islice(lines(path), _FIRST_LINES):
            kind = next((kind for keys, kind in _KINDS if entry is not None and keys <= entry.keys()), "")
            if kind:
                return kind
    except DataError:
        return ""  # one endless line: a document, which has a bound of its own
    return ""


def _read_document(path: Path) -> ImportedLog:
    document: Mapping[str, object] = read_document(path)
    if isinstance(document.get("eval"), dict) and "status" in document:
        return read_inspect_document(path)
    if isinstance(document.get("results"), dict):
        return read_lm_eval(path)
    raise DataError(f"{path} is no log that Assay reads: {_READ}")
