"""Whether a run that is killed and resumed ends with the report of an unbroken one, at any moment and batch size.

Run as ``python -m benchmarks.kill_resume [--kills N] [--model MODEL] [--suite FILE] [--limit N] [--seed S]``. Without
a model it makes a Llama of two layers, and inputs that need no asset. Prints and writes
``benchmarks/results/kill_resume.json``; exits 1 where a report differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evals.report import without_times
from tests.small_command import Moment, journal_lines, kill_at, run, stage, start, write_inputs

OUT = Path(__file__).parent / "results" / "kill_resume.json"

BATCH_SIZES = ("1", "3", "32")
MANY_KILLS = 4
"""So often is the last run killed, each time that it goes on."""


@dataclass(frozen=True)
class Unbroken:
    """What an unbroken run tells about the others: its report, how many samples it has, and how long it takes."""

    report: str
    n_samples: int
    start_s: float
    """From the start of the process to the first line of the journal."""
    samples_s: float
    """From there to the last sample."""
    end_s: float
    """From there to the end."""


def audit(options: list[str], out: Path, *more: str) -> str:
    """Run to the end and return the report, without its times."""
    ended = run("audit", *options, "--out", out, *more)
    if ended.returncode not in (0, 1, 3):
        raise SystemExit(f"the audit exited {ended.returncode}: {ended.stderr}")
    [report] = out.glob("*/report.json")
    leftover = [file.name for file in report.parent.iterdir() if file.name.endswith(".part")]
    return without_times(report.read_text("utf-8")) + "".join(leftover)


def unbroken_run(options: list[str], out: Path) -> Unbroken:
    """Run once and watch the journal grow."""
    begun = time.monotonic()
    process = start("audit", *options, "--out", out)
    seen: list[tuple[float, int]] = []
    while process.poll() is None:
        lines = journal_lines(out)
        if lines and (not seen or lines > seen[-1][1]):
            seen.append((time.monotonic() - begun, lines))
        time.sleep(0.005)
    ended = time.monotonic() - begun
    err = process.communicate()[1]
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"the audit exited {process.returncode}: {err}")
    [report] = out.glob("*/report.json")
    first, last = seen[0][0], seen[-1][0]
    report_text = without_times(report.read_text("utf-8"))
    return Unbroken(report_text, seen[-1][1] - 1, first, last - first, ended - last)


def moments(known: Unbroken, n: int, rng: random.Random) -> list[Moment]:
    """Draw moments: a fifth before the journal, a fifth after the last sample, the others spread over the samples."""
    last = known.n_samples + 1
    a_line = known.samples_s / last
    drawn = []
    for k in range(n):
        place = (k + rng.random()) / n
        if place < 0.2:
            drawn.append(Moment(0, place / 0.2 * known.start_s))
        elif place < 0.8:
            drawn.append(Moment(1 + int((place - 0.2) / 0.6 * (last - 1)), rng.uniform(0, 4 * a_line)))
        else:
            drawn.append(Moment(last, (place - 0.8) / 0.2 * known.end_s))
    return drawn


def kill(options: list[str], out: Path, moment: Moment, known: Unbroken) -> str | None:
    """Start a run and kill it; return how far it had come, or None when it ended before."""
    arguments = [*options, "--out", str(out), *(["--resume"] if out.exists() else [])]
    if not kill_at(start("audit", *arguments), out, moment):
        return None
    return stage(out, n_samples=known.n_samples)


def killed_once(options: list[str], folder: Path, moment: Moment, known: Unbroken) -> dict[str, Any]:
    """Kill one run, sooner where it ended before, and let it go on to its end."""
    place = None
    for attempt in range(5):
        out = folder / f"attempt-{attempt}"
        place = kill(options, out, Moment(moment.lines, moment.delay_s / 2**attempt), known)
        if place is not None:
            break
    report = audit(options, out, "--resume")
    return {"lines": moment.lines, "delay_s": round(moment.delay_s, 3), "stage": place, "same": report == known.report}


def killed_often(options: list[str], out: Path, known: Unbroken, rng: random.Random) -> dict[str, Any]:
    """Kill one run again and again, each time further on, and let it go on to its end."""
    lines = sorted(rng.sample(range(1, known.n_samples), MANY_KILLS))
    stages = [kill(options, out, Moment(line, 0.0), known) for line in lines]
    report = audit(options, out, "--resume")
    return {"lines": lines, "stages": stages, "same": report == known.report}


def measure(options: list[str], folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Make the runs, in folders of their own that are removed as soon as they are compared."""
    rng = random.Random(seed)
    tell("unbroken run")
    known = unbroken_run(options, folder / "unbroken")
    batches = {}
    for rows in BATCH_SIZES:
        batches[rows] = audit(options, folder / f"rows-{rows}", "--batch-size", rows) == known.report
        tell(f"batch size {rows}: {'same' if batches[rows] else 'DIFFERENT'}")
    once = []
    for k, moment in enumerate(moments(known, kills, rng)):
        once.append(killed_once(options, folder / f"kill-{k}", moment, known))
        shutil.rmtree(folder / f"kill-{k}")
        tell(f"kill {k + 1} of {kills}, {once[-1]['stage']}: {'same' if once[-1]['same'] else 'DIFFERENT'}")
    often = killed_often(options, folder / "often", known, rng)
    tell(f"{MANY_KILLS} kills of one run: {'same' if often['same'] else 'DIFFERENT'}")
    return {
        "summary": {
            "kills": sum(kill["stage"] is not None for kill in once),
            "same report after a kill": sum(kill["same"] for kill in once),
            "kills by stage": dict(Counter(str(kill["stage"]) for kill in once)),
            f"same report after {MANY_KILLS} kills of one run": often["same"],
            "same report by batch size": batches,
        },
        "samples": known.n_samples,
        "report sha256": hashlib.sha256(known.report.encode("ascii")).hexdigest(),
        "unbroken run": {key: round(getattr(known, key), 2) for key in ("start_s", "samples_s", "end_s")},
        "once": once,
        "often": often,
        "packages": {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "python": sys.version.split()[0],
    }


def tell(line: str) -> None:
    print(line, flush=True)


def all_same(found: dict[str, Any]) -> bool:
    summary = found["summary"]
    return bool(
        summary["kills"] == summary["same report after a kill"] == len(found["once"])
        and found["often"]["same"]
        and all(summary["same report by batch size"].values())
    )


def options_of(given: argparse.Namespace, folder: Path) -> list[str]:
    """Return the options of the audit: those of the user's model and suite, else of a small model and inputs."""
    limit = ["--limit", str(given.limit)] if given.limit else []
    if given.model or given.suite:
        named = {"--model": given.model, "--suite": given.suite}
        return [part for name, value in named.items() if value for part in (name, value)] + limit
    from tests.tiny_llama import write_tiny_llama

    model = write_tiny_llama(folder / "tiny-llama")
    return [*write_inputs(folder / "inputs", model=model), *limit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model")
    parser.add_argument("--suite")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(options_of(given, folder), folder, kills=given.kills, seed=given.seed)
    found = {"model": given.model or "tiny llama", "suite": given.suite or "small", **found}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    tell(json.dumps(found["summary"], indent=2))
    sys.exit(0 if all_same(found) else 1)


if __name__ == "__main__":
    main()
