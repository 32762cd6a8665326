"""Text that arrives in chunks to released text: hold back, judge each segment, release or stop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

from guard.errors import GeneratorError
from guard.judge import Judge
from guard.release import BARE, Release, Wording
from guard.schema import Action, Verdict
from guard.segments import Segment, Segmenter

__all__ = ["AsyncGuardedStream", "Ended", "GuardedStream", "Rewrite", "Screen"]

How = Literal["finished", "stopped", "abandoned", "failed"]


class Screen:
    """Judges one text that arrives in chunks, without doing any input or output itself.

    Parameters
    ----------
    judge : Judge
    wording : Wording
        How redacted text reads.

    Notes
    -----
    Any chunking of a text releases the same characters and gives the same verdict as the text in one chunk, since
    segments, scores and releases depend on the text alone.
    """

    def __init__(self, judge: Judge, *, wording: Wording = BARE) -> None:
        self._judge = judge
        self._cutter = Segmenter()
        self._release = Release(judge.policy, "output", wording)
        self._text: list[str] = []
        self._released: list[str] = []

    @property
    def stopped(self) -> bool:
        """Whether a segment was not to be released: nothing more will be."""
        return self._release.stopped

    @property
    def text(self) -> str:
        """What came in. Not for end users."""
        return "".join(self._text)

    @property
    def released(self) -> str:
        """What was released so far."""
        return "".join(self._released)

    def verdict(self) -> Verdict:
        """Return the verdict on all that was judged so far."""
        return self._release.verdict()

    def brief(self) -> str | None:
        """Return the error of the verdict without the words of exceptions."""
        return self._release.brief()

    def cut(self, chunk: str) -> list[tuple[Segment, str]]:
        """Take a chunk; return the segments to be judged next, each with its text. Cheap."""
        self._text.append(chunk)
        return [(segment, self._cutter.window(segment)) for segment in self._cutter.push(chunk)]

    def cut_last(self) -> list[tuple[Segment, str]]:
        """End the text; return what is left to be judged."""
        return [(segment, self._cutter.window(segment)) for segment in self._cutter.finish()]

    def pass_on(self, cut: list[tuple[Segment, str]]) -> str:
        """Judge segments in one batch; return what may be released now. Runs the filters."""
        if self.stopped or not cut:
            return ""
        judged = self._judge.enforce_pieces([window for _, window in cut], "output")
        pieces = []
        for (segment, window), one in zip(cut, judged, strict=True):
            if not self.stopped:
                pieces.append(self._release.add(segment, window, one.verdict, one.brief))
        self._released += pieces
        return "".join(pieces)


class Rewrite(Protocol):
    """Changes released text on its way out, such as putting back what a vault keeps."""

    def push(self, chunk: str) -> str:
        """Take a piece; return what can be given out."""

    def finish(self) -> str:
        """Return what was still held back."""


@dataclass(frozen=True)
class Ended:
    """How a stream ended.

    Parameters
    ----------
    how : {"finished", "stopped", "abandoned", "failed"}
        Stopped by the policy; abandoned by the reader before its end; failed in the source.
    screen : Screen
    error : BaseException or None
        What the source raised.
    """

    how: How
    screen: Screen
    error: BaseException | None = None


class _Ending:
    """Tells once how a stream ended, and what is to be said after the text."""

    def __init__(self, on_end: Callable[[Ended], str], screen: Screen) -> None:
        self._on_end, self._screen = on_end, screen
        self._lock = threading.Lock()
        self.ended = False
        self.notice = ""

    def end(self, how: How, error: BaseException | None = None) -> str:
        """Tell; return the notice to append. A second call does nothing."""
        with self._lock:
            if self.ended:
                return ""
            self.ended = True
        self.notice = self._on_end(Ended(how, self._screen, error))
        return self.notice


class _Outcome:
    """What both kinds of streams tell about themselves."""

    def __init__(self, screen: Screen, on_end: Callable[[Ended], str], rewrite: Rewrite | None) -> None:
        self._screen, self._rewrite = screen, rewrite
        self._ending = _Ending(on_end, screen)
        self.prompt_verdict: Verdict | None = None
        """The verdict on the prompt, once the stream has begun; None where it has no prompt."""

    @property
    def verdict(self) -> Verdict:
        """The verdict so far, on the prompt where that was blocked; final once the stream has ended."""
        prompt = self.prompt_verdict
        return prompt if prompt is not None and prompt.action == Action.BLOCK else self._screen.verdict()

    @property
    def blocked(self) -> bool:
        """Whether the policy stopped the prompt or the text."""
        prompt = self.prompt_verdict
        return self._screen.stopped or (prompt is not None and prompt.action == Action.BLOCK)

    @property
    def released(self) -> str:
        """All text released so far, redacted where the policy says so, and the notice at the end."""
        return self._screen.released + self._ending.notice

    @property
    def text(self) -> str:
        """What the source gave, before any action. Not for end users."""
        return self._screen.text

    def _cut(self, chunk: str | None) -> list[tuple[Segment, str]]:
        """Take a chunk, None at the end of the text; return what is to be judged."""
        if self.blocked:
            return []
        return self._screen.cut_last() if chunk is None else self._screen.cut(_checked(chunk))

    def _rewritten(self, piece: str, *, last: bool) -> str:
        if self._rewrite is None:
            return piece
        return self._rewrite.push(piece) + (self._rewrite.finish() if last else "")


class GuardedStream(_Outcome, Iterator[str]):
    """Released pieces of a text, as an iterator; close it, or use it in a ``with``, when it is left early.

    Parameters
    ----------
    chunks : callable
        Opens the source, given this stream; called at the first step, so that nothing runs before somebody reads. A
        source with a prompt sets ``prompt_verdict`` before its first chunk.
    screen : Screen
    on_end : callable
        Called once, before the last piece is given out; returns what is to be said after the text.
    rewrite : Rewrite or None
        Goes over what is given out, and leaves :attr:`released` alone.
    """

    def __init__(
        self,
        chunks: Callable[[GuardedStream], Iterable[str]],
        screen: Screen,
        *,
        on_end: Callable[[Ended], str],
        rewrite: Rewrite | None = None,
    ) -> None:
        super().__init__(screen, on_end, rewrite)
        self._open = chunks
        self._source: Iterator[str] | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next piece that may be read; never an empty one."""
        while not self._ending.ended:
            try:
                if self._source is None:
                    self._source = iter(self._open(self))
                chunk = next(self._source, None)
                piece = self._screen.pass_on(self._cut(chunk))
            except BaseException as error:
                self._fail(error)
                raise
            last = self.blocked or chunk is None
            piece = self._rewritten(piece, last=last)
            if last:
                piece += self._finish("stopped" if self.blocked else "finished")
            if piece:
                return piece
        raise StopIteration

    def close(self) -> None:
        """Stop reading; the record then says that the rest was abandoned. Does nothing after the end."""
        self._finish("abandoned")

    def __enter__(self) -> GuardedStream:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Begun and dropped without close: still one record. Never begun: no request was made.
        if getattr(self, "_source", None) is not None:
            with contextlib.suppress(Exception):
                self.close()

    def _finish(self, how: How) -> str:
        _close(self._source)
        return self._ending.end(how) if self._source is not None else ""

    def _fail(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            _close(self._source)
        self._ending.end("failed", error)


class AsyncGuardedStream(_Outcome, AsyncIterator[str]):
    """The same for ``async for``; filters run in a thread, so that the loop goes on.

    Parameters
    ----------
    chunks : callable
        Opens the source, given this stream.
    screen, on_end, rewrite
        As for :class:`GuardedStream`.
    """

    def __init__(
        self,
        chunks: Callable[[AsyncGuardedStream], AsyncIterable[str]],
        screen: Screen,
        *,
        on_end: Callable[[Ended], str],
        rewrite: Rewrite | None = None,
    ) -> None:
        super().__init__(screen, on_end, rewrite)
        self._open = chunks
        self._source: AsyncIterator[str] | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        """Return the next piece that may be read; never an empty one."""
        while not self._ending.ended:
            try:
                if self._source is None:
                    self._source = aiter(self._open(self))
                chunk = await anext(self._source, None)
                cut = self._cut(chunk)
                piece = await asyncio.to_thread(self._screen.pass_on, cut) if cut else ""
            except BaseException as error:
                how: How = "abandoned" if isinstance(error, asyncio.CancelledError) else "failed"
                # Not in a thread: a cancelled task may not wait again, and the record must be written.
                self._ending.end(how, error)
                raise
            last = self.blocked or chunk is None
            piece = self._rewritten(piece, last=last)
            if last:
                piece += await self._finish("stopped" if self.blocked else "finished")
            if piece:
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop reading; the record then says that the rest was abandoned. Does nothing after the end."""
        await self._finish("abandoned")

    async def __aenter__(self) -> AsyncGuardedStream:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_source", None) is not None:
            with contextlib.suppress(Exception):
                self._ending.end("abandoned")

    async def _finish(self, how: How) -> str:
        if self._source is None:
            return ""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
        return await asyncio.to_thread(self._ending.end, how)


def _checked(chunk: object) -> str:
    if not isinstance(chunk, str):
        raise GeneratorError(f"the stream gave {type(chunk).__name__} as a chunk: expected str")
    return chunk


def _close(source: object) -> None:
    close = getattr(source, "close", None)
    if callable(close):
        close()
