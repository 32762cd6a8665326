"""What it takes to say where a text of 40 tokens fired: ``locate`` of the shipped filter, as a guard calls it.

Each arm explains each text, the arms in turns. ``score`` is the scoring that a verdict needs anyway; ``locate`` comes
after it, as in a guard; ``occlusion`` masks every word once. Times are wall milliseconds of one call; processor time
stands beside them, since the machine may be busy with other things.

Run: ``python -m benchmarks.explain_latency [--n 60] [--threads 2]``; with ``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`` in
the environment the filter computes as the command line has it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.kept import keep
from guard.explain.filters.table import explainer
from guard.filters.encoder import EncoderFilter

RESULTS = Path(__file__).parent / "results" / "explain_latency.json"
CATEGORY = "toxicity"
PHRASES = (
    "Thank you for the flowers", "you stupid idiot", "I hope that you have a good day", "and what a filthy liar he is",
    "the weather in the north was cold this week", "nobody asked for your opinion", "read it again and then write back",
    "these people are the worst of all", "we met them at the station on Monday", "shut up and go away",
)  # fmt: skip


def texts_of(filter_: EncoderFilter, n: int, tokens: int) -> list[str]:
    """Make texts of so many tokens that fire."""
    random, found = np.random.default_rng(2), list[str]()
    while len(found) < n:
        words = " , ".join(PHRASES[at] for at in random.permutation(len(PHRASES))).split()
        while words and len(filter_.token_windows([" ".join(words)])[0].ids) > tokens:
            words.pop()
        text = " ".join(words)
        if len(filter_.token_windows([text])[0].ids) == tokens and filter_.score_batch([text])[0, 0] >= 0.5:
            found.append(text)
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    filter_ = EncoderFilter.load(device="cpu")
    texts = texts_of(filter_, options.n, options.tokens)
    arms: dict[str, Callable[[str], Any]] = {
        "score": lambda text: filter_.score_batch([text]),
        "locate": filter_.locate,
        "occlusion": lambda text: explainer(filter_, "occlusion").explain([text], CATEGORY),
    }
    wall = {name: list[float]() for name in arms}
    processor = {name: list[float]() for name in arms}
    for call in arms.values():
        call(texts[0])
    fired = []
    for turn, text in enumerate(texts):
        filter_.score_batch([text])
        fired.append(len({span.category for span in filter_.locate(text)}))
        names = [*arms][turn % len(arms) :] + [*arms][: turn % len(arms)]
        for name in names:
            before, cpu = time.perf_counter(), time.process_time()
            arms[name](text)
            wall[name].append(1000 * (time.perf_counter() - before))
            processor[name].append(1000 * (time.process_time() - cpu))
    return {
        "filter": filter_.name,
        "dtype": filter_.dtype,
        "threads": options.threads,
        "n": len(texts),
        "tokens": options.tokens,
        "categories that fired, mean": round(float(np.mean(fired)), 2),
        "wall milliseconds": {name: summary(some) for name, some in wall.items()},
        "processor milliseconds": {name: summary(some) for name, some in processor.items()},
    }


def summary(values: list[float]) -> dict[str, float]:
    """Return quantiles."""
    return {name: round(float(np.percentile(values, q)), 2) for name, q in (("p10", 10), ("p50", 50), ("p95", 95))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=42, help="special tokens included")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="keep no figures")
    options = parser.parse_args()
    report = measured(options)
    for key, value in report.items():
        print(f"{key}: {value}")
    if not options.dry_run:
        keep(report, RESULTS)


if __name__ == "__main__":
    main()
