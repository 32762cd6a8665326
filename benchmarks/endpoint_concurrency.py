"""Throughput over an endpoint that takes 50 ms an answer: one request at a time, 8 and 32 at once, also with faults.

The endpoint is a process of its own on this machine, so what is measured is the waiting that concurrency saves and the
work of the client. Beside it stands the plain client of the ``openai`` package in a loop, which is what a generator
that asks prompt by prompt does. With faults, every tenth answer is an error 500 and must be asked again.

Run ``python -m benchmarks.endpoint_concurrency [--prompts 200] [--latency-ms 50]``; figures go to
``benchmarks/results/endpoint_concurrency.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

import openai

from benchmarks.kept import keep
from guard.generators.endpoint import Endpoint, EndpointGenerator, Limits

RESULTS = Path(__file__).parent / "results" / "endpoint_concurrency.json"


def _serve(pipe: Connection, latency_s: float, fault_every: int) -> None:
    """Answer until the pipe says stop."""
    count, lock = 0, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            nonlocal count
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(latency_s)
            with lock:
                count += 1
                fails = bool(fault_every) and count % fault_every == 0
            message = {"role": "assistant", "content": body["messages"][-1]["content"]}
            usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
            whole = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
            answer = {**whole, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            data = json.dumps({"error": {"message": "boom"}} if fails else answer).encode()
            self.send_response(500 if fails else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_given: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(f"http://127.0.0.1:{server.server_address[1]}/v1")
    pipe.recv()


@contextmanager
def endpoint(latency_s: float, fault_every: int) -> Iterator[str]:
    """Run the endpoint in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, latency_s, fault_every))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join(5)
        process.kill()


def measured(ask: Callable[[list[str]], list[str]], prompts: list[str]) -> dict[str, float]:
    """Return rates of one run; every answer is checked."""
    ask(prompts[:2])  # connections and imports are not the question
    started, cpu = time.perf_counter(), time.process_time()
    if ask(prompts) != prompts:
        raise SystemExit("an answer was lost or mixed up")
    took_s = time.perf_counter() - started
    cpu_ms = 1000 * (time.process_time() - cpu) / len(prompts)
    return {"seconds": round(took_s, 2), "a second": round(len(prompts) / took_s, 1), "client cpu ms": round(cpu_ms, 2)}


def plain_client(url: str) -> Callable[[list[str]], list[str]]:
    """Ask prompt by prompt with the package's own client."""
    client = openai.OpenAI(base_url=url, api_key="none")

    def ask(prompts: list[str]) -> list[str]:
        made = [
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])
            for prompt in prompts
        ]
        return [one.choices[0].message.content or "" for one in made]

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    given = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    prompts = [f"prompt {place}" for place in range(given.prompts)]
    runs: dict[str, dict[str, float]] = {}
    for fault_every, said in ((0, ""), (10, ", every tenth fails")):
        with endpoint(given.latency_ms / 1000, fault_every) as url:
            if not fault_every:
                runs["plain client, in a loop"] = measured(plain_client(url), prompts)
            for concurrency in (1, 8, 32):
                limits = Limits(concurrency=concurrency, backoff_s=0.05)
                with EndpointGenerator(Endpoint(url, "m"), limits=limits) as generator:
                    ask = lambda asked, made=generator: made.generate(asked, seed=0)  # noqa: E731
                    runs[f"{concurrency} at once{said}"] = measured(ask, prompts)
    for name, run in runs.items():
        print(f"{name:32} {run}")
    keep({"prompts": given.prompts, "latency ms": given.latency_ms, "cores": os.cpu_count(), "runs": runs}, RESULTS)


if __name__ == "__main__":
    main()
