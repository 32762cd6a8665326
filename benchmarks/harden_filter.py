"""What hardening does to the shipped encoder filter: attacks, clean text, benign text, speed, all paired by text.

Trains on the permissive sets that trained the filter (``guard.train.sources``), chooses by their validation splits, and
measures on their test splits and on two sets that neither state was trained on: clean and benign text by set, attacks
on harmful texts of all three together. Success of an attack counts texts that the filter caught as they are, at the
threshold of the standard policy for outputs; both states are attacked anew. ``--hook none`` measures the reading of
slips alone; ``--no-slips`` the training alone.

Run ``python -m benchmarks.harden_filter --out FOLDER [--data ../shared/data] [--minutes 20]``, or with ``--measure
FOLDER`` for weights that are there; figures go to ``benchmarks/results/harden_filter.json``. The data are no part of
the project.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

from benchmarks.kept import keep
from evals.harden_filter.hardening import lookalikes
from evals.harden_filter.measure import Test, measure
from evals.harden_filter.request import Limits
from evals.harden_filter.verdict import judge, overall
from guard import assets
from guard.attacks.recipes import recipe
from guard.attacks.schema import Example
from guard.filters.encoder import SHIPPED_WEIGHTS, EncoderFilter
from guard.harden.alarms import level_alarms
from guard.harden.charged import slip_settings
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.filter_training import HardenSettings, LabelledText, harden
from guard.harden.hooks import known_moves, make_hooks
from guard.harden.validation import Validation
from guard.train.encoder import write_weights
from guard.train.measure import benign_sets, unseen_sets
from guard.train.mixture import encoder_rows, read_mixture
from guard.train.rows import Row, hash_fraction

RESULTS = Path(__file__).parent / "results" / "harden_filter.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CATEGORY, THRESHOLD = "toxicity", 0.6
UNSEEN = ("wiki_talk_toxicity", "stormfront_sentences")
OTHERS = {"identity_attack": 0.6, "jailbreak": 0.95, "harmful_request": 0.97}
LONGEST = 200  # characters of a text that is attacked


def known(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Return the texts whose toxicity is known, with 1 for a harmful one; what raters were split on is left out."""
    labelled = [(row.text, row.labels.get(CATEGORY, -1.0)) for row in rows]
    return [(text, int(label > 0.5)) for text, label in labelled if label >= 0.8 or 0 <= label <= 0.2]


def sample(rows: Sequence[tuple[str, int]], n: int, *, name: str) -> list[Example]:
    """Draw up to `n` texts of each label by hash."""
    ordered = sorted(dict(rows).items(), key=lambda row: hash_fraction(row[0], salt="harden sample"))
    kept = [[row for row in ordered if row[1] == label][:n] for label in (1, 0)]
    return [Example(f"{name}-{at}", text, label) for at, (text, label) in enumerate([*kept[0], *kept[1]])]


def test_sets(data: Path, mixture: Sequence[Row], n: int) -> dict[str, list[Example]]:
    """Return the texts to measure on: test splits of the training sets, and sets never trained on."""
    sets = {"test splits": known([row for row in mixture if row.split == "test"])}
    sets |= {name: known(rows) for name, rows in unseen_sets(data).items() if name in UNSEEN}
    return {name: sample(rows, n, name=name) for name, rows in sets.items()}


def training_rows(mixture: Sequence[Row], *, seed: int, most: int, longest: int) -> list[LabelledText]:
    """Return short training rows: those of known toxicity, and a quarter of the others, for the leash."""
    rng = random.Random(seed)
    rows = [row for row in encoder_rows(mixture, seed=seed) if row.split == "train" and 8 < len(row.text) <= longest]
    rows = [row for row in rows if CATEGORY in row.labels or rng.random() < 0.25]
    return [
        LabelledText(f"t{at}", row.text, (float(row.labels.get(CATEGORY, -1.0)), -1.0, -1.0, -1.0, -1.0))
        for at, row in enumerate(rng.sample(rows, min(most, len(rows))))
    ]


def validation_of(mixture: Sequence[Row], n: int) -> list[Example]:
    """Return validation texts."""
    return sample(known([row for row in mixture if row.split == "val" and len(row.text) <= LONGEST]), n, name="val")


def short(clean: Sequence[Example]) -> list[Example]:
    """Return the harmful texts that are short enough to attack."""
    return [one for one in clean if one.label == 1 and 8 < len(one.text) <= LONGEST]


def trained(options: argparse.Namespace, mixture: Sequence[Row], base: Path) -> dict[str, Any]:
    """Train and write the folder."""
    model = HardenableEncoder.load(base=base, weights=SHIPPED_WEIGHTS)
    checks = validation_of(mixture, options.validation)
    validation = Validation(
        [one.text for one in checks],
        [one.label == 1 for one in checks],
        column=0,
        threshold=THRESHOLD,
        seed=options.seed,
    )
    settings = HardenSettings(
        seed=options.seed, minutes=options.minutes, learning_rate=options.learning_rate, leash=options.leash,
        pull=options.pull,
    )  # fmt: skip
    started = time.process_time()
    done = harden(
        model,
        training_rows(mixture, seed=options.seed, most=options.rows, longest=options.longest),
        validation=validation,
        hooks=make_hooks(options.hook, seed=options.seed, column=0),
        settings=settings,
        on_progress=lambda step, whole: print(f"step {step}/{whole}", flush=True) if step % 50 == 0 else None,
    )
    record = {"hooks": options.hook, **done.record(), "settings": dataclasses.asdict(settings)}
    record["cpu_minutes"] = round((time.process_time() - started) / 60, 1)
    half = {name: value.half().contiguous() for name, value in model.tensors().items()}
    write_weights(half, {**model.config, "hardening": [record]}, options.out)
    return record


def written(options: argparse.Namespace, mixture: Sequence[Row], base: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder to measure and how it came about; the reading of slips is set as asked for."""
    record: dict[str, Any] = {"hooks": []}
    if options.measure:
        config = json.loads((options.measure / "config.json").read_text(encoding="utf-8"))
        record = (config.get("hardening") or [record])[-1]
        weights = HardenableEncoder.load(base=base, weights=options.measure, bfloat16=False)
        half = {name: value.half().contiguous() for name, value in weights.tensors().items()}
        write_weights(half, config, options.out)
    elif options.hook:
        record = trained(options, mixture, base)
    else:
        weights = HardenableEncoder.load(base=base, weights=SHIPPED_WEIGHTS, bfloat16=False)
        half = {name: value.half().contiguous() for name, value in weights.tensors().items()}
        write_weights(half, weights.config, options.out)
    file = options.out / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if options.slips:
        config["slips"] = slip_settings(EncoderFilter.load(base=base), CATEGORY)
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return options.out, record


def measured(
    before: EncoderFilter,
    after: EncoderFilter,
    clean: Sequence[Example],
    attacked: Sequence[Example],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Measure both states on some texts, and attack some of them."""
    test = Test(
        category=CATEGORY,
        threshold=THRESHOLD,
        clean=clean,
        benign=lookalikes(),
        attacked=attacked,
        attacks={name: recipe(name, threshold=THRESHOLD) for name in options.attack} if attacked else {},
        known=known_moves(options.hook),
        others=OTHERS,
        fall=0.5,
        seed=options.seed,
    )
    changes = measure(before, after, test, progress=told)
    rulings = judge(changes, Limits(fall=0.5))
    for change in changes:
        print(f"  {change.title}: {change.before.value} -> {change.after.value} ({change.interval})", flush=True)
    return {
        "verdict": overall(rulings).name,
        "changes": [dataclasses.asdict(change) for change in changes],
        "rulings": [f"{ruling.outcome.name}: {ruling.reason}" for ruling in rulings],
    }


def told(name: str, done: int, whole: int) -> None:
    """Print how far an attack is, now and then."""
    if done == whole or done % 25 == 0:
        print(f"  {name}: {done}/{whole}", flush=True)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harden_filter", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, required=True, help="folder for the hardened weights")
    parser.add_argument("--measure", type=Path, help="measure these weights instead of training")
    parser.add_argument("--hook", action="append", default=None)
    parser.add_argument("--slips", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--attack", action="append", default=None)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--longest", type=int, default=160)
    parser.add_argument("--validation", type=int, default=150, help="texts of each label")
    parser.add_argument("--clean", type=int, default=300, help="test texts of each label and set")
    parser.add_argument("--attacked", type=int, default=60, help="harmful texts of each set")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--learning-rate", type=float, default=HardenSettings.learning_rate)
    parser.add_argument("--leash", type=float, default=HardenSettings.leash)
    parser.add_argument("--pull", type=float, default=HardenSettings.pull)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.hook = [name for name in (options.hook or ["random"]) if name != "none"]
    options.attack = options.attack or ["deepwordbug", "pruthi"]
    return options


def main() -> None:
    """Train, measure, print and keep."""
    options = parsed()
    base, mixture = assets.path("minilm"), read_mixture(options.data)
    folder, record = written(options, mixture, base)
    before = EncoderFilter.load(base=base)
    harmless = [one.text for one in validation_of(mixture, 400) if one.label == 0]
    after, shift = level_alarms(before, folder, harmless, category=CATEGORY, threshold=THRESHOLD, base=base)
    report: dict[str, Any] = {
        "before": before.name,
        "after": after.name,
        "threshold": THRESHOLD,
        "slips": options.slips,
        "shift": shift,
        "training": record,
        "cpu": platform.processor() or platform.machine(),
        "sets": {},
    }
    sets = test_sets(options.data, mixture, options.clean)
    attacked = [one for clean in sets.values() for one in short(clean)[: options.attacked]]
    together = [one for clean in sets.values() for one in clean]
    for name, texts in [*sets.items(), ("all three", together)]:
        print(name, flush=True)
        report["sets"][name] = measured(before, after, texts, attacked if texts is together else [], options)
        keep(report, options.results)
    everyday = [text for texts in benign_sets(options.data, mixture).values() for text in texts[:250]]
    fired = [int((one.score_batch(everyday)[:, 0] >= THRESHOLD).sum()) for one in (before, after)]
    report["everyday"] = {"n": len(everyday), "fired_before": fired[0], "fired_after": fired[1]}
    keep(report, options.results)


if __name__ == "__main__":
    main()
