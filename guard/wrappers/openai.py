"""An OpenAI client, sync or async, whose chat completions are guarded on their way in and out."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from guard.errors import ConfigError
from guard.guard import Guard
from guard.judge import Judgement
from guard.schema import Verdict
from guard.vault import Vault
from guard.wrappers.answers import Answer, BlockedError, blocked_chunk, blocked_completion
from guard.wrappers.chunks import ChunkScreen
from guard.wrappers.leaves import fields
from guard.wrappers.messages import OPERATOR_ROLES, Messages

__all__ = ["AsyncGuardedChunks", "GuardedChunks", "GuardedClient", "guarded_openai"]

# Other ways to text, which would pass by the guard: refused by name rather than let through.
_RAW = ("with_raw_response", "with_streaming_response")
_UNGUARDED = {
    "": ("beta", "completions", "conversations", "live", "realtime", "responses", *_RAW),
    "chat": _RAW,
    "chat.completions": ("parse", "stream", *_RAW),
}
_OWN = frozenset({"_client", "_is_async", "_options", "_part", "_path", "chat", "completions"})


def guarded_openai(
    client: Any,
    guard: Guard,
    *,
    vault: Vault | None = None,
    raise_on_block: bool = False,
    trusted_roles: Collection[str] = OPERATOR_ROLES,
) -> Any:
    """Return the client with guarded ``chat.completions.create``, streaming or not.

    Parameters
    ----------
    client : openai.OpenAI, openai.AsyncOpenAI, or a client that looks like one
    guard : Guard
        Needs filters for inputs and outputs.
    vault : Vault or None
        Of one conversation: what is redacted on the way in is restored in the answers. Make one client for each
        conversation; that is cheap, and the connections are shared.
    raise_on_block : bool
        Raise BlockedError where the policy stops something. By default the answer is a completion whose content is the
        policy's message and whose finish reason is ``content_filter``.
    trusted_roles : collection of str
        Roles whose messages are not judged, because the application wrote them.

    Returns
    -------
    GuardedClient
        Everything else of the client is there unchanged, except other ways to text (``responses``, ``completions``,
        ``parse``, ``stream``, raw responses): these raise a ConfigError.

    Raises
    ------
    ConfigError
        When the client has no ``chat.completions.create``, or the guard judges nothing.

    Examples
    --------
    >>> client = guarded_openai(OpenAI(), guard)  # doctest: +SKIP
    >>> client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hi"}])  # doctest: +SKIP
    """
    if not callable(getattr(getattr(getattr(client, "chat", None), "completions", None), "create", None)):
        raise ConfigError(f"{type(client).__name__} has no chat.completions.create: give an OpenAI client")
    for stage in ("input", "output"):
        guard.check([], stage=stage)  # refuses a guard that would judge nothing
    return GuardedClient(client, _Options(guard, vault, raise_on_block, tuple(trusted_roles)))


@dataclass(frozen=True)
class _Options:
    guard: Guard
    vault: Vault | None
    raise_on_block: bool
    trusted_roles: tuple[str, ...]


class _Part:
    """A part of the client: what is not guarded or refused comes from the part itself."""

    def __init__(self, part: Any, path: str) -> None:
        self._part, self._path = part, path

    def __getattr__(self, name: str) -> Any:
        if name in _OWN and name.startswith("_"):  # not set yet, as in a copy
            raise AttributeError(name)
        if name in _UNGUARDED[self._path]:
            whole = f"{self._path}.{name}".strip(".")
            raise ConfigError(f"{whole} is not guarded: use chat.completions.create, or {whole} of the bare client")
        return getattr(self._part, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._part, name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._part), *super().__dir__()} - set(_UNGUARDED[self._path]))

    def __repr__(self) -> str:
        return f"guarded({self._part!r})"


class GuardedClient(_Part):
    """A client with guarded chat completions, see :func:`guarded_openai`."""

    def __init__(self, client: Any, options: _Options) -> None:
        super().__init__(client, "")
        self._options = options
        self.chat = _Chat(client, options)

    def with_options(self, **options: Any) -> GuardedClient:
        """Return a client with other options, guarded as this one."""
        return GuardedClient(self._part.with_options(**options), self._options)

    def copy(self, **options: Any) -> GuardedClient:
        """Do as :meth:`with_options`."""
        return GuardedClient(self._part.copy(**options), self._options)

    def __enter__(self) -> GuardedClient:
        self._part.__enter__()
        return self

    def __exit__(self, *given: Any) -> None:
        self._part.__exit__(*given)

    async def __aenter__(self) -> GuardedClient:
        await self._part.__aenter__()
        return self

    async def __aexit__(self, *given: Any) -> None:
        await self._part.__aexit__(*given)


class _Chat(_Part):
    def __init__(self, client: Any, options: _Options) -> None:
        super().__init__(client.chat, "chat")
        self.completions = _Completions(client, options)


class _Completions(_Part):
    def __init__(self, client: Any, options: _Options) -> None:
        super().__init__(client.chat.completions, "chat.completions")
        self._client, self._options = client, options
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(client.chat.completions.create))

    def create(self, **request: Any) -> Any:
        """Create a completion as the client does, guarded; a coroutine where the client's is one."""
        call = _Call(self._client, self._options, request)
        return call.ask_async() if self._is_async else call.ask()


class _Call:
    """One request and its answer."""

    def __init__(self, client: Any, options: _Options, request: dict[str, Any]) -> None:
        if "messages" not in request:
            raise ConfigError("create was called without messages: give them by name")
        self._client, self._options, self._request = client, options, request
        self._names = _tool_names(request)
        self._messages = Messages(request["messages"], trusted_roles=options.trusted_roles, known_names=self._names)
        n = request.get("n")
        self._n_choices = n if isinstance(n, int) and n > 0 else 1
        self._prompts: list[Verdict] = []

    def ask(self) -> Any:
        guard, vault = self._options.guard, self._options.vault
        stopped = self._admit(guard.apply(self._messages.texts, stage="input", vault=vault))
        if stopped is not None:
            return GuardedChunks(iter([stopped]), None) if self._streams else stopped
        given = self._client.chat.completions.create(**self._request)
        if self._streams:
            return GuardedChunks(given, self._screen())
        answer = Answer(given, known_names=self._names)
        return self._finished(answer, guard.apply(answer.texts, stage="output", vault=vault))

    async def ask_async(self) -> Any:
        guard, vault = self._options.guard, self._options.vault
        stopped = self._admit(await guard.aapply(self._messages.texts, stage="input", vault=vault))
        if stopped is not None:
            return AsyncGuardedChunks(_one(stopped), None) if self._streams else stopped
        given = await self._client.chat.completions.create(**self._request)
        if self._streams:
            return AsyncGuardedChunks(given, self._screen())
        answer = Answer(given, known_names=self._names)
        return self._finished(answer, await guard.aapply(answer.texts, stage="output", vault=vault))

    @property
    def _streams(self) -> bool:
        return bool(self._request.get("stream"))

    def _screen(self) -> ChunkScreen:
        return ChunkScreen(
            self._options.guard,
            vault=self._options.vault,
            prompts=self._prompts,
            known_names=self._names,
            n_choices=self._n_choices,
            raise_on_block=self._options.raise_on_block,
        )

    def _admit(self, judged: list[Judgement]) -> Any:
        """Put what may be asked into the request; return the answer to one that is not sent, None where it is."""
        self._prompts = [one.verdict for one in judged]
        verdict = self._messages.settle(judged)
        if verdict is None:
            self._request["messages"] = self._messages.messages
            return None
        message = self._options.guard.policy.message
        if self._options.raise_on_block:
            raise BlockedError(verdict, message)
        made = blocked_chunk if self._streams else blocked_completion
        return made(self._client, str(self._request.get("model", "")), message, self._n_choices)

    def _finished(self, answer: Answer, judged: list[Judgement]) -> Any:
        policy = self._options.guard.policy
        verdict = answer.settle(judged, policy, vault=self._options.vault, prompts=self._prompts)
        if verdict is not None and self._options.raise_on_block:
            raise BlockedError(verdict, policy.message)
        return answer.completion


class _Chunks:
    """What both kinds of streams have."""

    def __init__(self, source: Any, screen: ChunkScreen | None) -> None:
        self._source, self._screen = source, screen
        self._iterator: Any = None  # of the source, once somebody reads
        self._ready: list[Any] = []
        self._ended = False

    @property
    def response(self) -> Any:
        """The HTTP response below, as the client's own stream has it; None for a request that was not sent."""
        return getattr(self._source, "response", None)

    def _end(self, *, failed: bool) -> None:
        self._ended = True
        if self._screen is not None:
            self._screen.end(failed=failed)

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            with contextlib.suppress(Exception):
                self._end(failed=False)


class GuardedChunks(_Chunks, Iterator[Any]):
    """Chunks of a completion that hold only text which has passed; close it, or use it in a ``with``."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Return the next chunk."""
        while not self._ready and not self._ended:
            try:
                self._ready = self._read()
            except BaseException:
                self._end(failed=True)
                self._shut()
                raise
        if not self._ready:
            raise StopIteration
        return self._ready.pop(0)

    def close(self) -> None:
        """Stop reading."""
        self._end(failed=False)
        self._ready = []
        self._shut()

    def __enter__(self) -> GuardedChunks:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> list[Any]:
        if self._iterator is None:
            self._iterator = iter(self._source)
        chunk = next(self._iterator, None)
        if self._screen is None:
            self._ended = chunk is None
            return [] if chunk is None else [chunk]
        if chunk is None:
            chunks = self._screen.finish()
            self._end(failed=False)
            return chunks
        chunks = self._screen.settle(self._screen.take(chunk))
        if self._screen.over:
            self._end(failed=False)
            self._shut()
        return chunks

    def _shut(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


class AsyncGuardedChunks(_Chunks, AsyncIterator[Any]):
    """The same for ``async for``; filters run in a thread, so that the loop goes on."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        """Return the next chunk."""
        while not self._ready and not self._ended:
            try:
                self._ready = await self._read()
            except BaseException as error:
                self._end(failed=not isinstance(error, asyncio.CancelledError))
                await self._shut()
                raise
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.pop(0)

    async def close(self) -> None:
        """Stop reading."""
        self._end(failed=False)
        self._ready = []
        await self._shut()

    async def __aenter__(self) -> AsyncGuardedChunks:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _read(self) -> list[Any]:
        if self._iterator is None:
            self._iterator = aiter(self._source)
        chunk = await anext(self._iterator, None)
        if self._screen is None:
            self._ended = chunk is None
            return [] if chunk is None else [chunk]
        if chunk is None:
            chunks = await asyncio.to_thread(self._screen.finish)
            self._end(failed=False)
            return chunks
        work = self._screen.take(chunk)
        chunks = await asyncio.to_thread(self._screen.settle, work) if work.heavy else self._screen.settle(work)
        if self._screen.over:
            self._end(failed=False)
            await self._shut()
        return chunks

    async def _shut(self) -> None:
        close = getattr(self._source, "close", None) or getattr(self._source, "aclose", None)
        closing = close() if close is not None else None
        if inspect.isawaitable(closing):
            await closing


async def _one(chunk: Any) -> AsyncIterator[Any]:
    yield chunk


def _tool_names(request: dict[str, Any]) -> frozenset[str]:
    """Return the names of the tools on offer: the application's own words."""
    tools = request.get("tools") or request.get("functions") or ()
    named = [fields(tool).get("function", fields(tool).get("custom", tool)) for tool in tools]
    return frozenset(str(fields(one).get("name", "")) for one in named)
