"""An append-only, hash-chained record of every decision, one JSON line each."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from guard.errors import DataError, OutputError
from guard.schema import Action, Verdict

try:
    import fcntl
except ImportError:  # Windows: nothing there keeps a second process out
    fcntl = None  # type: ignore[assignment]

__all__ = ["AuditLog", "Decision", "Verification", "verify"]

_GENESIS = "0" * 64


@dataclass(frozen=True)
class Decision:
    """Everything that was decided about one request.

    Parameters
    ----------
    kind : {"generate", "check"}
    policy : str
        ``<name>@<digest>``.
    filters : tuple of str
        Names of all filters in use.
    action : Action
    verdicts : tuple of Verdict
        Of the prompt, then of each output in the order of drawing.
    prompt, output, released : str or None
        What came in, what the model wrote, and what was given back.
    generator : str or None
    seed : int or None
        Of the last drawing.
    error : str or None
        Why nothing could be given back.
    """

    kind: Literal["generate", "check"]
    policy: str
    filters: tuple[str, ...]
    action: Action
    verdicts: tuple[Verdict, ...]
    prompt: str | None = None
    output: str | None = None
    released: str | None = None
    generator: str | None = None
    seed: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Verification:
    """Whether a log is whole.

    Parameters
    ----------
    n_records : int
        Records before the first bad line.
    head : str
        Hash of the last good record, 64 hexadecimal digits; zeros for none.
    problem : str or None
        What is wrong with the first bad line; None when the log is whole.
    line : int or None
        Number of the first bad line, from 1.
    """

    n_records: int
    head: str
    problem: str | None = None
    line: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


class AuditLog:
    """Appends decisions to a file in which each record holds the hash of the one before it.

    A record is in the hands of the operating system when `append` returns. An existing log is verified and then
    continued; a last line that a crash left unfinished is cut off and the cut is itself recorded, since the text
    of that request was never given back. One process at a time may hold a log (POSIX).

    Parameters
    ----------
    path : str or Path
    keep_text : bool
        Store the texts themselves. By default their SHA-256 stands for them, which shows whether a text in dispute
        is the one that was judged, and hides it from readers who cannot guess it.
    durable : bool
        Wait until each record is on the disk, so that it survives a power cut.
    clock : callable
        Returns the time to record.

    Raises
    ------
    OutputError
        When the file cannot be written, is held by another process, or fails verification.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        keep_text: bool = False,
        durable: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = Path(path)
        self._keep_text, self._durable, self._clock = keep_text, durable, clock
        self._lock = threading.Lock()
        self._descriptor = _open(self.path)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> tuple[int, str]:
        """How many records there are, and the hash of the last: kept elsewhere, they reveal a cut-off tail."""
        with self._lock:
            return self._count, self._head

    def append(self, decision: Decision) -> None:
        """Write one record.

        Parameters
        ----------
        decision : Decision

        Raises
        ------
        OutputError
            When it cannot be written (no space, closed); the log is then as it was before.
        """
        self.extend([decision])

    def extend(self, decisions: Sequence[Decision]) -> None:
        """Write one record for each decision, all or none.

        Raises
        ------
        OutputError
            As for `append`.
        """
        self._write([_decision_record(decision, keep_text=self._keep_text) for decision in decisions])

    def close(self) -> None:
        """Let go of the file. Further appends are refused."""
        self._close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _resume(self) -> None:
        torn = _cut_torn_line(self.path, self._descriptor)
        found = verify(self.path)
        if not found.ok:
            raise OutputError(f"audit log {self.path} was tampered with, line {found.line}: {found.problem}")
        self._count, self._head = found.n_records, found.head
        if torn:
            self._write([{"kind": "recovery", "cut_bytes": len(torn), "cut_sha256": hashlib.sha256(torn).hexdigest()}])

    def _write(self, records: Sequence[Mapping[str, Any]]) -> None:
        with self._lock:
            count, head, lines = self._count, self._head, []
            for record in records:
                body = {"previous": head, "record": record, "sequence": count, "time": self._clock().isoformat()}
                head, count = _hash(body), count + 1
                lines.append(_encoded({**body, "hash": head}))
            self._write_bytes("".join(line + "\n" for line in lines).encode())
            self._count, self._head = count, head

    def _write_bytes(self, data: bytes) -> None:
        if not self._close.alive:
            raise OutputError(f"audit log {self.path} is closed")
        size = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._durable:
                os.fsync(self._descriptor)
        except OSError as error:
            self._cut_back(size)
            raise OutputError(f"audit log {self.path} cannot be written: {error.strerror}") from error

    def _cut_back(self, size: int) -> None:
        """Take back a record that was written in part."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError:
            self.close()  # the next opening cuts it off; until then nothing may follow it


def verify(path: str | Path, *, head: tuple[int, str] | None = None) -> Verification:
    """Check that no record of a log was edited, dropped, inserted or moved.

    Parameters
    ----------
    path : str or Path
    head : (int, str) or None
        An `AuditLog.head` noted earlier and kept elsewhere. Without it, two things cannot be known from the file:
        that records at its very end were dropped, and that somebody wrote the whole file anew, hashes included.

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    count, last, noted = 0, _GENESIS, None
    for number, line in enumerate(_lines(Path(path)), start=1):
        problem, hash_ = _line_problem(line, count, last)
        if problem is not None:
            return Verification(count, last, problem, number)
        count, last = count + 1, hash_
        if head is not None and count == head[0]:
            noted = last
    if head is not None and head[0] > 0 and noted != head[1]:
        if noted is None:
            problem = f"{head[0] - count} of {head[0]} records are missing at the end"
            return Verification(count, last, problem, count + 1)
        return Verification(count, last, f"record {head[0]} is not the one that was noted", head[0])
    return Verification(count, last)


def _line_problem(line: bytes, count: int, last: str) -> tuple[str | None, str]:
    """Say what is wrong with a line, and give the hash that it states."""
    if not line.endswith(b"\n"):
        return "torn: the line does not end (a crash while writing; opening the log for writing mends it)", ""
    try:
        entry = json.loads(line)
        hash_ = entry.pop("hash")
        if _encoded({**entry, "hash": hash_}).encode() + b"\n" != line or _hash(entry) != hash_:
            return "edited: its hash does not fit its content", ""
        if entry["sequence"] != count or entry["previous"] != last:
            return f"out of order: says it is number {entry['sequence']}, expected {count}", ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "no audit record", ""
    return None, hash_


def _decision_record(decision: Decision, *, keep_text: bool) -> dict[str, Any]:
    record = {**asdict(decision), "action": decision.action.name}
    record["verdicts"] = [_verdict_record(verdict, keep_text=keep_text) for verdict in decision.verdicts]
    if not keep_text:
        record["error"] = _without_details(decision.error)
        for key in ("prompt", "output", "released"):
            record[key] = None if record[key] is None else _text_digest(record[key])
    return record


def _verdict_record(verdict: Verdict, *, keep_text: bool) -> dict[str, Any]:
    error = verdict.error if keep_text else _without_details(verdict.error)
    return {**asdict(verdict), "action": verdict.action.name, "error": error}


def _without_details(error: str | None) -> str | None:
    """Drop what follows the first colon of each error: an exception's own words may quote the text."""
    return None if error is None else "; ".join(part.split(": ")[0] for part in error.split("; "))


def _text_digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _encoded(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded(body).encode()).hexdigest()


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"audit log {path} cannot be opened: {reason}") from error
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OutputError(f"audit log {path} is in use: one log, one writer") from error
    return descriptor


def _cut_torn_line(path: Path, descriptor: int) -> bytes:
    """Cut off what follows the last complete line, and return it."""
    *_, last = (b"", *_lines(path))
    if not last or last.endswith(b"\n"):
        return b""
    os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(last))
    return last


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"audit log {path} cannot be read: {error.strerror}") from error
