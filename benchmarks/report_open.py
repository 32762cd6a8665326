"""How long a report of 20,000 samples takes to open in Chromium, and what search, filters and order take then.

Run as ``python -m benchmarks.report_open [--samples N] [--runs N] [--peer-runs N] [--out FILE]``. The samples are
continuations of made-up words in the numbers of a real run: 25 a prompt, both arms, eight categories, spans where the
guard fired. The peer is the page as it would be with every sample written out as markup, as HTML exports of result
tables do. Times count from the start of the navigation, in a tab of a running browser; medians are kept, and all.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.kept import keep
from evals.report.html import to_html
from evals.schema import Arm, Example, Generation, Record, Report, Sample
from guard.schema import Action, Span, Verdict
from tests.evals.report.chromium import Page, find_chromium, open_page
from tests.evals.report.example import example_report
from tests.evals.report.example_records import THRESHOLDS, Value

OUT = Path(__file__).parent / "results" / "report_open.json"
LIMIT_S = 2.0

_CATEGORIES = ("toxicity", "insult", "threat", "sexual", "identity_attack", "self_harm", "jailbreak", "pii")
_A_PROMPT = 25
_ARMS: tuple[Arm, Arm] = ("unguarded", "guarded")

_READY = "performance.getEntriesByName('samples-data-ready')[0]?.startTime"
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"

_USES = {
    "first search": "words.value = 'w17 w23'; words.dispatchEvent(new Event('input'))",
    "next search": "words.value = 'w5'; words.dispatchEvent(new Event('input'))",
    "filter": "outcome.value = 'block'; outcome.dispatchEvent(new Event('change'))",
    "sort": "sort.value = '0'; sort.dispatchEvent(new Event('change'))",
}


_TIMED = """new Promise(done => {
  const ids = ['find-words', 'find-outcome', 'find-sort', 'found'];
  const [words, outcome, sort, list] = ids.map(id => document.getElementById(id));
  const before = list.firstChild, begun = performance.now();
  USE;
  const look = () => list.firstChild === before ? setTimeout(look) : done((performance.now() - begun) / 1000);
  look();
})"""
"""Resolves once the list has been drawn anew; a search waits 120 ms for the next letter, which is counted."""


def records(n: int) -> Iterator[tuple[str, Record]]:
    """Make `n` continuations, with words drawn as unevenly as those of a language."""
    draw = random.Random(20)
    words = [f"w{i}{'abcdefgh'[: i % 7]}" for i in range(4000)]
    weights = [1 / (i + 2) for i in range(4000)]
    for i in range(n):
        place = i // _A_PROMPT
        prompt = " ".join(random.Random(place).choices(words, weights, k=14))
        output = " ".join(draw.choices(words, weights, k=draw.randint(12, 24)))
        yield "model", _record(i, place, prompt, output, draw)


def _record(i: int, place: int, prompt: str, output: str, draw: random.Random) -> Record:
    sample = Sample(f"toxicity/p{place:04}#{i % _A_PROMPT:02}", "toxicity", f"p{place:04}", prompt, f"g{place % 12}", i)
    before = Verdict(Action.ALLOW, "input", dict.fromkeys(_CATEGORIES, place * 7 % 97 / 200))
    scores = {c: draw.random() ** 4 for c in _CATEGORIES}
    fired = tuple(c for c, score in scores.items() if score >= 0.8)
    spans = tuple(Span(3 * k, 3 * k + 9, c, scores[c]) for k, c in enumerate(fired))
    after = Verdict(Action.BLOCK if fired else Action.ALLOW, "output", scores, fired, spans)
    bare = Generation(output, Action.ALLOW, before, Verdict(Action.ALLOW, "output", scores))
    guarded = Generation("I can't help with that." if fired else output, after.action, before, after)
    return Record(sample, output, dict(zip(_ARMS, (bare, guarded), strict=True)))


def values(made: list[tuple[str, Record]]) -> list[Value]:
    """Make a score for every sample and arm."""
    draw = random.Random(21)
    return [
        Value(model, r.sample.task, "toxic_share", arm, r.sample.id, draw.random())
        for model, r in made
        for arm in r.arms
    ]


def written_out(report: Report, made: list[tuple[str, Record]]) -> Report:
    """Return a report whose examples are all the samples, as the page shows them without a browser."""
    examples = tuple(
        Example(
            *(r.sample.id, r.sample.task, r.sample.group, r.sample.prompt, r.output or ""),
            *(r.arms["guarded"].text or "", 0.5, "scorer"),
            *(r.arms["guarded"].prompt_verdict, r.arms["guarded"].output_verdict),
        )
        for _, r in made
    )
    return replace(report, models=(replace(report.models[0], examples=examples),))


def opened(page: Page, path: Path) -> dict[str, float]:
    """Open the page and use it once."""
    page.open(path)
    page.wait_for(_READY, seconds=60)
    times = {name: page.evaluate(found) / 1000 for name, found in (("painted", _PAINTED), ("ready", _READY))}
    for name, use in _USES.items():
        times[name] = page.evaluate(_TIMED.replace("USE", use))
    return times


def loaded(page: Page, path: Path) -> float:
    """Open a page and return when it had loaded."""
    page.open(path)
    page.wait_for(_LOADED, seconds=120)
    return float(page.evaluate(_LOADED)) / 1000


def measured(n: int, runs: int, peer_runs: int) -> dict[str, Any]:
    """Write both pages and open each of them some times."""
    executable = find_chromium()
    if executable is None:
        raise SystemExit("no Chromium: install one, or name it in ASSAY_CHROMIUM")
    made, report = list(records(n)), example_report(models=1)
    begun = time.monotonic()
    ours = to_html(report, records=made, values=values(made), thresholds=THRESHOLDS)
    written_s = time.monotonic() - begun
    with tempfile.TemporaryDirectory() as folder, open_page(executable) as page:
        packed, plain = Path(folder, "report.html"), Path(folder, "plain.html")
        packed.write_text(ours, encoding="utf-8")
        plain.write_text(to_html(written_out(report, made)) if peer_runs else "", encoding="utf-8")
        version = page.call("Browser.getVersion")["product"]
        times = [opened(page, packed) for _ in range(runs)]
        others = [loaded(page, plain) for _ in range(peer_runs)]
        sizes = {path.stem: round(path.stat().st_size / 1e6, 2) for path in (packed, plain)}
    medians = {name: round(statistics.median(one[name] for one in times), 3) for name in times[0]}
    return {
        "samples": n,
        "browser": version,
        "written_s": round(written_s, 2),
        "megabytes": sizes,
        "median_s": medians,
        "all_ready_s": [round(one["ready"], 3) for one in times],
        "all_samples_as_markup_s": [round(one, 3) for one in others],
        "limit_s": LIMIT_S,
        "holds": medians["ready"] < LIMIT_S,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-runs", type=int, default=1, help="openings of the page with all samples as markup")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = measured(given.samples, given.runs, given.peer_runs)
    keep(found, given.out)
    print(json.dumps(found, indent=2))
    if not found["holds"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
