"""The journal of attacks on generators: one line an attempt, appended as it is made; what survives a kill."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from guard.attacks.prompts.schema import Answer, Attempt, Draft
from guard.errors import ConfigError, DataError, OutputError
from guard.locked_lines import lock_alone, whole_lines, write_lines
from guard.schema import Action

__all__ = ["AttemptJournal"]

_SCHEMA = "assay.attempts/1"


class AttemptJournal:
    """Append-only JSON lines behind a header that names the run.

    Parameters
    ----------
    path : pathlib.Path
        Made with its header when it is not there, else continued; a last line torn by a kill is cut off.
    identity : mapping of str to str
        What must be the same for a run to be continued: attacks, target, judge, goals, budget, seed.

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
        self._attempts: dict[tuple[str, str, int], Attempt] = {}
        try:
            self._stream = path.open("a+b")
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._begin({"schema": _SCHEMA, "identity": dict(identity)})
        except OSError as error:
            self._close()
            raise _unwritable(path, error) from error
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __len__(self) -> int:
        return len(self._attempts)

    def get(self, part: str, goal: str, number: int) -> Attempt | None:
        """Return an attempt of a part of the run, if it was made."""
        return self._attempts.get((part, goal, number))

    def append(self, part: str, attempts: Iterable[Attempt]) -> None:
        """Write attempts, a line each, and make sure that they are on disk before returning.

        Raises
        ------
        OutputError
            When they cannot be written.
        """
        attempts = list(attempts)
        try:
            write_lines(self._stream, [{"part": part, **_plain(attempt)} for attempt in attempts])
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._attempts.update({(part, one.goal, one.number): one for one in attempts})

    def _begin(self, header: Mapping[str, Any]) -> None:
        """Read what is whole and cut off what is not, once nobody else writes here."""
        lock_alone(self._stream, self._path, way_out="start a new run")
        whole = whole_lines(self._stream)
        if whole:
            _check_header(whole[0], header, self._path)
        for number, line in enumerate(whole[1:], 2):
            part, attempt = _read(line, self._path, number)
            self._attempts[part, attempt.goal, attempt.number] = attempt
        self._stream.truncate(sum(len(line) for line in whole))
        if not whole:
            write_lines(self._stream, [header])

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written was told when it was
            self._stream.close()


def _plain(attempt: Attempt) -> dict[str, Any]:
    plain = dataclasses.asdict(attempt)
    plain["answer"]["action"] = attempt.answer.action.name.lower()
    return plain


def _read(line: bytes, path: Path, number: int) -> tuple[str, Attempt]:
    try:
        entry = json.loads(line)
        answer = entry["answer"]
        return str(entry["part"]), Attempt(
            goal=entry["goal"],
            number=entry["number"],
            draft=Draft(**entry["draft"]),
            seed=entry["seed"],
            answer=Answer(answer["text"], Action[answer["action"].upper()], answer["error"]),
            score=entry["score"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} line {number} is damaged ({type(error).__name__}); start again without --resume"
        ) from error


def _check_header(line: bytes, expected: Mapping[str, Any], path: Path) -> None:
    try:
        header = json.loads(line)
        known, wanted = dict(header["identity"]), expected["identity"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no journal of an attack; start again without --resume") from error
    if header.get("schema") != _SCHEMA:
        raise DataError(f"{path} has schema {header.get('schema')!r}, this version reads {_SCHEMA}; start again")
    for key in sorted({*known, *wanted}):
        if known.get(key) != wanted.get(key):
            raise ConfigError(
                f"{path} is of another run: its {key} is {known.get(key)}, now it is {wanted.get(key)};"
                " give the same options, or start again without --resume"
            )


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; free space or name another folder with --out")
