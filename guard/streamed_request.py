"""One request whose output streams: judge the prompt, write, and make the record at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from guard.audit_log import Decision
from guard.drawing import SharedGenerator, admit, chunks_of, notices
from guard.judge import Judge
from guard.request import Origin, Request
from guard.schema import Action, Verdict
from guard.stream import Ended
from guard.vault import Vault

__all__ = ["StreamedRequest", "in_threads"]


class _Prompted(Protocol):
    prompt_verdict: Verdict | None


@dataclass
class StreamedRequest:
    """A prompt whose output is given out while it is written.

    Parameters
    ----------
    judge : Judge
    generator : SharedGenerator
    origin : Origin
    prompt : str
    seed : int
    vault : Vault or None
    """

    judge: Judge
    generator: SharedGenerator
    origin: Origin
    prompt: str
    seed: int
    vault: Vault | None = None
    _request: Request | None = field(default=None, init=False)

    def chunks(self, stream: _Prompted) -> Iterator[str]:
        """Judge the prompt, tell the stream, and yield what the generator writes; nothing for a blocked prompt."""
        request = admit(self.judge, [self.prompt], [self.seed], self.vault)[0]
        self._request, stream.prompt_verdict = request, request.verdict
        if request.action != Action.BLOCK:
            yield from chunks_of(self.generator, request.asked, self.seed)

    def end(self, ended: Ended) -> tuple[Decision | None, str]:
        """Return the record, None where nothing was even judged, and what is said after the text."""
        request, said = self._request, ""
        if request is None:
            return None, said
        if request.action != Action.BLOCK:
            verdict = ended.screen.verdict()
            if verdict.action == Action.REGENERATE:  # what was read cannot be drawn again
                verdict = replace(verdict, action=Action.BLOCK)
            request.drawn.append(verdict)
            request.briefs.append(ended.screen.brief())
            if ended.how == "finished":
                said = notices(self.judge.policy, [request.verdict, verdict])
            request.output, request.released = ended.screen.text, ended.screen.released + said
        _note_ending(request, ended)
        return request.decision("stream", self.origin), said


def _note_ending(request: Request, ended: Ended) -> None:
    if ended.how == "failed" and ended.error is not None:
        released = request.released
        request.fail(ended.error)
        request.released = released
    elif ended.how == "abandoned":
        request.error = request.error_brief = "the reader left before the end"


async def in_threads(chunks: Iterator[str]) -> AsyncIterator[str]:
    """Step an iterator in threads, so that the event loop goes on.

    A step that still runs when the task is cancelled is waited for, since an iterator cannot be closed while it runs.
    """
    step: asyncio.Future[str | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
            chunk = await asyncio.shield(step)
            if chunk is None:
                return
            yield chunk
    finally:
        if step is not None and not step.done():
            await asyncio.wait([step])
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
