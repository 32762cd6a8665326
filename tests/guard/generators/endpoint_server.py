"""An OpenAI-compatible endpoint on this machine that fails as it is told to, prompt by prompt."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass(frozen=True)
class Reply:
    """What one request gets.

    `fault` is what goes wrong below HTTP: ``hang`` never answers, ``reset`` drops the connection before the answer,
    ``cut`` promises more bytes than come, ``cut_chunks`` leaves out the last chunk, ``drip`` sends a byte now and then.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["", "hang", "reset", "cut", "cut_chunks", "drip"] = ""
    delay_s: float = 0.0


def answer(text: Any, *, finish: str = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    """Return the body of a chat answer."""
    used = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "tiny", "choices": [choice], "usage": used}


def refusal(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """Return an answer with an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply({"error": {"message": message, "type": "t", "code": code}}, status=status, headers=named)


class EndpointServer:
    """Answers each prompt from its own script, then with its text and seed; keeps what it was asked."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Reply]] = {}
        self.always: Reply | None = None
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.paths: list[str] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.delay_s = 0.0
        self.most_at_once = 0
        self.url = ""
        self.stopping = threading.Event()
        self._now = 0
        self._lock = threading.Lock()

    def reply_to(self, handler: BaseHTTPRequestHandler) -> Reply:
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)))
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        with self._lock:
            self.asked.append(body)
            self.times.append(time.monotonic())
            self.paths.append(handler.path)
            self.keys.append(handler.headers.get("Authorization", ""))
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            script = self.scripts.get(prompt, [])
            reply = script.pop(0) if script else self.always
        if reply is not None:
            return reply
        text = f"{prompt} / {body.get('seed')}"
        plain = answer(text)
        if "prompt" in body:
            plain["choices"] = [{"index": 0, "text": text, "finish_reason": "stop"}]
        return Reply(plain, delay_s=self.delay_s)

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        self.stopping.wait(reply.delay_s)
        if reply.fault == "hang":
            self.stopping.wait(30)
            return
        if reply.fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        if reply.fault == "cut_chunks":
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            return
        handler.send_header("Content-Length", str(len(data) + (20 if reply.fault == "cut" else 0)))
        handler.end_headers()
        if reply.fault == "drip":
            for place in range(len(data)):
                handler.wfile.write(data[place : place + 1])
                if self.stopping.wait(0.05):
                    return
            return
        handler.wfile.write(data)


@contextmanager
def serve() -> Iterator[EndpointServer]:
    endpoint = EndpointServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or head and body of an answer are 40 ms apart

        def do_POST(self) -> None:
            with endpoint.counted(), suppress(ConnectionError):  # the client may have left
                reply = endpoint.reply_to(self)
                self.close_connection = bool(reply.fault)
                endpoint.send(self, reply)

        def finish(self) -> None:
            with suppress(OSError, ValueError):  # a connection that was dropped has nothing to flush
                super().finish()

        def log_message(self, *_given: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_given: object) -> None:
            """A client that left is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
