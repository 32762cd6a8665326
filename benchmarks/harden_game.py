"""The game on the shipped encoder filter: what is left to exploit by round, and whether past attackers are beaten.

Played by ``evals.harden_guard`` as ``assay harden guard`` plays it, on validation and test rows of the permissive sets
that trained the filter (``guard.train.sources``): it has seen none of them. They are parted again, so that the game
trains on some and is measured on others. Processor time is that of this process.

Run ``python -m benchmarks.harden_game --out FOLDER [--data ../shared/data] [--minutes 5]``; figures go to
``benchmarks/results/harden_game.json``. The data are no part of the project.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

from benchmarks.harden_filter import DATA, LONGEST, known, sample
from benchmarks.kept import keep
from evals.harden_filter.rows import Table
from evals.harden_guard.files import write_game
from evals.harden_guard.hardening import GameRequest, GameSizes, harden_guard
from guard.harden.filter_training import HardenSettings
from guard.train.mixture import read_mixture

RESULTS = Path(__file__).parent / "results" / "harden_game.json"


def written(data: Path, folder: Path, n: int) -> Path:
    """Write up to `n` short texts of each label that trained nothing."""
    unseen = [row for row in read_mixture(data) if row.split != "train" and 8 < len(row.text) <= LONGEST]
    path = folder / "texts.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("text", "label"))
        rows.writerows((one.text, one.label) for one in sample(known(unseen), n, name="game"))
    return path


def played(options: argparse.Namespace) -> dict[str, Any]:
    """Play, and return the result without its place."""
    options.out.mkdir(parents=True, exist_ok=True)
    request = GameRequest(
        Table(written(options.data, options.out, options.rows)),
        options.out / "game",
        strategies=tuple(options.attack),
        rounds=options.rounds,
        seed=options.seed,
        slips=options.slips,
        training=HardenSettings(epochs=options.epochs, minutes=options.minutes, learning_rate=options.learning_rate),
        sizes=GameSizes(search=options.search, held_out=options.held_out, raided=options.raided),
    )
    wall, cpu = time.perf_counter(), time.process_time()

    def tell(what: str, done: int, total: int) -> None:
        print(f"{what} {done}/{total} ({time.process_time() - cpu:.0f} s of the processor)", flush=True)

    result = harden_guard(request, tell=tell)
    write_game(result)
    took = {"wall_minutes": (time.perf_counter() - wall) / 60, "cpu_seconds": time.process_time() - cpu}
    found = result.to_dict()
    del found["out"]
    return {"cpu": platform.processor() or platform.machine(), **took, **found}


def main(argv: Sequence[str] | None = None) -> None:
    """Play, print and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harden_game", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, required=True, help="new folder for the texts, the defenders and the page")
    parser.add_argument("--rows", type=int, default=3000, help="texts of each label")
    parser.add_argument("--attack", action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each round's training")
    parser.add_argument("--learning-rate", type=float, default=HardenSettings().learning_rate)
    parser.add_argument("--slips", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--search", type=int, default=60)
    parser.add_argument("--held-out", type=int, default=150)
    parser.add_argument("--raided", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    options.attack = options.attack or ["deepwordbug", "pruthi"]
    report = played(options)
    for name in ("sentence", "strategies", "payoffs"):
        print(report[name])
    for one in report["changes"]:
        print(f"{one['title']}: {one['before']['value']} -> {one['after']['value']} ({one['interval']})")
    for one in report["standings"]:
        print({key: one[key] for key in ("round", "best_response", "success", "exploitability")})
    keep(report, RESULTS)


if __name__ == "__main__":
    main()
