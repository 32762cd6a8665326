"""What a cascade of the n-gram filter before the encoder saves and costs, and whether blending both helps.

The cascade is fitted on test rows of the training sets, at the thresholds of the standard policy, and measured on other
text: everyday requests, mixed traffic with one harmful text in ten, and sets that neither filter was trained on. An
added miss is a text that the encoder stops and the cascade lets through. Speed is timed on the same texts in turns.

Run ``python -m benchmarks.cascade [--data ../shared/data] [--encoder FOLDER] [--rows 600]``; figures go to
``benchmarks/results/cascade.json``. The data are no part of the project: without them there is nothing to measure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binomtest, norm, rankdata

from guard.filters.cascade import CascadeFilter, CascadeFit, blend_scores, fit_cascade
from guard.filters.encoder import EncoderFilter
from guard.filters.ngram import NgramFilter
from guard.policy import Policy
from guard.schema import Filter, Scores, Stage
from guard.train.measure import benign_sets, unseen_sets
from guard.train.mixture import read_mixture
from guard.train.rows import Row

RESULTS = Path(__file__).parent / "results" / "cascade.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
EVERYDAY = ("banking77", "benign_instructions", "clinc150", "multidogo_customer turn")
FIT_ROWS = 250
ALLOWED = (0.01, 0.02, 0.05)
SHARES = (0.15, 0.3, 0.5, 1.0)
BATCH = 32


class Scored:
    """Scores of both filters, each text scored once."""

    def __init__(self, cheap: Filter[str], dear: Filter[str]) -> None:
        self._filters = {"cheap": cheap, "dear": dear}
        self._known: dict[str, dict[str, Scores]] = {"cheap": {}, "dear": {}}

    def of(self, which: str, texts: Sequence[str]) -> Scores:
        """Return the scores of the cheap or the dear filter."""
        known = self._known[which]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known |= dict(zip(new, self._filters[which].score_batch(new), strict=True))
        return np.stack([known[text] for text in texts])


def thresholds_of(policy: Policy, stage: Stage, categories: Sequence[str]) -> list[float]:
    """Return the policy's threshold for each category, infinite where it has no rule."""
    rules = policy.thresholds
    return [rules[stage, name][0] if (stage, name) in rules else math.inf for name in categories]


def share(hits: int, n: int) -> dict[str, Any]:
    """Return a share with its exact 95% interval (Clopper & Pearson 1934)."""
    if n == 0:
        return {"value": None, "n": 0}
    interval = binomtest(hits, n).proportion_ci(method="exact")
    return {"value": round(hits / n, 4), "n": n, "interval": [round(interval.low, 4), round(interval.high, 4)]}


def fit_rows(mixture: Sequence[Row]) -> list[str]:
    """Draw test rows of every training set, as many of each."""
    by_source: dict[str, list[str]] = {}
    for row in mixture:
        if row.split == "test":
            by_source.setdefault(row.source, []).append(row.text)
    rng = random.Random("cascade")
    return [t for _, texts in sorted(by_source.items()) for t in rng.sample(texts, min(FIT_ROWS, len(texts)))]


def costs(fit: CascadeFit, cheap: Scores, dear: Scores, limits: Sequence[float]) -> dict[str, Any]:
    """Return the share skipped, and how many of the texts that the encoder alone stops the cascade lets through."""
    settled: npt.NDArray[np.bool_] = np.all(cheap < fit.low, axis=1)
    fired: npt.NDArray[np.bool_] = np.any(dear.round(7) >= limits, axis=1)
    return {
        "skipped": share(int(settled.sum()), len(settled)),
        "added_miss": share(int((settled & fired).sum()), int(fired.sum())),
        "stopped_without": share(int(fired.sum()), len(fired)),
        "stopped_with": share(int((fired & ~settled).sum()), len(fired)),
    }


def measure_stage(
    scored: Scored, fit_texts: Sequence[str], sets: Mapping[str, Sequence[str]], limits: Sequence[float], allowed: float
) -> tuple[CascadeFit, dict[str, Any]]:
    """Fit a cascade for one stage and measure it on every set."""
    cheap, dear = (scored.of(which, fit_texts) for which in ("cheap", "dear"))
    fit = fit_cascade(cheap, dear, limits, max_added_miss=allowed)
    by_set = {
        name: costs(fit, scored.of("cheap", texts), scored.of("dear", texts), limits) for name, texts in sets.items()
    }
    return fit, {"fit": {**asdict(fit), "n": len(fit_texts)}, "sets": by_set}


def components(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
    """DeLong et al. 1988, equations 4 and 5: what each positive and each negative adds to the area."""
    positive, negative = scores[truth], scores[~truth]
    ranks = rankdata(scores)
    return (ranks[truth] - rankdata(positive)) / len(negative), 1 - (ranks[~truth] - rankdata(negative)) / len(positive)


def paired_gain(ours: Scores, theirs: Scores, truth: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Compute the difference of two areas under the ROC curve on the same texts, with DeLong's 95% interval."""
    (a1, a0), (b1, b0) = (components(s.astype(np.float64), truth) for s in (ours, theirs))
    gain = float(a1.mean() - b1.mean())
    half = float(norm.ppf(0.975)) * math.sqrt(np.var(a1 - b1, ddof=1) / len(a1) + np.var(a0 - b0, ddof=1) / len(a0))
    return {"gain": round(gain, 4), "interval": [round(gain - half, 4), round(gain + half, 4)]}


def measure_blend(scored: Scored, rows: Mapping[str, Sequence[Row]], categories: Sequence[str]) -> dict[str, Any]:
    """Measure the gain in AUROC over the encoder alone by unseen set, category and share of the n-gram filter."""
    figures: dict[str, Any] = {}
    for name, members in rows.items():
        texts = [row.text for row in members]
        cheap, dear = scored.of("cheap", texts), scored.of("dear", texts)
        for at, category in enumerate(categories):
            labels = np.array([row.labels.get(category, 0.5) for row in members])
            clear = np.abs(labels - 0.5) > 0.2
            truth = labels[clear] > 0.5
            if min(truth.sum(), (~truth).sum()) < 20:
                continue
            ours, theirs = cheap[clear, at : at + 1], dear[clear, at : at + 1]
            alone = components(theirs[:, 0].astype(np.float64), truth)[0].mean()
            gains = {str(s): paired_gain(blend_scores(ours, theirs, [s])[:, 0], theirs[:, 0], truth) for s in SHARES}
            figures[f"{name}, {category}"] = {"n": len(truth), "encoder": round(float(alone), 4), "with share": gains}
    return figures


def documents_a_second(filter_: Filter[str], texts: Sequence[str]) -> float:
    """Score texts in batches as they would arrive."""
    started = time.perf_counter()
    for start in range(0, len(texts), BATCH):
        filter_.score_batch(texts[start : start + BATCH])
    return len(texts) / (time.perf_counter() - started)


def measure_speed(
    cheap: NgramFilter, dear: EncoderFilter, low: Mapping[str, float], texts: Sequence[str], *, repeats: int
) -> dict[str, Any]:
    """Time the encoder alone, the cascade and the n-gram filter alone, in turns."""
    cascade = CascadeFilter(cheap, dear, low=low)
    runs: dict[str, Filter[str]] = {"encoder": dear, "cascade": cascade, "n-gram": cheap}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for filter_ in runs.values():
        filter_.score_batch(texts[:BATCH])
    for _ in range(repeats):
        for name, filter_ in runs.items():
            taken[name].append(documents_a_second(filter_, texts))
    ratios = [a / b for a, b in zip(taken["cascade"], taken["encoder"], strict=True)]
    return {
        "n_texts": len(texts),
        "documents_per_second": {name: round(statistics.median(rates), 1) for name, rates in taken.items()},
        "all": {name: [round(rate, 1) for rate in rates] for name, rates in taken.items()},
        "ratio": round(statistics.median(ratios), 2),
        "share_skipped": round(cascade.stats().share_skipped or 0.0, 4),
    }


def sets_of(data: Path, mixture: Sequence[Row], n_rows: int) -> tuple[dict[str, list[str]], dict[str, list[Row]]]:
    """Gather everyday and mixed traffic as texts, and the unseen sets as rows."""
    unseen = {name: rows[:n_rows] for name, rows in unseen_sets(data).items()}
    benign = benign_sets(data, mixture)
    traffic = {name: benign[name][:n_rows] for name in EVERYDAY if name in benign}
    calm = [text for texts in traffic.values() for text in texts]
    harmful = [row.text for rows in unseen.values() for row in rows if max(row.labels.values()) > 0.5]
    rng = random.Random("mixed")
    n_harmful = min(len(harmful), len(calm) // 9, n_rows // 10)
    mixed = rng.sample(calm, 9 * n_harmful) + rng.sample(harmful, n_harmful)
    rng.shuffle(mixed)
    return {**traffic, "mixed, 10% harmful": mixed}, unseen


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    mixture = read_mixture(options.data)
    traffic, unseen = sets_of(options.data, mixture, options.rows)
    dear = EncoderFilter.load(weights=options.encoder, device="cpu")
    cheap = NgramFilter.load(languages=("en",))
    scored = Scored(cheap, dear)
    harmful = {
        f"{name}, harmful": [row.text for row in rows if max(row.labels.values()) > 0.5]
        for name, rows in unseen.items()
    }
    sets = traffic | {name: texts for name, texts in harmful.items() if texts}
    policy, texts = Policy.load("standard"), fit_rows(mixture)
    report: dict[str, Any] = {"filters": {"cheap": cheap.name, "dear": dear.name}}
    stages: tuple[Stage, ...] = ("input", "output")
    for stage in stages:
        limits = thresholds_of(policy, stage, dear.categories)
        figures = {}
        for allowed in ALLOWED:
            fit, figures[str(allowed)] = measure_stage(scored, texts, sets, limits, allowed)
            if allowed == options.max_added_miss:
                low = dict(zip(dear.categories, fit.low, strict=True))
                everyday = [text for name in EVERYDAY for text in traffic.get(name, [])[: options.timed]]
                figures[str(allowed)]["speed"] = {
                    "everyday": measure_speed(cheap, dear, low, everyday, repeats=options.repeats),
                    "mixed": measure_speed(
                        cheap, dear, low, traffic["mixed, 10% harmful"][: options.timed * 4], repeats=options.repeats
                    ),
                }
        report[stage] = figures
    report["blend"] = measure_blend(scored, unseen, dear.categories)
    return report


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with one folder a set")
    parser.add_argument("--encoder", type=Path, help="weights of the encoder (default: what ships)")
    parser.add_argument("--rows", type=int, default=600, help="most texts of a set")
    parser.add_argument(
        "--max-added-miss", type=float, choices=ALLOWED, default=0.02, help="of the cascade that is timed"
    )
    parser.add_argument("--timed", type=int, default=64, help="texts of each everyday set to time")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    if not options.data.exists():
        parser.exit(2, f"{options.data}: there is no such folder, so nothing was measured; give one with --data\n")
    report = run(options)
    report |= {
        "repeats": options.repeats,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    write_report(report)
    for stage in ("input", "output"):
        for allowed, figures in report[stage].items():
            print(stage, "at most", allowed, "of stops missed:", json.dumps(figures["fit"]))
            for name, costs_ in figures["sets"].items():
                print("   ", name, "skipped", costs_["skipped"]["value"], "added miss", costs_["added_miss"])
            print("   ", json.dumps(figures.get("speed", {})))
    for name, gains in report["blend"].items():
        print("blend", name, json.dumps(gains))


def write_report(report: Mapping[str, Any]) -> None:
    """Replace the kept figures in one step."""
    RESULTS.parent.mkdir(exist_ok=True)
    scratch = RESULTS.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(scratch, RESULTS)


if __name__ == "__main__":
    main()
