"""A chat endpoint on this machine that answers from a script and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = dict[str, Any]


def completion(*messages: dict[str, Any], **extra: Any) -> Script:
    choices = [
        {"index": place, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        for place, message in enumerate(messages)
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    head = {"id": "c1", "created": 1, "model": "tiny", "object": "chat.completion"}
    return {**head, "choices": choices, "usage": usage, **extra}


def chunk(delta: dict[str, Any] | None = None, *, index: int = 0, finish: str | None = None, **extra: Any) -> Script:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish, **extra}]
    return {"id": "c1", "created": 1, "model": "tiny", "object": "chat.completion.chunk", "choices": choices}


class ChatServer:
    """What it will answer, and what it was asked."""

    def __init__(self) -> None:
        self.answer: Script = completion({"content": "Fine."})
        self.chunks: list[Script] = []
        self.asked: list[Script] = []
        self.paths: list[str] = []
        self.url = ""

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        self.paths.append(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = json.loads(body) if body else {}
        self.asked.append(request)
        streams = request.get("stream")
        lines = [f"data: {json.dumps(one)}\n\n".encode() for one in self.chunks] + [b"data: [DONE]\n\n"]
        parts = lines if streams else [json.dumps(self.answer).encode()]
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        handler.send_header("Content-Length", str(sum(map(len, parts))))
        handler.end_headers()
        with suppress(ConnectionError):  # the client may leave early
            for part in parts:
                handler.wfile.write(part)
                handler.wfile.flush()


@contextmanager
def serve() -> Iterator[ChatServer]:
    script = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            script.respond(self)

        def do_GET(self) -> None:
            script.respond(self)

        def log_message(self, *_given: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
