"""The way to one endpoint: a client on an event loop of its own, its free slots, its pace and its pauses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from guard.errors import ConfigError
from guard.generators.endpoint_retries import Fault, Limits, Pace, fault_of_status, retry_after
from guard.generators.failures import Streak, one_line

__all__ = ["OPENAI_URL", "Link", "is_openai_url"]

OPENAI_URL = "https://api.openai.com/v1"

T = TypeVar("T")
_log = logging.getLogger(__name__)

_MOST_BYTES = 16 * 2**20
_TRANSPORT = {"anyio", "h11", "h2", "httpcore", "httpcore2", "httpx", "httpx2", "openai", "ssl", "zlib"}
_CLOSE_S = 5.0
_SAID_FROM_S = 5.0  # a run that stands still for longer says why


def is_openai_url(url: str) -> bool:
    """Whether a URL is the one for which the environment has ``OPENAI_API_KEY`` and its like."""
    theirs = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return url.rstrip("/") == theirs.rstrip("/")


class Link:
    """Sends requests from any thread; one for all generators that share an endpoint's limits.

    Parameters
    ----------
    base_url : str
    key : str or None
        Sent as a bearer token; kept from every message and representation.
    limits : Limits

    Raises
    ------
    ConfigError
        The client's package is missing, or the key cannot be one.
    """

    def __init__(self, base_url: str, *, key: str | None, limits: Limits) -> None:
        _check_key(key)
        _client_package()
        self.limits = limits
        self._url, self._key = base_url, key
        self._lock = threading.Lock()
        self._open: _Open | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the loop and wait for the result; what interrupts the wait ends the requests under way."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.here.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def here(self) -> _Open:
        """What is open in this process; a forked child has its own."""
        with self._lock:
            if self._open is None or self._open.pid != os.getpid():
                self._open = _Open(self._url, self._key, self.limits)
                weakref.finalize(self, _Open.abandon, self._open)
            return self._open

    async def post(self, body: Mapping[str, Any], *, timeout_s: float) -> bytes:
        """Send one request and return the body of the answer.

        Raises
        ------
        Fault
            Whatever kept it from coming whole, in time and with a status of success.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._post(body)
        except TimeoutError:
            raise Fault("timeout", f"it gave no whole answer within {timeout_s:.3g} s") from None
        except Fault:
            raise
        except Exception as error:
            raise self._fault(error) from None  # its own text and trace may hold the key

    async def _post(self, body: Mapping[str, Any]) -> bytes:
        client, rest = self.here.client, dict(body)
        model = rest.pop("model")
        if "messages" in rest:
            messages = rest.pop("messages")
            request = client.chat.completions.with_streaming_response.create(
                model=model, messages=messages, extra_body=rest
            )
        else:
            prompt = rest.pop("prompt")
            request = client.completions.with_streaming_response.create(model=model, prompt=prompt, extra_body=rest)
        chunks, size = [], 0
        async with request as answer:
            async for chunk in answer.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise Fault("malformed", f"its answer is longer than {_MOST_BYTES} bytes")
        return b"".join(chunks)

    def _fault(self, error: Exception) -> Exception:
        """Tell what an exception of the client or of the libraries below it means; a bug stays one."""
        openai = _client_package()
        if isinstance(error, openai.APIStatusError):
            body = error.body if isinstance(error.body, dict) else {}
            said = one_line(body.get("message") or "", secret=self._key)
            code = str(body.get("code") or body.get("type") or "")
            after_s = retry_after(error.response.headers)
            return fault_of_status(error.status_code, code=code, said=said, after_s=after_s)
        cause = error.__cause__ or error
        if isinstance(error, openai.APITimeoutError):
            return Fault("timeout", f"no connection or no answer in time ({type(cause).__name__})")
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _TRANSPORT:
            said = one_line(cause, secret=self._key)
            return Fault("connection", f"the connection failed ({type(cause).__name__}{': ' if said else ''}{said})")
        return error

    def close(self) -> None:
        """End the loop and its connections; what comes later opens others."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None and opened.pid == os.getpid():
            opened.abandon()
            if opened.thread is not threading.current_thread():
                opened.thread.join(_CLOSE_S)


class _Open:
    """A loop in a daemon thread, the client that belongs to it, and who waits for whom there."""

    def __init__(self, base_url: str, key: str | None, limits: Limits) -> None:
        openai = _client_package()
        self.pid, self._name = os.getpid(), base_url
        self.loop = asyncio.new_event_loop()
        self.slots = asyncio.Semaphore(limits.concurrency)
        self.streak = Streak(limits.give_up_after, base_url)
        self._requests = Pace(limits.requests_per_minute) if limits.requests_per_minute else None
        self._tokens = Pace(limits.tokens_per_minute) if limits.tokens_per_minute else None
        self._paused_until = 0.0
        self._ending: asyncio.Task[None] | None = None
        # Retries are ours: the client's own would be hidden from pace, deadline and accounts.
        self.client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key or "none",
            max_retries=0,
            timeout=openai.Timeout(limits.timeout_s, connect=limits.connect_s),
        )
        if not is_openai_url(base_url):  # what stands in the environment for OpenAI the client sends to anybody
            self.client.organization = self.client.project = None
            self.client._custom_headers = {}
        self.thread = threading.Thread(target=_serve, args=(self.loop,), name="guard-endpoint", daemon=True)
        self.thread.start()

    async def turn(self, n_tokens: float) -> None:
        """Wait until the pace has a place for a request of so many tokens and no pause is on."""
        await self._unpaused()
        now = self.loop.time()
        waits = [pace.reserve(n, now=now) for pace, n in ((self._requests, 1.0), (self._tokens, n_tokens)) if pace]
        if max(waits, default=0.0) > 0:
            await asyncio.sleep(max(waits))
            await self._unpaused()

    async def _unpaused(self) -> None:
        while (left_s := self._paused_until - self.loop.time()) > 0:
            await asyncio.sleep(left_s)

    def correct(self, difference: float) -> None:
        """Book tokens beyond those that were reserved."""
        if self._tokens:
            self._tokens.correct(difference)

    def pause(self, seconds: float) -> None:
        """Let nobody begin a request for a while: a limit on the rate is the limit of all of them."""
        until = self.loop.time() + seconds
        if seconds >= _SAID_FROM_S and until > self._paused_until + 1:  # once, not by every request that was refused
            _log.warning("%s asks to be left alone for %.0f s", self._name, seconds)
        self._paused_until = max(self._paused_until, until)

    def abandon(self) -> None:
        """End everything, from whatever thread, without waiting."""
        if self.pid == os.getpid():
            with contextlib.suppress(RuntimeError):  # it has ended already
                self.loop.call_soon_threadsafe(self._begin_end)

    def _begin_end(self) -> None:
        self._ending = self.loop.create_task(self._end())

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.client.close()
        self.loop.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _client_package() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ConfigError("an endpoint needs the package openai: pip install 'assay[openai]'") from error
    return openai


def _check_key(key: str | None) -> None:
    """Refuse a key that no header can hold; the message never has it."""
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key and key):
        raise ConfigError("the key of the endpoint holds blanks or other characters that no key has: set it again")
