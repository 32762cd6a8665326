"""Obfuscated toxicity: recall at a fixed threshold, and the false alarms on benign text that was garbled the same way.

The threshold of each method is set once, on clean benign text, at 1% false alarms. Every attack of ``attacks_chars`` is
then applied to the same toxic and benign texts, all from test splits, and nothing is set again. Methods:

- ``bare``: the encoder filter on the text as it comes;
- ``canonical``: on its canonical form, which the filter makes itself;
- ``views``: the highest score of the canonical form and its other readings, as the guard judges;
- ``instead``: the highest score of the other readings alone, where there are any.

Run ``python -m benchmarks.obfuscation [--toxic 300] [--benign 600]``; figures go to
``benchmarks/results/obfuscation.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.attacks_chars import ATTACKS, CHARACTERS, attack
from benchmarks.kept import keep
from guard.canonical import Canonical, canonicalize
from guard.filters import encoder_text
from guard.filters.encoder import EncoderFilter
from guard.train.rows import hash_fraction
from guard.train.sources import SOURCES, read_source
from guard.views import views

RESULTS = Path(__file__).parent / "results" / "obfuscation.json"
DATA = Path("../shared/data")
TOXIC = ("davidson_twitter", "measuring_hate", "toxic_spans")
BENIGN = ("banking77", "clinc150", "davidson_twitter", "measuring_hate", "multidogo_customer", "sentiment_vader")
SIZES = range(20, 240)
FALSE_ALARMS = 0.01

Column = npt.NDArray[np.float64]


def pools(data: Path, n_toxic: int, n_benign: int, *, salt: str) -> tuple[list[str], list[str]]:
    """Draw texts of the test splits by hash, the same number from each set."""
    toxic: list[str] = []
    benign: list[str] = []
    for source in SOURCES:
        if source.name not in TOXIC + BENIGN:
            continue
        rows = [row for row in read_source(source, data) if row.split == "test" and len(row.text) in SIZES]
        rows.sort(key=lambda row: hash_fraction(row.text, salt=salt))
        if source.name in TOXIC:
            wanted = [row.text for row in rows if row.labels.get("toxicity", 0.0) >= 0.99]
            toxic += wanted[: n_toxic // len(TOXIC)]
        if source.name in BENIGN:
            benign += [row.text for row in rows if row.labels.get("toxicity", 1.0) == 0.0][: n_benign // len(BENIGN)]
    return toxic, benign


def without_canonical_text() -> AbstractContextManager[object]:
    """Let the encoder read text as it comes."""
    return mock.patch.object(encoder_text, "canonicalize", lambda text: Canonical(text, len(text)))


def scores(encoder: EncoderFilter, texts: Sequence[str]) -> dict[str, Column]:
    """Score texts by every method, shape (len(texts),) each."""
    column = encoder.categories.index("toxicity")
    with without_canonical_text():
        bare = encoder.score_batch(texts)[:, column].astype(float)
    forms = [canonicalize(text) for text in texts]
    readings = [[form, *(view.form for view in views(form))] for form in forms]
    flat = iter(encoder.score_batch([form.text for given in readings for form in given])[:, column].astype(float))
    rows = [[next(flat) for _ in given] for given in readings]
    return {
        "bare": bare,
        "canonical": np.array([row[0] for row in rows]),
        "views": np.array([max(row) for row in rows]),
        "instead": np.array([max(row[1:] or row) for row in rows]),
        "n_views": np.array([len(row) - 1.0 for row in rows]),
    }


def measure(
    encoder: EncoderFilter, toxic: Sequence[str], benign: Sequence[str], names: Sequence[str] = tuple(ATTACKS)
) -> dict[str, object]:
    """Measure every attack; all figures are percent."""
    methods = ("bare", "canonical", "views", "instead")
    clean_toxic, clean_benign = scores(encoder, toxic), scores(encoder, benign)
    thresholds = {m: float(np.quantile(clean_benign[m], 1 - FALSE_ALARMS, method="higher")) for m in methods}
    recall = {m: percent(clean_toxic[m] > thresholds[m]) for m in methods}
    print_row("clean", {m: (recall[m], percent(clean_benign[m] > thresholds[m])) for m in methods})
    report: dict[str, object] = {"clean recall": recall, "thresholds": thresholds}
    for name in names:
        hit = scores(encoder, [attack(text, name, seed=0) for text in toxic])
        alarm = scores(encoder, [attack(text, name, seed=0) for text in benign])
        row = {m: (percent(hit[m] > thresholds[m]), percent(alarm[m] > thresholds[m])) for m in methods}
        print_row(name, row)
        report[name] = {m: {"recall": row[m][0], "false alarms": row[m][1]} for m in methods}
    return report


def percent(flags: npt.NDArray[np.bool_]) -> float:
    """Return the share of True in percent."""
    return round(100 * float(flags.mean()), 2)


def print_row(name: str, row: dict[str, tuple[float, float]]) -> None:
    """Print recall and false alarms of each method."""
    cells = "   ".join(f"{method} {recall:5.1f} /{alarms:5.1f}" for method, (recall, alarms) in row.items())
    print(f"{name:22s} {cells}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds one folder a data set")
    parser.add_argument("--toxic", type=int, default=300)
    parser.add_argument("--benign", type=int, default=600)
    parser.add_argument("--salt", default="fresh", help="which texts are drawn; 'obfuscation' are those tuned on")
    parser.add_argument("--weights", type=Path, help="folder of encoder weights; default: what ships")
    parser.add_argument("--attacks", nargs="+", choices=tuple(ATTACKS), default=tuple(ATTACKS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--texts-to", type=Path, help="write the texts to this file, for obfuscation_gorget, and stop")
    options = parser.parse_args(argv)
    toxic, benign = pools(options.data, options.toxic, options.benign, salt=options.salt)
    if options.texts_to:
        options.texts_to.write_text(json.dumps({"toxic": toxic, "benign": benign}), encoding="utf-8")
        return
    encoder = EncoderFilter.load(weights=options.weights, device="cpu")
    print(f"{encoder.name}; {len(toxic)} toxic, {len(benign)} benign; recall / false alarms in percent")
    report = {
        "encoder": encoder.name,
        "n_toxic": len(toxic),
        "n_benign": len(benign),
        "attacks": {"characters": len(CHARACTERS), "encodings": len(ATTACKS) - len(CHARACTERS)},
        "results": measure(encoder, toxic, benign, options.attacks),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    keep(report, options.out)


if __name__ == "__main__":
    main()
