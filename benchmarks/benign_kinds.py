"""Benign text of many scripts and kinds: how often canonical text and other readings change a verdict.

A verdict changes where the toxicity score crosses the threshold between the text as it comes and the highest score of
its canonical form and other readings. The threshold is that of ``benchmarks.obfuscation``: 1% false alarms on clean
benign English. Texts without other form or reading cannot change and are not scored.

Run ``python -m benchmarks.benign_kinds [--most 300]``; figures go to ``benchmarks/results/benign_kinds.json``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import os
import random
import re
import sysconfig
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.obfuscation import DATA, FALSE_ALARMS, pools, scores
from guard.canonical import canonicalize
from guard.filters.encoder import EncoderFilter
from guard.views import views

RESULTS = Path(__file__).parent / "results" / "benign_kinds.json"
SENTENCES = Path(__file__).parent / "benign_sentences.json"

# Kind, file, column of text, and what a benign row has in which column.
SETS = (
    ("requests", "clinc150/clinc150.csv", "text", "split", "test"),
    ("banking", "banking77/banking77.csv", "text", "split", "test"),
    ("customer service", "multidogo_customer/multidogo_customer.csv.gz", "text", "split", "test"),
    ("reviews and tweets", "sentiment_vader/sentiment_vader.csv.gz", "text", "label", "pos"),
    ("Wikipedia", "bold_prompts/bold_prompts.csv.gz", "prompt", "", ""),
    ("exam questions", "winobias/winobias.csv", "text", "", ""),
    ("Chinese comments", "cold_zh/cold_zh.csv.gz", "text", "label", "0"),
    ("Chinese questions", "cvalues_prompts_zh/cvalues_prompts_zh.csv", "prompt", "", ""),
    ("emoji", "hatemoji_build/hatemoji_build.csv", "text", "label", "0"),
)
TRANSLATED = "cse_prompt_injection/cse_prompt_injection_multilingual.jsonl"
PLAIN = (("drama", "plain_text/tinyshakespeare.txt"), ("encyclopaedia", "plain_text/wikitext2_test.txt"))


def kinds(data: Path, most: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each kind with its texts, `most` at most, drawn by hash."""
    for kind, file, column, key, value in SETS:
        yield kind, drawn((row[column] for row in rows(data / file) if not key or row[key] == value), most)
    for kind, file in PLAIN:
        yield kind, drawn((data / file).read_text(encoding="utf-8").split("\n"), most)
    translated: dict[str, list[str]] = {}
    for line in (data / TRANSLATED).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        translated.setdefault(row["speaking_language"], []).append(row["test_case_prompt"])
    for language, texts in sorted(translated.items()):
        yield f"{language} (translated)", drawn(texts, most)
    yield "source code", drawn(source_code(), most)
    for kind, texts in sorted(json.loads(SENTENCES.read_text(encoding="utf-8")).items()):
        yield kind, texts
    rng = random.Random("kinds")
    yield "identifiers and addresses", [identifier(rng) for _ in range(most)]
    yield "numbers and formulas", [formula(rng) for _ in range(most)]


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, gzipped or not."""
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def drawn(texts: Iterator[str] | Sequence[str], most: int) -> list[str]:
    """Draw distinct texts by hash."""
    usable = {text.strip() for text in texts if 15 <= len(text.strip()) <= 400}
    return sorted(usable, key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())[:most]


def source_code() -> Iterator[str]:
    """Yield functions and comments of the standard library of the running Python."""
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("[a-j]*.py")):
        yield from re.split(r"\n\n+", path.read_text(encoding="utf-8", errors="ignore"))


def identifier(rng: random.Random) -> str:
    """Write a sentence about a random identifier."""
    data = rng.randbytes(24)
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8))
    made = rng.choice(
        (
            str(uuid.UUID(bytes=data[:16])),
            hashlib.sha256(data).hexdigest(),
            data.hex()[:40],
            "data:image/png;base64,iVBORw0KGgo" + __import__("base64").b64encode(data).decode(),
            f"https://{name}.example.org/{name}/{data.hex()[:6]}?q={name}&page={data[0]}#top",
            f"{name}.{name[:3]}@example.com",
            f"/usr/lib/{name}/{name}-{data[0]}.{data[1]}.so",
            f"{name.upper()}-{data[0]:03d}-{data[1]:03d}",
        )
    )
    return rng.choice(("See {}", "The commit is {}.", "Please open {} and tell me what you see", "{}")).format(made)


def formula(rng: random.Random) -> str:
    """Write a line of numbers or symbols."""
    a, b, c = (rng.randrange(1, 999) for _ in range(3))
    return rng.choice(
        (
            f"+44 20 {a:04d} {b:04d} or ({c:03d}) 555-{a:04d}",
            f"∫₀^{a} x² dx = {b}/3, and ∀ε > 0 ∃δ: |f(x) − f(y)| < ε",
            f"C{a % 20}H{b % 40}O{c % 9} + {a % 9}O2 -> {b % 9}CO2 + {c % 9}H2O at {a} K",
            f"x{a % 9} + y{b % 9} - z = {c}; a * b / c ** {a % 9}",
            f"| {a} | {b} | {c} |\n|---|---|---|\n| {c} | {a} | {b} |",
            f"{a}x{b}x{c} mm, {a % 60}:{b % 60:02d}, {a}.{b}%, ${c},{a:03d}.00, 5th of {a}",
            f"Q{a % 4 + 1} {2000 + b % 30}: +{c}% (n = {a}, p < 0.0{b % 9 + 1}, 95% CI {a}-{a + b})",
            f"Press {a % 10}, {b % 10} or {c % 10}; then A, B or C. E5 F#m7 Bb/D 4/4",
        )
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds one folder a data set")
    parser.add_argument("--most", type=int, default=300, help="texts of a kind")
    parser.add_argument("--weights", type=Path, help="folder of encoder weights; default: what ships")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    encoder = EncoderFilter.load(weights=options.weights, device="cpu")
    clean = scores(encoder, pools(options.data, 0, 600, salt="fresh")[1])["views"]
    threshold = float(np.quantile(clean, 1 - FALSE_ALARMS, method="higher"))
    report: dict[str, dict[str, int]] = {}
    for kind, texts in kinds(options.data, options.most):
        forms = [canonicalize(text) for text in texts]
        other = [t for t, form in zip(texts, forms, strict=True) if form.text != t or views(form)]
        found = scores(encoder, other) if other else {"bare": np.zeros(0), "views": np.zeros(0)}
        changed = (found["bare"] > threshold) != (found["views"] > threshold)
        n_read = sum(bool(views(form)) for form in forms)
        report[kind] = {"texts": len(texts), "with other readings": n_read, "changed": int(changed.sum())}
        print(f"{kind:28s} {len(texts):5d} texts {n_read:4d} with readings {int(changed.sum()):3d} changed", flush=True)
        for text in [text for text, flag in zip(other, changed, strict=True) if flag][:3]:
            print("    ", repr(text[:150]))
    total = {key: sum(row[key] for row in report.values()) for key in ("texts", "with other readings", "changed")}
    print(total)
    scratch = options.out.with_suffix(".tmp")
    whole = {"encoder": encoder.name, "threshold": threshold, "kinds": len(report), "total": total, "by kind": report}
    scratch.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, options.out)


if __name__ == "__main__":
    main()
