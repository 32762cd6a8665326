"""The journal of an attack: a header that names the run, then one line an attempt, on disk before the next begins."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from guard.attacks.schema import Attempt, Example
from guard.errors import ConfigError, DataError, OutputError
from guard.locked_lines import lock_alone, whole_lines, write_lines

__all__ = ["AttackJournal"]

_SCHEMA = "assay.attack/1"


class AttackJournal:
    """Append-only JSON lines; what a kill has torn of the last one is cut off.

    Parameters
    ----------
    path : pathlib.Path
        Made when it is not there, else continued.
    identity : mapping of str to str
        What must be the same for a run to go on: the attack, the victim, the seed, the budget.

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
        self._attempts: dict[str, Attempt] = {}
        try:
            self._stream = path.open("a+b")
            lock_alone(self._stream, path, way_out="name another file")
            self._begin({"schema": _SCHEMA, "identity": dict(identity)})
        except OSError as error:
            self._close()
            raise self._unwritable(error) from error
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def get(self, example: Example) -> Attempt | None:
        """Return the attempt at an example, if it was made.

        Raises
        ------
        ConfigError
            It was made at another text or label under the same id.
        """
        attempt = self._attempts.get(example.id)
        if attempt is not None and (attempt.original, attempt.label) != (example.text, example.label):
            raise ConfigError(
                f"{self._path}: example {example.id} had another text or label; give the same data, or another journal"
            )
        return attempt

    def append(self, attempt: Attempt) -> None:
        """Write an attempt, and make sure that it is on disk.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        try:
            write_lines(self._stream, [dataclasses.asdict(attempt)])
        except OSError as error:
            raise self._unwritable(error) from error
        self._attempts[attempt.example_id] = attempt

    def _begin(self, header: Mapping[str, Any]) -> None:
        whole = whole_lines(self._stream)
        if whole:
            self._check(whole[0], header)
        for number, line in enumerate(whole[1:], 2):
            attempt = self._attempt(line, number)
            self._attempts[attempt.example_id] = attempt
        self._stream.truncate(sum(len(line) for line in whole))
        if not whole:
            write_lines(self._stream, [header])

    def _check(self, line: bytes, wanted: Mapping[str, Any]) -> None:
        try:
            header = json.loads(line)
            known, expected = {"schema": header["schema"], **header["identity"]}, wanted["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._path} is no journal of an attack; name another file") from error
        for key, value in {"schema": _SCHEMA, **expected}.items():
            if known.get(key) != value:
                raise ConfigError(
                    f"{self._path} is of another attack: its {key} is {known.get(key)}, now it is {value};"
                    " give the same options, or another journal"
                )

    def _attempt(self, line: bytes, number: int) -> Attempt:
        try:
            return Attempt(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DataError(f"{self._path} line {number} is damaged; name another file to start again") from error

    def _close(self) -> None:
        if hasattr(self, "_stream"):
            with contextlib.suppress(OSError):  # what could not be written was said when it was appended
                self._stream.close()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}; free space or name another file")
