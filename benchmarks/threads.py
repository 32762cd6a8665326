"""Many threads against one guard: mixed content, lost records, dead-locks.

Every thread asks one guard in turn by ``generate``, ``stream``, ``apply`` and ``check``, with a mark of its own in each
text and an e-mail address of its own in a vault of its own. Afterwards the audit log is verified and every request is
looked up in it.

Run ``python -m benchmarks.threads [--threads 200] [--seconds 60]``; figures go to ``benchmarks/results/threads.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

from benchmarks.kept import keep
from guard.audit_log import AuditLog, verify
from guard.filters.table import DEFAULT_FILTERS, load_filter
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action
from guard.vault import Vault

RESULTS = Path(__file__).parent / "results" / "threads.json"
_PATIENCE_S = 60


class Answering:
    """A generator that answers with its prompt, whole or word by word."""

    name = "answering@1"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Answer each prompt."""
        return [f"Here is what you asked for: {prompt}" for prompt in prompts]

    def stream(self, prompt: str, *, seed: int) -> Iterator[str]:
        """Answer word by word."""
        for word in self.generate([prompt], seed=seed)[0].split(" "):
            yield f"{word} "


class Load:
    """What the threads do and what they find."""

    def __init__(self, guard: Guard, until: float) -> None:
        self.guard, self.until = guard, until
        self.marks: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def work(self, number: int) -> None:
        """Ask until the time is over."""
        vault, turn = Vault(), 0
        while time.monotonic() < self.until:
            kind = ("generate", "stream", "apply", "check")[(number + turn) % 4]
            mark, address = f"mark{number}x{turn}y", f"user{number}@example.org"
            rude = turn % 5 == 4
            text = f"{mark} please write to {address} about the train" + " , you stupid fucking idiot" * rude
            try:
                complaint = self._ask(kind, text, mark, vault, rude=rude)
            except Exception as error:
                complaint = f"{kind}: {type(error).__name__}: {error}"
            with self._lock:
                self.requests[kind] += 1
                self.marks.add(mark)
                self.wrong += [complaint] if complaint else []
            turn += 1

    def _ask(self, kind: str, text: str, mark: str, vault: Vault, *, rude: bool) -> str | None:
        if kind == "check":
            (verdict,) = self.guard.check([text], stage="input")
            return self._complaint(kind, verdict.action, rude=rude)
        if kind == "apply":
            (judged,) = self.guard.apply([text], stage="input", vault=vault)
            answer, action = vault.restore(judged.text), judged.verdict.action
        elif kind == "generate":
            (response,) = self.guard.generate([text], vault=vault)
            answer, action = response.text, response.action
        else:
            stream = self.guard.stream(text, vault=vault)
            answer = "".join(stream)
            action = stream.verdict.action
        address = text.split(" ")[4]
        if not rude and (mark not in answer or answer.count("mark") != 1 or address not in answer or "[" in answer):
            return f"{kind}: wrong answer {answer!r} to {text!r}"
        return self._complaint(kind, action, rude=rude)

    def _complaint(self, kind: str, action: Action, *, rude: bool) -> str | None:
        blocked = action == Action.BLOCK
        return None if blocked == rude else f"{kind}: action {action.name} where rude is {rude}"


def run(n_threads: int, seconds: float, log_path: Path) -> dict[str, object]:
    """Load one guard, then check the log."""
    standard = Policy.load("standard")
    # Addresses are taken out of prompts, so that every answer has to come back through the thread's own vault.
    policy = replace(standard, thresholds={**standard.thresholds, ("input", "pii_email"): (0.5, Action.REDACT)})
    filters = [load_filter(name, device="cpu") for name in DEFAULT_FILTERS]
    with AuditLog(log_path, keep_text=True) as log:
        guard = Guard(Answering(), policy, inputs=filters, outputs=filters, audit_log=log, filter_timeout_s=300)
        guard.check(["warm up"], stage="input")
        load = Load(guard, time.monotonic() + seconds)
        threads = [threading.Thread(target=load.work, args=(number,), daemon=True) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        deadline = load.until + _PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = sum(thread.is_alive() for thread in threads)
    records = [json.loads(line)["record"] for line in log_path.read_text(encoding="utf-8").splitlines()]
    recorded = Counter(str(record["prompt"]).split(" ")[0] for record in records[1:])
    total = sum(load.requests.values())
    return {
        "n_threads": n_threads,
        "seconds": seconds,
        "requests": dict(load.requests),
        "requests_per_second": round(total / seconds, 1),
        "wrong": len(load.wrong),
        "examples": load.wrong[:5],
        "stuck_threads": stuck,
        "records_lost": sum(recorded[mark] == 0 for mark in load.marks),
        "records_doubled": sum(recorded[mark] > 1 for mark in load.marks),
        "log_is_whole": verify(log_path).problem is None,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.threads, options.seconds, Path(folder) / "audit.jsonl")
    report = {**found, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    print(json.dumps(report, indent=2))
    keep(report, RESULTS)


if __name__ == "__main__":
    main()
