"""What unlabelled text and a contrastive loss add to a filter trained on few labels: AUROC on the same test rows.

Each of several public sets is held out from the shipped weights (their dev and test splits; convabuse was never trained
on). A seed draws the labelled rows, the rows to choose by and the unlabelled rows; the test rows are the same for all.
Every arm starts from the same state and sees the same rows: ``probe`` (step 0), ``supervised``, ``pseudo`` (with
unlabelled text), ``contrastive`` and both; ``n-gram`` is TF-IDF with a logistic regression on the same labels. The
difference of an arm from ``supervised`` is averaged over seeds, text by text, and has DeLong's interval over the test
rows: what other draws of labelled rows would give is seen in the spread over seeds.

Run ``python -m benchmarks.filter_semisupervised [--data ../shared/data] [--labelled 200] [--seeds 2]``; figures go to
``benchmarks/results/filter_semisupervised.json``. The data are no part of the project.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import numpy as np
from scipy.stats import rankdata

from benchmarks.kept import keep
from guard import assets
from guard.filters.encoder import SHIPPED_WEIGHTS
from guard.train.baseline import TfidfBaseline
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.pseudo_labels import PseudoRule
from guard.train.classifier.settings import FilterTraining, Part
from guard.train.classifier.training import train_filter
from guard.train.measure import auroc
from guard.train.rows import HEADS, Row, normal_form
from guard.train.sources import read_records

RESULTS = Path(__file__).parent / "results" / "filter_semisupervised.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LONGEST = 240  # characters: the time there is goes into rows


def held_out_sets(data: Path) -> dict[str, list[tuple[str, int]]]:
    """Return (text, label) of rows that the shipped weights were not trained on, each text once."""
    edos = [(r["text"], int(r["label"] == "sexist")) for r in _held(data / "edos_sexism" / "edos_sexism.csv.gz")]
    hate = [(r["text"], int(r["label"])) for r in _held(data / "dynahate" / "dynahate.csv.gz")]
    abuse = [(r["text"], int(r["abusive"])) for r in read_records(data / "convabuse" / "convabuse.csv")]
    sets = {"edos_sexism": edos, "dynahate": hate, "convabuse": abuse}
    return {name: _once(rows) for name, rows in sets.items()}


def _held(path: Path) -> list[Mapping[str, Any]]:
    return [record for record in read_records(path) if record["split"] != "train"]


def _once(rows: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    found = {normal_form(str(text)): (str(text), label) for text, label in rows if 0 < len(str(text)) <= LONGEST}
    return list(found.values())


def parts(rows: Sequence[tuple[str, int]], sizes: Sequence[int], *, seed: int) -> list[list[tuple[str, int]]]:
    """Draw parts of these sizes that share no row; the last is the same for every seed."""
    order = random.Random("bench").sample(range(len(rows)), len(rows))
    rest = order[sizes[-1] :]
    random.Random(f"bench/{seed}").shuffle(rest)
    found = []
    for size in sizes[:-1]:
        found.append([rows[at] for at in rest[:size]])
        rest = rest[size:]
    return [*found, [rows[at] for at in order[: sizes[-1]]]]


def _part(rows: Sequence[tuple[str, int]]) -> Part:
    return Part([text for text, _ in rows], [label for _, label in rows])


def arms(settings: FilterTraining) -> dict[str, FilterTraining]:
    """Return the settings of each arm; without a trained layer there are no states for a contrastive loss to shape."""
    off = dataclasses.replace(settings, pseudo_weight=0.0)
    found = {"supervised": off, "pseudo": settings}
    if settings.upper:
        found["contrastive"] = dataclasses.replace(off, contrastive=0.1)
        found["pseudo+contrastive"] = dataclasses.replace(settings, contrastive=0.1)
    return found


def one_run(
    rows: Sequence[tuple[str, int]], base: Path, settings: FilterTraining, options: argparse.Namespace
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Any]]:
    """Return the test scores of every arm, the truth, and how training went."""
    sizes = (options.labelled, options.held, options.unlabelled, options.test)
    train, held, pool, test = parts(rows, sizes, seed=settings.seed)
    texts, truth = [text for text, _ in test], np.array([label for _, label in test])
    scores, notes = {"n-gram": _ngram(train, texts)}, dict[str, Any]()
    weights = None if options.fresh else SHIPPED_WEIGHTS
    for name, one in arms(settings).items():
        if options.arms and name not in options.arms:
            continue
        model = PartedEncoder.load(base, weights, category="own", upper=one.upper, seed=one.seed, bfloat16=True)
        states = model.states(texts)
        started = time.process_time()
        done = train_filter(model, _part(train), _part(held), one, unlabelled=[text for text, _ in pool])
        scores[name] = model.read_all(states)[0][:, model.column].double().numpy()
        notes[name] = {"best_step": done.best_step, "steps": done.n_steps, "cpu_s": time.process_time() - started}
        notes[name] |= _pseudo(done.history, pool)
        if name == "supervised":
            scores["probe"] = _probe(base, weights, train, held, texts, settings)
        print(settings.seed, name, round(auroc(scores[name], truth).value, 4), notes[name], flush=True)
    return scores, truth, notes


def _probe(
    base: Path, weights: Path | None, train: Any, held: Any, texts: Sequence[str], settings: FilterTraining
) -> np.ndarray:
    """Return the scores of the start: no step moves a head at a rate of next to nothing."""
    model = PartedEncoder.load(base, weights, category="own", upper=0, seed=settings.seed, bfloat16=True)
    still = dataclasses.replace(settings, upper=0, epochs=1, rate=1e-12, pseudo_weight=0.0)
    train_filter(model, _part(train), _part(held), still)
    return model.read_all(model.states(texts))[0][:, model.column].double().numpy()


def _ngram(train: Sequence[tuple[str, int]], texts: Sequence[str]) -> np.ndarray:
    rows = [Row(text, {HEADS[0]: float(label)}, "own", "train") for text, label in train]
    return TfidfBaseline(rows).score_batch(texts)[:, 0].astype(np.float64)


def _pseudo(history: Sequence[Mapping[str, float]], pool: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return how many rows were accepted, and how right they were held to be, by round."""
    looks = [look for look in history if "pseudo.trials" in look]
    keys = ("n_accepted", "n_judged", "hits", "trials", "hits_harmful", "trials_harmful", "used")
    return {"rounds": [[int(look[f"pseudo.{key}"]) for key in keys] for look in looks]} if looks else {}


def summary(runs: Sequence[tuple[dict[str, np.ndarray], np.ndarray, Any]]) -> dict[str, Any]:
    """Return the AUROC of each arm by seed, and its mean difference from the supervised arm with a 95% interval."""
    truth, found = runs[0][1].astype(bool), dict[str, Any]()
    for name in runs[0][0]:
        gaps = [_placements(one[name], truth) for one, _, _ in runs]
        against = [_placements(one["supervised"], truth) for one, _, _ in runs]
        above, below = (
            np.mean([mine[side] - theirs[side] for mine, theirs in zip(gaps, against, strict=True)], axis=0)
            for side in (0, 1)
        )
        half = 1.96 * float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
        mean = float(above.mean())
        found[name] = {"auroc": [auroc(one[name], truth).value for one, _, _ in runs]}
        found[name] |= {"minus_supervised": mean, "interval": [mean - half, mean + half]}
    return found


def _placements(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each positive's share of negatives below it, and each negative's share of positives above it."""
    ranks, positive, negative = rankdata(scores), scores[truth], scores[~truth]
    above = (ranks[truth] - rankdata(positive)) / len(negative)
    return above, 1 - (ranks[~truth] - rankdata(negative)) / len(positive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="*", default=["edos_sexism", "dynahate", "convabuse"])
    parser.add_argument("--labelled", type=int, default=200)
    parser.add_argument("--held", type=int, default=100)
    parser.add_argument("--unlabelled", type=int, default=800)
    parser.add_argument("--test", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=FilterTraining.rate)
    parser.add_argument("--layers", type=int, default=FilterTraining.upper)
    parser.add_argument(
        "--ratio", type=int, default=FilterTraining.ratio, help="pseudo-labelled rows for a labelled one"
    )
    parser.add_argument("--precision", type=float, default=PseudoRule.precision)
    parser.add_argument(
        "--fresh", action="store_true", help="start from the frozen encoder, not from the shipped filter"
    )
    parser.add_argument("--arms", nargs="*")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    base, report = assets.path("minilm"), dict[str, Any]()
    shown = {key: value for key, value in vars(options).items() if key not in ("data", "out")}
    for name, rows in held_out_sets(options.data).items():
        if name in options.sets:
            runs = []
            for seed in range(options.seeds):
                settings = FilterTraining(
                    seed=seed, epochs=options.epochs, judged=400, ratio=options.ratio, rate=options.rate,
                    upper=options.layers, pseudo=PseudoRule(precision=options.precision),
                )  # fmt: skip
                runs.append(one_run(rows, base, settings, options))
            report[name] = {"arms": summary(runs), "notes": [notes for _, _, notes in runs]}
            print(name, {arm: one["minus_supervised"] for arm, one in report[name]["arms"].items()}, flush=True)
            keep({"options": shown, "machine": platform.processor() or platform.machine(), "sets": report}, options.out)


if __name__ == "__main__":
    main()
