"""Rows picked to be labelled against rows drawn at random, at equal numbers of labels: AUROC on the same test rows.

From 40 random labels, each round picks as many rows as ``--step`` by one strategy, with the scores of the head that the
labels so far give, and trains anew: a linear probe on the states of the shipped encoder, frozen, so that a round costs
milliseconds. The sets are held out from the shipped weights, as in ``filter_semisupervised``. Every strategy starts
from the same rows in each seed. The difference from ``random`` is averaged over seeds, text by text, with DeLong's
interval over the test rows; the share of seeds in which a strategy is ahead is beside it. The control share is off, but
for ``badge+control``, which is what ``assay finetune next`` does by default.

Run ``python -m benchmarks.active_learning [--data ../shared/data]``; figures go to
``benchmarks/results/active_learning.json``. The data are no part of the project.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

import numpy as np

from benchmarks.filter_semisupervised import DATA, held_out_sets, summary
from benchmarks.kept import keep
from guard import assets
from guard.filters.encoder import SHIPPED_WEIGHTS
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.picks import STRATEGIES, select
from guard.train.classifier.probe import fit_probe
from guard.train.classifier.temperature import probabilities

RESULTS = Path(__file__).parent / "results" / "active_learning.json"
START = 40
RIDGE = 30.0
ARMS: Mapping[str, tuple[str, float]] = {name: (name, 0.0) for name in STRATEGIES} | {"badge+control": ("badge", 0.2)}


def states_of(rows: Sequence[tuple[str, int]], base: Path) -> np.ndarray:
    """Return the mean state of each text, from the shipped encoder."""
    model = PartedEncoder.load(base, SHIPPED_WEIGHTS, category="own", upper=0, bfloat16=True)
    model.set_head(model.read_all(model.states(["a"]))[1][0] * 0, 0.0)  # no query: the mean
    return model.read_all(model.states([text for text, _ in rows]))[1].double().numpy()


def one_run(
    states: np.ndarray, labels: np.ndarray, n_test: int, arm: str, *, seed: int, rounds: int, step: int
) -> dict[int, tuple[np.ndarray, float]]:
    """Return, by number of labels, the scores of the test rows (the last `n_test`) and the share of positive labels."""
    strategy, control = ARMS[arm]
    pool = np.arange(len(states) - n_test)
    known = random.Random(f"start/{seed}").sample(pool.tolist(), START)
    while len(set(labels[known])) < 2:
        known.append(next(at for at in pool if labels[at] != labels[known[0]]))
    found = {}
    for turn in range(rounds + 1):
        weights, bias = fit_probe(states[known], labels[known].astype(float), ridge=RIDGE)
        found[START + turn * step] = (states[-n_test:] @ weights + bias, float(labels[known].mean()))
        rest = np.setdiff1d(pool, known)
        scores = probabilities(states[rest] @ weights + bias)
        picks = select(
            scores, lambda at, rest=rest: states[rest[list(at)]], step, strategy=strategy, control=control,
            covered=states[known], seed=1000 * seed + turn,
        )  # fmt: skip
        known += [int(rest[pick.at]) for pick in picks]
    return found


def measured(rows: Sequence[tuple[str, int]], base: Path, options: argparse.Namespace) -> dict[str, Any]:
    order = random.Random("active").sample(range(len(rows)), min(len(rows), options.pool + options.test))
    drawn = [rows[at] for at in order]
    states, labels = states_of(drawn, base), np.array([label for _, label in drawn])
    truth = labels[-options.test :]
    runs = {
        arm: [
            one_run(states, labels, options.test, arm, seed=seed, rounds=options.rounds, step=options.step)
            for seed in range(options.seeds)
        ]
        for arm in ARMS
    }
    found = {}
    for n in runs["random"][0]:
        scores = [
            {arm if arm != "random" else "supervised": runs[arm][seed][n][0] for arm in ARMS}
            for seed in range(options.seeds)
        ]
        arms = summary([(one, truth, None) for one in scores])
        plain = np.array(arms["supervised"]["auroc"])
        found[n] = {
            ("random" if arm == "supervised" else arm): {
                "auroc": float(np.mean(one["auroc"])),
                "minus_random": one["minus_supervised"],
                "interval": one["interval"],
                "seeds_ahead": float((np.array(one["auroc"]) > plain).mean()),
                "positive_share": float(np.mean([run[n][1] for run in runs["random" if arm == "supervised" else arm]])),
            }
            for arm, one in arms.items()
        }
        print(
            n,
            {arm: (round(one["auroc"], 4), round(one["minus_random"], 4)) for arm, one in found[n].items()},
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="*", default=["edos_sexism", "dynahate", "convabuse"])
    parser.add_argument("--pool", type=int, default=1600)
    parser.add_argument("--test", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    base, report = assets.path("minilm"), dict[str, Any]()
    for name, rows in held_out_sets(options.data).items():
        if name in options.sets:
            print(name, len(rows), flush=True)
            report[name] = measured(rows, base, options)
    shown = {key: value for key, value in vars(options).items() if key not in ("data", "out")}
    keep({"options": shown, "machine": platform.processor() or platform.machine(), "sets": report}, options.out)


if __name__ == "__main__":
    main()
