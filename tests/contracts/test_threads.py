"""Many threads against one guard: every answer is its caller's own, and every request has one record."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.threads import Answering, Load
from guard.audit_log import AuditLog, verify
from guard.filters.callable import RegexFilter
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action

FILTER = RegexFilter({"rude": ["idiot"], "pii_email": [r"\w+@[\w.]+\w"]})
RULES = {
    ("input", "rude"): (0.5, Action.BLOCK),
    ("output", "rude"): (0.5, Action.BLOCK),
    ("input", "pii_email"): (0.5, Action.REDACT),
}


def test_nothing_is_mixed_lost_or_stuck(tmp_path: Path) -> None:
    with AuditLog(tmp_path / "audit.jsonl", keep_text=True) as log:
        policy = Policy("threads", RULES)  # type: ignore[arg-type]
        guard = Guard(Answering(), policy, inputs=[FILTER], outputs=[FILTER], audit_log=log)
        load = Load(guard, time.monotonic() + 2.0)
        threads = [threading.Thread(target=load.work, args=(number,), daemon=True) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    assert load.wrong == []
    assert set(load.requests) == {"generate", "stream", "apply", "check"}
    found = verify(tmp_path / "audit.jsonl")
    assert (found.problem, found.n_records) == (None, sum(load.requests.values()))
    assert Counter(load.requests).total() == len(load.marks)
