"""The journal of a run: one line a sample, appended as it is made; what survives a kill at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evals.schema import Generation, Record, Sample
from guard.errors import ConfigError, DataError, OutputError
from guard.locked_lines import lock_alone, whole_lines, write_lines
from guard.schema import Action, Span, Verdict

__all__ = ["JOURNAL", "Journal", "read_journal"]

JOURNAL = "journal.jsonl"
"""Name of the file in the folder of a run."""

_SCHEMA = "assay.journal/2"


class Journal:
    """Append-only JSON lines behind a header that names the run.

    Parameters
    ----------
    path : pathlib.Path
        Made with its header when it is not there, else continued; a last line torn by a kill is cut off.
    identity : mapping of str to str
        What must be the same for a run to be continued: digests of models, policy, filters, suite, code, seed.

    Raises
    ------
    ConfigError
        The journal is of another run: the first differing entry is named.
    DataError
        It is no journal, or a line other than the last is damaged.
    OutputError
        It cannot be written, or another process writes it.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self._path = path
        self._records: dict[tuple[str, str], Record] = {}
        header = {"schema": _SCHEMA, "identity": dict(identity)}
        try:
            self._stream = path.open("a+b")
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._begin(header)
        except OSError as error:
            self._close()
            raise _unwritable(path, error) from error
        except BaseException:
            self._close()
            raise

    def _begin(self, header: Mapping[str, Any]) -> None:
        """Read what is whole and cut off what is not, once nobody else writes here."""
        lock_alone(self._stream, self._path, way_out="start a new run")
        whole = whole_lines(self._stream)
        if whole:
            _check_header(whole[0], header, self._path)
            self._read(whole[1:])
        self._stream.truncate(sum(len(line) for line in whole))
        if not whole:
            write_lines(self._stream, [header])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        # What could not be written is still buffered, and an error said so; closing must not say it again, as a bug.
        with contextlib.suppress(OSError):
            self._stream.close()

    def get(self, model: str, sample_id: str) -> Record | None:
        """Return the record of a sample of a model, if it was made."""
        return self._records.get((model, sample_id))

    def __len__(self) -> int:
        return len(self._records)

    def append(self, model: str, records: Iterable[Record]) -> None:
        """Write records, a line each, and make sure that they are on disk before returning.

        Raises
        ------
        OutputError
            When they cannot be written.
        """
        records = list(records)
        try:
            write_lines(self._stream, [{"model": model, **_encode(record)} for record in records])
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._records.update({(model, record.sample.id): record for record in records})

    def _read(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines, 2):
            model, record = _entry(line, self._path, number)
            self._records[model, record.sample.id] = record


def read_journal(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield what a journal holds, without taking or changing it.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    (str, Record)
        Digest of the model, and a sample's record; a line that a kill has torn ends it.

    Raises
    ------
    DataError
        It cannot be read, is of another version, or a line before the last is damaged.
    """
    try:
        with path.open("rb") as stream:
            if not _is_header(stream.readline()):
                raise DataError(f"{path} is no journal that this version reads")
            for number, line in enumerate(stream, 2):
                if line.endswith(b"\n"):
                    yield _entry(line, path, number)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _is_header(line: bytes) -> bool:
    try:
        return bool(json.loads(line)["schema"] == _SCHEMA)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _entry(line: bytes, path: Path, number: int) -> tuple[str, Record]:
    try:
        entry = json.loads(line)
        return str(entry["model"]), _decode(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} line {number} is damaged ({type(error).__name__}); start again without --resume"
        ) from error


def _check_header(line: bytes, expected: Mapping[str, Any], path: Path) -> None:
    try:
        header = json.loads(line)
        known, wanted = dict(header["identity"]), expected["identity"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no journal of a run; start the run again without --resume") from error
    if header.get("schema") != _SCHEMA:
        raise DataError(
            f"{path} has schema {header.get('schema')!r}, this version reads {_SCHEMA}; start the run again"
        )
    for key in sorted({*known, *wanted}):
        if known.get(key) != wanted.get(key):
            raise ConfigError(
                f"{path} is of another run: its {key} is {known.get(key)}, now it is {wanted.get(key)};"
                " give the same options, or start a new run without --resume"
            )


def _encode(record: Record) -> dict[str, Any]:
    encoded = dataclasses.asdict(record)
    assert isinstance(encoded, dict)
    return encoded


def _decode(entry: Mapping[str, Any]) -> Record:
    return Record(
        sample=Sample(**{**entry["sample"], "options": tuple(entry["sample"]["options"])}),
        output=entry["output"],
        arms={arm: _generation(value) for arm, value in entry["arms"].items()},
        times=entry["times"],
        likelihoods=tuple(entry["likelihoods"]),
        queries=entry.get("queries", 0),
    )


def _generation(value: Mapping[str, Any]) -> Generation:
    output = value["output_verdict"]
    return Generation(
        text=value["text"],
        action=Action(value["action"]),
        prompt_verdict=_verdict(value["prompt_verdict"]),
        output_verdict=None if output is None else _verdict(output),
        missing=value.get("missing"),
    )


def _verdict(value: Mapping[str, Any]) -> Verdict:
    return Verdict(
        action=Action(value["action"]),
        stage=value["stage"],
        scores=value["scores"],
        triggered=tuple(value["triggered"]),
        spans=tuple(Span(**span) for span in value["spans"]),
        error=value["error"],
    )


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; free space or name another folder with --out")
