"""An append-only, hash-chained record of every decision, one JSON line each."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from guard.errors import DataError, OutputError
from guard.schema import Action, Span, Verdict

try:
    import fcntl
except ImportError:  # Windows: nothing there keeps a second process out
    fcntl = None  # type: ignore[assignment]

__all__ = ["AuditLog", "Decision", "Verification", "verify"]

_GENESIS = "0" * 64
_HASH_KEY = b'{"hash":"'  # how the encoding of every record begins
_WITHHELD = "an error whose words are not kept"


@dataclass(frozen=True)
class Decision:
    """Everything that was decided about one request.

    Parameters
    ----------
    kind : {"generate", "check", "stream"}
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
    error_brief : str or None
        Written in place of `error` where texts are not kept: the words of an exception may quote a text.
    verdict_briefs : tuple of (str or None)
        The same for the error of each verdict, in their order.
    """

    kind: Literal["generate", "check", "stream"]
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
    error_brief: str | None = None
    verdict_briefs: tuple[str | None, ...] = ()


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
    continued; a last line that is the beginning of a record, as a crash leaves it, is cut off and the cut is itself
    recorded, since the text of that request was never given back. Any other file is refused and left as it is.
    One process at a time may hold a log (POSIX); a child made by fork cannot write to the log of its parent.

    Parameters
    ----------
    path : str or Path
    keep_text : bool
        Store the texts themselves. By default their SHA-256 stands for them, which shows whether a text in dispute
        is the one that was judged, and hides it from readers who cannot guess it; of an error, only the name of the
        filter and the kind are stored.
    durable : bool
        Wait until each record is on the disk, so that it survives a power cut.
    clock : callable
        Returns the time to record.

    Raises
    ------
    OutputError
        When the file cannot be written, is held by another process, fails verification, or is no audit log.
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
        self._lock = threading.RLock()
        self._process = os.getpid()
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
            return self._end

    def append(self, decision: Decision) -> None:
        """Write one record.

        Parameters
        ----------
        decision : Decision

        Raises
        ------
        OutputError
            When it cannot be written (no space, closed, or this is a child that inherited the log by fork); the log
            is then as it was before.
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
        if os.getpid() != self._process:
            self._close()  # a thread of the parent may hold the lock, and nobody here could ever release it
            return
        with self._lock:
            self._close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _resume(self) -> None:
        found, _, tail = _scan(self.path)
        if not found.ok:
            raise OutputError(f"audit log {self.path} was tampered with, line {found.line}: {found.problem}")
        self._end = found.n_records, found.head
        if tail and not _begins_record(tail, found.head):
            place = f"line {found.n_records + 1}"
            raise OutputError(f"audit log {self.path} ends in what is no audit record, {place}: is it another file?")
        if tail:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - len(tail))
            self._write([{"kind": "recovery", "cut_bytes": len(tail), "cut_sha256": hashlib.sha256(tail).hexdigest()}])

    def _write(self, records: Sequence[Mapping[str, Any]]) -> None:
        if os.getpid() != self._process:  # before the lock: a thread of the parent may have held it at the fork
            raise OutputError(f"audit log {self.path} belongs to the process that opened it: open another here")
        with self._lock:
            (count, head), lines = self._end, []
            for record in records:
                body = {"previous": head, "record": record, "sequence": count, "time": self._clock().isoformat()}
                head, count = _hash(body), count + 1
                lines.append(_encoded({**body, "hash": head}))
            self._write_bytes("".join(line + "\n" for line in lines).encode(), (count, head))

    def _write_bytes(self, data: bytes, end: tuple[int, str]) -> None:
        """Write all of `data` and remember the new end of the chain, or do neither."""
        if not self._close.alive:
            raise OutputError(f"audit log {self.path} is closed")
        size, before = os.fstat(self._descriptor).st_size, self._end
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._durable:
                os.fsync(self._descriptor)
            self._end = end
        except BaseException as error:  # an interrupt too must not leave a record that the chain does not know
            self._end = before
            self._cut_back(size)
            if isinstance(error, OSError):
                raise OutputError(f"audit log {self.path} cannot be written: {error.strerror}") from error
            raise

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
        An `AuditLog.head` noted earlier and kept elsewhere. The hashes have no key, so that whoever can write the
        file can compute them. Without a noted head, three things cannot be known from the file: that records at its
        very end were dropped, that well-formed ones were added there, and that somebody wrote the whole file anew.
        With one, the records up to it are certain, and what follows it is not.

    Returns
    -------
    Verification

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    found, noted, tail = _scan(Path(path), noted_at=0 if head is None else head[0])
    if not found.ok:
        return found
    if tail:
        problem = "torn: the line does not end (a crash while writing; opening the log for writing mends it)"
        return replace(found, problem=problem, line=found.n_records + 1)
    if head is None or head[0] <= 0 or noted == head[1]:
        return found
    if noted is None:
        problem = f"{head[0] - found.n_records} of {head[0]} records are missing at the end"
        return replace(found, problem=problem, line=found.n_records + 1)
    return replace(found, problem=f"record {head[0]} is not the one that was noted", line=head[0])


def _scan(path: Path, *, noted_at: int = 0) -> tuple[Verification, str | None, bytes]:
    """Check the complete lines; give the hash of record number `noted_at` too, and what follows the last line."""
    count, last, noted = 0, _GENESIS, None
    for number, line in enumerate(_lines(path), start=1):
        if not line.endswith(b"\n"):
            return Verification(count, last), noted, line
        problem, hash_ = _line_problem(line, count, last)
        if problem is not None:
            return Verification(count, last, problem, number), noted, b""
        count, last = count + 1, hash_
        if count == noted_at:
            noted = last
    return Verification(count, last), noted, b""


def _begins_record(tail: bytes, head: str) -> bool:
    """Whether `tail` is the beginning of the record after `head`: all of it is known but for its own hash."""
    stated = tail[len(_HASH_KEY) :][: len(_GENESIS)]
    if stated.strip(b"0123456789abcdef"):
        return False
    start = _HASH_KEY + stated.ljust(len(_GENESIS), b"0") + f'","previous":"{head}","record":{{'.encode()
    return tail[: len(start)] == start[: len(tail)]


def _line_problem(line: bytes, count: int, last: str) -> tuple[str | None, str]:
    """Say what is wrong with a line, and give the hash that it states."""
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
    record["error"] = _kept_error(decision.error, record.pop("error_brief"), keep_text=keep_text)
    pairs = zip_longest(decision.verdicts, record.pop("verdict_briefs")[: len(decision.verdicts)])
    record["verdicts"] = [
        {
            **asdict(verdict),
            "action": verdict.action.name,
            "error": _kept_error(verdict.error, brief, keep_text=keep_text),
            "spans": [_span_record(span) for span in verdict.spans],
        }
        for verdict, brief in pairs
    ]
    if not keep_text:
        for key in ("prompt", "output", "released"):
            record[key] = None if record[key] is None else _text_digest(record[key])
    return record


def _span_record(span: Span) -> dict[str, Any]:
    """Return where something fired, what its words are worth, and how that was found, where the filter says so."""
    silent = {"value": span.value is None, "method": not span.method}
    return {key: value for key, value in asdict(span).items() if not silent.get(key)}


def _kept_error(error: str | None, brief: str | None, *, keep_text: bool) -> str | None:
    """Return an error as it may be stored: the words of an exception may quote the text."""
    if error is None or keep_text:
        return error
    return _WITHHELD if brief is None else brief


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


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"audit log {path} cannot be read: {error.strerror}") from error
