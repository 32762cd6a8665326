"""JSON documents and JSON Lines of unknown origin, read within bounds: what is broken is an error or a count."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from guard.errors import DataError

__all__ = [
    "MOST_DOCUMENT",
    "MOST_LINE",
    "digest",
    "line_at",
    "lines",
    "mapping",
    "number",
    "parse",
    "read_document",
    "text_of",
]

MOST_DOCUMENT = 1 << 30
"""Bytes of one JSON document; a larger one is refused before it is read."""

MOST_LINE = 1 << 26
"""Bytes of one line of a JSON Lines file."""

_DEEPEST = 8
"""Levels of nested messages in which text is looked for; deeper nesting is no conversation."""

_SHOWN = 4000
"""Characters of a text that a report shows."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises
    ------
    DataError
        It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error


def parse(data: bytes, where: str) -> object:
    """Return the JSON value of `data`.

    Python's reader also takes ``NaN`` and ``Infinity``, which Inspect writes for what could not be scored.

    Raises
    ------
    DataError
        Not JSON, cut short, or nested too deep. The message starts with `where`.
    """
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); the log may be cut"
            " short"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not text in UTF-8, or nested too deep, or a number too long to be a log") from error


def read_document(path: Path) -> Mapping[str, object]:
    """Return the JSON object that a file holds.

    Raises
    ------
    DataError
        It cannot be read, is larger than :data:`MOST_DOCUMENT`, or holds something else.
    """
    try:
        size = path.stat().st_size
        if size > MOST_DOCUMENT:
            raise DataError(f"{path} has {size:,} bytes, and a JSON log may have {MOST_DOCUMENT:,}; split the log")
        found = parse(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: the JSON is no object, so it is no log")
    return found


def lines(path: Path) -> Iterator[tuple[int, Mapping[str, object] | None]]:
    """Yield the byte offset and the JSON object of each line that is not blank.

    Yields
    ------
    (int, mapping or None)
        None where the line is broken or no object: a run that was killed leaves such a line, and its caller counts it.

    Raises
    ------
    DataError
        The file cannot be read, or a line is longer than :data:`MOST_LINE`.
    """
    try:
        with path.open("rb") as stream:
            while True:
                offset = stream.tell()
                line = _bounded_line(stream, path)
                if not line:
                    return
                if line.strip():
                    yield offset, _object(line)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error


def line_at(stream: BinaryIO, offset: int) -> Mapping[str, object]:
    """Return the JSON object of the line at a byte offset; empty where it is no longer there."""
    stream.seek(offset)
    return _object(stream.readline(MOST_LINE)) or {}


def _bounded_line(stream: BinaryIO, path: Path) -> bytes:
    line = stream.readline(MOST_LINE + 1)
    if len(line) > MOST_LINE:
        raise DataError(f"{path} has a line of more than {MOST_LINE:,} bytes, which is no sample of a log")
    return line


def _object(line: bytes) -> Mapping[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """Return a JSON number or truth value as a float; None where it is neither, not finite, or too large."""
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def text_of(value: object, *, most: int = _SHOWN, deepest: int = _DEEPEST) -> str:
    """Return the text of a prompt or an output in any of the forms that logs have.

    Parameters
    ----------
    value : JSON value
        A text, a message (``text`` or ``content``), a conversation (``turns``), or a list of these.
    most : int
        Characters that are returned; by default what a report shows.
    deepest : int
        Levels of nesting that are looked into.
    """
    if isinstance(value, str):
        return value[:most]
    if deepest == 0:
        return ""
    if isinstance(value, list):
        parts = (text_of(part, most=most, deepest=deepest - 1) for part in value[:most])
        return "\n".join(part for part in parts if part)[:most]
    if isinstance(value, dict):
        inner = next((value[key] for key in ("text", "content", "turns") if value.get(key)), None)
        return text_of(inner, most=most, deepest=deepest - 1)
    return ""
