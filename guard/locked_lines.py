"""Lines that one process alone appends to a file, on disk before it goes on; a line that a kill tore does not count."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from guard.errors import OutputError

__all__ = ["lock_alone", "whole_lines", "write_lines"]


def lock_alone(stream: BinaryIO, path: Path, *, way_out: str) -> None:
    """Make sure that this process alone writes; the lock dies with the process.

    Parameters
    ----------
    stream : BinaryIO
    path : pathlib.Path
    way_out : str
        What the user may do besides waiting.

    Raises
    ------
    OutputError
        Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # a system without it: two processes on one file are then not told apart
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"{path} is being written by another process; wait for it, or {way_out}") from error


def whole_lines(stream: BinaryIO) -> list[bytes]:
    """Return all lines from the start but one without an end: a kill can only tear the last."""
    stream.seek(0)
    return [line for line in stream.read().splitlines(keepends=True) if line.endswith(b"\n")]


def write_lines(stream: BinaryIO, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines, and return once they are on disk."""
    stream.write(b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines))
    stream.flush()
    os.fsync(stream.fileno())
