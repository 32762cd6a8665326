"""Explanations of the shipped filter by Assay and by Captum: the same values, and how long each takes.

Both arms ask the same function of the same float32 model in one process. Captum is given the token ids of the windows
that Assay finds for itself, so that work is counted against Assay alone.

- Integrated gradients, equal steps: the largest difference of a token's value, over rules and steps.
- Integrated gradients at a convergence gap: Assay stops each text where its gap is small enough. Captum takes one
  number of steps for all; it gets the smallest at which 99% of the texts reach the gap, and the smallest at which all
  do (found on the same texts, not timed). ``best`` sorts texts by length and takes the batch of texts and the
  ``internal_batch_size`` that were fastest on a part of them; ``default`` is a call a text with 50 steps, and ``mixed``
  calls with four texts at a time as they come, padded, with 50 steps; these two on the first texts only.
- Occlusion of tokens: ``best`` sorts, and takes the fastest ``perturbations_per_eval``; ``default`` is a call a text.
- Shapley values of ten-word texts: Captum gets as many orders as make its root mean square error against the exact
  values Assay's; ``best`` takes all texts in one batch, ``default`` a call a text.

Arms take turns on blocks of texts, each block in another order. Times are processor time of the process.

Run: ``python -m benchmarks.explain_captum --data FOLDER [--n 500]`` with the folder of the public sets.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import FeatureAblation, IntegratedGradients, ShapleyValueSampling

from benchmarks.kept import keep
from guard.explain.filters.embedded import EmbeddedModel, Window
from guard.explain.filters.table import explainer
from guard.explain.schema import Attribution
from guard.filters.encoder import EncoderFilter

RESULTS = Path(__file__).parent / "results" / "explain_captum.json"
CATEGORY = "toxicity"
SETS = ("toxic_spans/toxic_spans.csv.gz", "dynahate/dynahate.csv.gz", "clinc150/clinc150.csv")
STEPS = (20, 24, 28, 32, 36, 40, 48, 64, 96)
BUDGETS = (1024, 2048, 4096)
Calls = dict[str, Callable[[Sequence[int]], Any]]


class Theirs:
    """Captum on the windows of the texts."""

    def __init__(self, filter_: EncoderFilter, windows: Sequence[Window]) -> None:
        self._filter, self._windows = filter_, windows
        self._mask_id = filter_.vocabulary.index("[MASK]")
        self.table = filter_.word_embeddings
        self.gradients = IntegratedGradients(self.by_words)
        self.ablation, self.shapley = FeatureAblation(self.by_ids), ShapleyValueSampling(self.by_ids)

    def by_words(self, words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return log-odds of embeddings."""
        return self._filter.logits_of(words, mask)[:, 0]

    def by_ids(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return log-odds of token ids."""
        return self.by_words(self.table[ids], mask)

    def padded(self, texts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ids, the ids with every token masked, and the mask of some texts, padded to the longest."""
        some = [self._windows[at] for at in texts]
        width = max(len(one.tokens.ids) for one in some)
        ids, nothing = (
            torch.zeros(len(some), width, dtype=torch.int64),
            torch.zeros(len(some), width, dtype=torch.int64),
        )
        mask = torch.zeros(len(some), width, dtype=torch.bool)
        for row, one in enumerate(some):
            n = len(one.tokens.ids)
            ids[row, :n] = torch.tensor(one.tokens.ids)
            nothing[row, :n] = torch.where(torch.tensor(one.inner), self._mask_id, ids[row, :n])
            mask[row, :n] = True
        return ids, nothing, mask

    def integrated(self, texts: Sequence[int], n_steps: int, *, budget: int | None, rule: str = "gausslegendre") -> Any:
        """Return values of every token, and the convergence gaps."""
        ids, nothing, mask = self.padded(texts)
        size = None if budget is None else max(len(texts), budget // ids.shape[1])
        values, gaps = self.gradients.attribute(
            self.table[ids],
            self.table[nothing],
            additional_forward_args=(mask,),
            n_steps=n_steps,
            method=rule,
            internal_batch_size=size,
            return_convergence_delta=True,
        )
        return values.sum(dim=2).detach().numpy(), gaps.detach().abs().numpy()

    def groups(self, texts: Sequence[int]) -> torch.Tensor:
        """Return which part each token is of; special tokens and padding are of the last, which changes nothing."""
        some = [self._windows[at] for at in texts]
        width = max(len(one.tokens.ids) for one in some)
        made = torch.full((len(some), width), -1, dtype=torch.int64)
        for row, one in enumerate(some):
            made[row, : len(one.parts.owners)] = torch.tensor(one.parts.owners)
        n_parts = int(made.max()) + 1
        return torch.where(made < 0, n_parts, made)

    def ablated(self, texts: Sequence[int], *, at_once: int) -> Any:
        """Return what leaving each part out costs."""
        ids, nothing, mask = self.padded(texts)
        with torch.no_grad():
            return self.ablation.attribute(
                ids,
                nothing,
                additional_forward_args=(mask,),
                feature_mask=self.groups(texts),
                perturbations_per_eval=at_once,
            ).numpy()

    def sampled(self, texts: Sequence[int], *, n_samples: int, at_once: int) -> Any:
        """Return Shapley values from so many orders."""
        ids, nothing, mask = self.padded(texts)
        with torch.no_grad():
            return self.shapley.attribute(
                ids, nothing, additional_forward_args=(mask,), feature_mask=self.groups(texts), n_samples=n_samples,
                perturbations_per_eval=at_once,
            ).numpy()  # fmt: skip

    def by_length(self, texts: Sequence[int], at_once: int) -> list[list[int]]:
        """Return texts sorted by length in batches of so many."""
        ordered = sorted(texts, key=lambda at: len(self._windows[at].tokens.ids))
        return [ordered[start : start + at_once] for start in range(0, len(ordered), at_once)]


def mixed_texts(folder: Path, n: int) -> list[str]:
    """Draw texts of all lengths from three sets, a third each."""
    random, found = np.random.default_rng(0), list[str]()
    for number, name in enumerate(SETS):
        open_ = gzip.open if name.endswith(".gz") else open
        with open_(folder / name, "rt", encoding="utf-8") as stream:
            rows = [row["text"] for row in csv.DictReader(stream) if row["split"].startswith(("test", "trial"))]
        share = n // 3 + (number < n % 3)
        found += [rows[at] for at in random.permutation(len(rows))[:share]]
    return [found[at] for at in random.permutation(len(found))]


def taken(calls: Calls, n: int, block: int) -> tuple[dict[str, float], dict[str, list[Any]], dict[str, list[float]]]:
    """Let the arms take turns on blocks; return their processor seconds, what they found, and the seconds a block."""
    seconds, found = dict.fromkeys(calls, 0.0), {name: list[Any]() for name in calls}
    blocks = {name: list[float]() for name in calls}
    for turn, start in enumerate(range(0, n, block)):
        texts = range(start, min(n, start + block))
        names = [*calls][turn % len(calls) :] + [*calls][: turn % len(calls)]
        for name in names:
            before = time.process_time()
            result = calls[name](texts)
            blocks[name].append(time.process_time() - before)
            seconds[name] += blocks[name][-1]
            found[name].append(result)
        print(f"{texts[-1] + 1} of {n}", {name: round(value, 1) for name, value in seconds.items()}, flush=True)
    return seconds, found, blocks


def ratios(blocks: dict[str, list[float]]) -> dict[str, Any]:
    """Return how many times as long as Assay each arm took, with an interval over blocks (paired bootstrap)."""
    ours = np.array(blocks["assay"])
    random = np.random.default_rng(0)
    draws = random.integers(0, len(ours), (4000, len(ours)))
    made = {}
    for name, times in blocks.items():
        if name != "assay":
            theirs = np.array(times)
            drawn = theirs[draws].sum(axis=1) / ours[draws].sum(axis=1)
            low, high = np.percentile(drawn, [2.5, 97.5])
            value = theirs.sum() / ours.sum()
            made[name] = {"ratio": round(float(value), 2), "interval": [round(float(low), 2), round(float(high), 2)]}
    return made


def parity(filter_: EncoderFilter, theirs: Theirs, windows: Sequence[Window], texts: Sequence[str]) -> dict[str, float]:
    """Return the largest difference of a token's value for each rule and number of steps."""
    names = {
        "gauss-legendre": "gausslegendre",
        "riemann-trapezoid": "riemann_trapezoid",
        "riemann-left": "riemann_left",
    }
    found = {}
    for rule, n_steps in (
        ("gauss-legendre", 8),
        ("gauss-legendre", 50),
        ("riemann-trapezoid", 20),
        ("riemann-left", 20),
    ):
        made = explainer(filter_, "integrated-gradients", unit="token", rule=rule, n_steps=n_steps)
        largest = 0.0
        for at, ours in enumerate(made.explain(texts, CATEGORY)):
            values, _ = theirs.integrated([at], n_steps, budget=None, rule=names[rule])
            expected = windows[at].parts.sums(values[0].astype(np.float64))
            largest = max(largest, float(np.abs(expected - ours.values).max(initial=0.0)))
        found[f"{rule} {n_steps}"] = largest
    return found


def steps_for(theirs: Theirs, n: int, gap: float) -> tuple[int, int, dict[int, int]]:
    """Return the fewest of `STEPS` at which 99% and at which all texts reach the gap, and how many fail at each.

    A text that reaches it is not asked again with more steps.
    """
    over, fails = list(range(n)), dict[int, int]()
    for n_steps in STEPS:
        batches = theirs.by_length(over, 8)
        gaps = [theirs.integrated(some, n_steps, budget=2048)[1] for some in batches]
        over = [
            at
            for some, found in zip(batches, gaps, strict=True)
            for at, one in zip(some, found, strict=True)
            if one > gap
        ]
        fails[n_steps] = len(over)
        print(f"{n_steps} steps: {len(over)} of {n} over the gap", flush=True)
        if not over:
            break
    most = min((steps for steps, count in fails.items() if count <= 0.01 * n), default=STEPS[-1])
    return most, max(fails), fails


def fastest(tried: dict[Any, Callable[[], Any]]) -> tuple[Any, dict[str, float]]:
    """Return the setting that took least processor time."""
    seconds = {}
    for name, call in tried.items():
        before = time.process_time()
        call()
        seconds[name] = time.process_time() - before
    return min(seconds, key=seconds.__getitem__), {str(name): round(value, 2) for name, value in seconds.items()}


def gradients(
    filter_: EncoderFilter, theirs: Theirs, texts: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Time integrated gradients at a convergence gap."""
    n = len(texts)
    most, every, fails = steps_for(theirs, n, options.gap)
    some = range(min(n, options.n_tune))
    best, tuned = fastest(
        {
            (at_once, budget): lambda at_once=at_once, budget=budget: [
                theirs.integrated(part, most, budget=budget) for part in theirs.by_length(some, at_once)
            ]
            for at_once in (1, 8)
            for budget in BUDGETS
        }
    )
    made = explainer(filter_, "integrated-gradients", unit="token", gap=options.gap)

    def of(steps: int) -> Callable[[Sequence[int]], Any]:
        return lambda part: [theirs.integrated(one, steps, budget=best[1]) for one in theirs.by_length(part, best[0])]

    calls: Calls = {
        "assay": lambda part: made.explain([texts[at] for at in part], CATEGORY),
        f"best, {most} steps (99%)": of(most),
    }
    seconds, found, blocks = taken(calls, n, options.block)
    ours: list[Attribution] = [one for part in found["assay"] for one in part]
    theirs_ = np.concatenate([one[1] for part in found[f"best, {most} steps (99%)"] for one in part])
    gaps = np.array([abs(one.gap or 0.0) for one in ours])
    calls |= {
        f"best, {every} steps (all)": of(every),
        "default, 50 steps": lambda part: [theirs.integrated([at], 50, budget=None) for at in part],
        "mixed, 50 steps": lambda part: [
            theirs.integrated(part[start : start + 4], 50, budget=None) for start in range(0, len(part), 4)
        ],
    }
    n_few = min(n, options.n_default)
    few, _, few_blocks = taken(calls, n_few, max(1, n_few // 8))
    return {
        "n": n,
        "gap": options.gap,
        "texts of Captum over the gap, by steps": {str(steps): count for steps, count in fails.items()},
        "texts of Assay over the gap": int((gaps > options.gap).sum()),
        "mean gap": {"assay": float(gaps.mean()), f"captum, {most} steps": float(theirs_.mean())},
        "rows a text of Assay": round(float(np.mean([one.n_scored for one in ours])), 2),
        "tuning (texts a batch, tokens a pass): seconds": tuned,
        "processor seconds": {name: round(value, 1) for name, value in seconds.items()},
        "times as long as Assay": ratios(blocks),
        f"on the first {n_few}": {
            "processor seconds": {name: round(value, 1) for name, value in few.items()},
            "times as long as Assay": ratios(few_blocks),
        },
        f"error of a value against 129 points, first {options.n_errors}": errors(
            filter_, theirs, texts[: options.n_errors], ours, most
        ),
    }


def errors(
    filter_: EncoderFilter, theirs: Theirs, texts: Sequence[str], ours: Sequence[Attribution], most: int
) -> dict[str, float]:
    """Return the mean over texts of the largest error of a token's value."""
    exact = explainer(filter_, "integrated-gradients", unit="token", gap=1e-12).explain(texts, CATEGORY)
    windows = EmbeddedModel(filter_, 0).windows(texts, "token")
    found = {"assay": list[float](), f"captum, {most} steps": list[float]()}
    for at, one in enumerate(exact):
        values = windows[at].parts.sums(theirs.integrated([at], most, budget=None)[0][0].astype(np.float64))
        for name, some in zip(found, (ours[at].values, values), strict=True):
            found[name].append(float(np.abs(some - one.values).max(initial=0.0)))
    return {name: float(np.mean(some)) for name, some in found.items()}


def left_out(
    filter_: EncoderFilter, theirs: Theirs, windows: Sequence[Window], texts: Sequence[str], block: int
) -> dict[str, Any]:
    """Time occlusion of tokens."""
    some = range(min(len(texts), 24))
    best, tuned = fastest(
        {
            (at_once, per): lambda at_once=at_once, per=per: [
                theirs.ablated(part, at_once=per) for part in theirs.by_length(some, at_once)
            ]
            for at_once in (1, 4, 12)
            for per in (4, 16, 64)
        }
    )
    made = explainer(filter_, "occlusion", unit="token")
    calls: Calls = {
        "assay": lambda part: made.explain([texts[at] for at in part], CATEGORY),
        "best": lambda part: [(one, theirs.ablated(one, at_once=best[1])) for one in theirs.by_length(part, best[0])],
        "default": lambda part: [theirs.ablated([at], at_once=1) for at in part],
    }
    seconds, found, blocks = taken(calls, len(texts), block)
    ours = [one for part in found["assay"] for one in part]
    largest = 0.0
    for part in found["best"]:
        for rows, values in part:
            for at, row in zip(rows, values, strict=True):
                owners = windows[at].parts.owners
                expected = [row[: len(owners)][owners == place][0] for place in range(len(ours[at].values))]
                largest = max(largest, float(np.abs(np.array(expected) - ours[at].values).max(initial=0.0)))
    return {
        "n": len(texts),
        "largest difference of a value": largest,
        "tuning (texts a batch, perturbations an evaluation): seconds": tuned,
        "processor seconds": {name: round(value, 1) for name, value in seconds.items()},
        "times as long as Assay": ratios(blocks),
    }


def shares(filter_: EncoderFilter, texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Time Shapley values of ten-word texts at equal error against the exact values."""
    ten = [" ".join(text.split()[:10]) for text in texts if len(text.split()) >= 10 and text.isascii()]
    windows = [one for one in EmbeddedModel(filter_, 0).windows(ten, "word") if len(one.parts.ranges) == 10]
    windows = windows[: options.n_shapley]
    ten = [window.text for window in windows]
    theirs = Theirs(filter_, windows)
    exact = [one.values for one in explainer(filter_, "shapley-exact").explain(ten, CATEGORY)]
    made = explainer(filter_, "shapley", error=options.error)
    found = made.explain(ten, CATEGORY, seed=1)
    off = [one.values - values for one, values in zip(found, exact, strict=True)]
    stated = [one.errors for one in found if one.errors is not None]
    goal = float(np.sqrt(np.mean(np.square(off))))

    def by_parts(values: Any) -> list[Any]:
        return [
            np.array([row[: len(one.parts.owners)][one.parts.owners == place][0] for place in range(10)])
            for row, one in zip(values, windows, strict=True)
        ]

    def error_of(n_samples: int) -> float:
        torch.manual_seed(n_samples)
        values = by_parts(theirs.sampled(range(len(ten)), n_samples=n_samples, at_once=4))
        return float(np.sqrt(np.mean([np.square(a - b) for a, b in zip(values, exact, strict=True)])))

    known = 25
    n_samples = max(1, round(known * (error_of(known) / goal) ** 2))
    every = list(range(len(ten)))
    best, tuned = fastest(
        {per: lambda per=per: theirs.sampled(every, n_samples=4, at_once=per) for per in (1, 4, 10, 32)}
    )
    calls: Calls = {
        "assay": lambda part: made.explain([ten[at] for at in part], CATEGORY, seed=1),
        "best": lambda part: theirs.sampled(list(part), n_samples=n_samples, at_once=best),
        "default": lambda part: [theirs.sampled([at], n_samples=n_samples, at_once=1) for at in part],
    }
    seconds, _, blocks = taken(calls, len(ten), 8)
    return {
        "n": len(ten),
        "root mean square error": {"assay": goal, f"captum, {n_samples} orders": error_of(n_samples)},
        "largest error in stated errors": float(
            max(np.abs(a / np.maximum(b, 1e-12))[b > 0].max(initial=0) for a, b in zip(off, stated, strict=True))
        ),
        "share of values within two stated errors": float(
            np.mean(np.concatenate([np.abs(a) <= 2 * b + 1e-9 for a, b in zip(off, stated, strict=True)]))
        ),
        "rows a text of Assay": float(np.mean([one.n_scored for one in found])),
        "tuning (perturbations an evaluation): seconds": tuned,
        "processor seconds": {name: round(value, 1) for name, value in seconds.items()},
        "times as long as Assay": ratios(blocks),
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    filter_ = EncoderFilter.load(device="cpu", dtype="float32")
    texts = mixed_texts(options.data, options.n)
    windows = EmbeddedModel(filter_, 0).windows(texts, "token")
    theirs = Theirs(filter_, windows)
    lengths = [len(one.tokens.ids) for one in windows]
    report: dict[str, Any] = {
        "filter": filter_.name,
        "threads": options.threads,
        "tokens a text (5, 50, 95%)": np.percentile(lengths, [5, 50, 95]).tolist(),
    }
    parts = options.parts.split(",")
    if "parity" in parts:
        report["largest difference of a token's value"] = parity(filter_, theirs, windows, texts[: options.n_parity])
    if "occlusion" in parts:
        report["occlusion"] = left_out(filter_, theirs, windows, texts[: options.n_occlusion], options.block)
    if "shapley" in parts:
        report["shapley"] = shares(filter_, texts, options)
    if "gradients" in parts:
        report["integrated gradients"] = gradients(filter_, theirs, texts, options)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--n-parity", type=int, default=24)
    parser.add_argument("--n-tune", type=int, default=24)
    parser.add_argument("--n-errors", type=int, default=30)
    parser.add_argument("--n-default", type=int, default=80)
    parser.add_argument("--n-occlusion", type=int, default=200)
    parser.add_argument("--n-shapley", type=int, default=32)
    parser.add_argument("--gap", type=float, default=0.05)
    parser.add_argument("--error", type=float, default=0.2)
    parser.add_argument("--block", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", default="parity,occlusion,shapley,gradients")
    parser.add_argument("--dry-run", action="store_true", help="keep no figures")
    options = parser.parse_args()
    report = measured(options)
    for key, value in report.items():
        print(f"{key}: {value}")
    if not options.dry_run:
        keep({**_others(report), **report}, RESULTS)


def _others(report: dict[str, Any]) -> dict[str, Any]:
    """Return the kept figures, where they are of the same filter: parts that were not run stay."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return kept if all(kept.get(name) == report[name] for name in ("filter", "threads")) else {}


if __name__ == "__main__":
    main()
