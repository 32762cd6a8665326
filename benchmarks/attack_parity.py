"""Our attacks beside TextAttack's (0.3.11) on one victim, the same examples, constraints and seeds: text by text.

TextAttack runs in an environment of its own, which ``--textattack`` names the Python of. The victim is a BERT of two
layers, trained on DynaHate's training split by ``benchmarks/attack_victim.py`` (kept in ``--victim`` for the next
time) and read in one fixed shape, so that both processes get the same bits; this is checked on both sides before
anything is attacked. Both draw random numbers from the same seeds, one an example, so random recipes are compared text
by text too.
A query is counted before any cache on both sides.

Input reduction scores every word whose loss changes the label 0, and TextAttack ranks such ties with numpy's default
sort, whose order of equals is the processor's. Here they are in the order of the text. The recipe is run against it as
it ships and with its ties put in order.

NLTK's stop words (the asset ``nltk-stopwords``) and WordNet's files are laid out for TextAttack in a folder made here,
as it can neither be imported without the former nor run PWWS without the latter.

Run: ``python -m benchmarks.attack_parity --textattack /path/to/venv/bin/python --data dynahate.csv.gz [--n 300]``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.attack_victim import FixedShapeVictim, rows, train
from benchmarks.kept import keep
from guard import assets
from guard.attacks.engine import run_attack
from guard.attacks.example_run import example_seed
from guard.attacks.readings import Readings
from guard.attacks.recipes import recipe
from guard.attacks.schema import Attempt, Example
from guard.attacks.transformations.wordnet_files import find_wordnet

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "attack_parity.json"
STABLE = ", ties in order"
RECIPES = ("deepwordbug", "pruthi", "input-reduction", f"input-reduction{STABLE}", "pwws")
SHORTEST, LONGEST = 6, 30  # words of an example

# Lexicographer files (lexnames(5WN)), which Debian's package leaves out and NLTK asks for, and their part of speech.
_NOUNS = "Tops act animal artifact attribute body cognition communication event feeling food group location motive"
_NOUNS += " object person phenomenon plant possession process quantity relation shape state substance time"
_VERBS = "body change cognition communication competition consumption contact creation emotion motion perception"
_VERBS += " possession social stative weather"
LEXNAMES = [
    *(("adj.all", 3), ("adj.pert", 3), ("adv.all", 4)),
    *((f"noun.{name}", 1) for name in _NOUNS.split()),
    *((f"verb.{name}", 2) for name in _VERBS.split()),
    ("adj.ppl", 3),
]


def nltk_folder(folder: Path) -> Path:
    """Lay out what TextAttack reads through NLTK."""
    corpora = folder / "corpora"
    shutil.copytree(assets.path("nltk-stopwords") / "corpora" / "stopwords", corpora / "stopwords")
    shutil.copytree(find_wordnet(), corpora / "wordnet")
    names = "".join(f"{i:02d}\t{name}\t{part}\n" for i, (name, part) in enumerate(LEXNAMES))
    (corpora / "wordnet" / "lexnames").write_text(names, encoding="ascii")
    # The map to other versions' senses, of which nothing here asks.
    (corpora / "wordnet" / "index.sense").touch()
    return folder


def chosen(path: Path, n: int, seed: int) -> list[dict[str, Any]]:
    """Return the first texts of the test split of a length fit for every recipe, with the seed of each."""
    found = [(text, label) for text, label in rows(path, "test") if SHORTEST <= len(text.split()) <= LONGEST][:n]
    if len(found) < n:
        raise SystemExit(f"{path} has {len(found)} fitting texts; give a smaller --n")
    examples = [{"id": f"dynahate/{i}", "text": text, "label": label} for i, (text, label) in enumerate(found)]
    return [{**example, "seed": example_seed(seed, str(example["id"]))} for example in examples]


def theirs(python: Path, job: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Attack with TextAttack in its own environment."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    environment = {**os.environ, "NLTK_DATA": str(nltk_folder(folder / "nltk")), "HF_HUB_OFFLINE": "1"}
    environment |= {"TA_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": str(job["threads"])}
    command = [str(python), str(HERE / "attack_textattack.py"), str(folder / "job.json"), str(folder / "out.jsonl")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"TextAttack failed: {done.stderr[-2000:]}")
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]


def ours(name: str, victim: FixedShapeVictim, examples: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Attack with Assay's engine."""
    victim.n_texts, victim.seconds, began = 0, 0.0, time.perf_counter()
    told = [Example(example["id"], example["text"], example["label"]) for example in examples]
    attempts = list(run_attack(recipe(name.removesuffix(STABLE)), Readings(victim), told, seed=seed))
    spent = {"seconds": time.perf_counter() - began, "victim_seconds": victim.seconds}
    return {"attempts": attempts, "n_victim_texts": victim.n_texts, **spent}


def compared(attempts: Sequence[Attempt], lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Hold each example's outcome against TextAttack's."""
    by_id = {line["id"]: line for line in lines}
    pairs = [(attempt, by_id[attempt.example_id]) for attempt in attempts]
    same_text = [mine.perturbed == yours["perturbed"] for mine, yours in pairs]
    same_queries = [mine.n_queries == yours["n_queries"] for mine, yours in pairs]
    attacked = [(mine, yours) for mine, yours in pairs if yours["status"] != "skipped"]
    succeeded = [
        sum(status == "succeeded" for status in statuses)
        for statuses in ([mine.status for mine, _ in attacked], [yours["status"] for _, yours in attacked])
    ]
    return {
        "n": len(pairs),
        "attacked": len(attacked),
        "same status": sum(mine.status == yours["status"] for mine, yours in pairs),
        "same text": sum(same_text),
        "same queries": sum(same_queries),
        "succeeded here": succeeded[0],
        "succeeded there": succeeded[1],
        "queries here": sum(mine.n_queries for mine, _ in pairs),
        "queries there": sum(yours["n_queries"] for _, yours in pairs),
        "different": [
            mine.example_id for (mine, _), a, b in zip(pairs, same_text, same_queries, strict=True) if not (a and b)
        ],
    }


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Attack on both sides, and compare recipe by recipe."""
    torch.set_num_threads(options.threads)
    if not (options.victim / "model.safetensors").is_file():
        train(options.data, options.victim, steps=options.steps, seed=options.seed)
    victim = FixedShapeVictim(options.victim)
    examples = chosen(options.data, options.n, options.seed)
    victim.check([example["text"] for example in examples][:100])
    job = {"victim": str(options.victim), "examples": examples, "recipes": options.recipes, "threads": options.threads}
    lines = theirs(options.textattack, job, folder)
    report: dict[str, Any] = {"victim": victim.name, "n": options.n, "seed": options.seed, "recipes": {}}
    for name in options.recipes:
        mine = ours(name, victim, examples, options.seed)
        done = next(line for line in lines if line.get("done") == name)
        result = compared(mine["attempts"], [line for line in lines if line.get("recipe") == name])
        for key in ("seconds", "victim_seconds", "n_victim_texts"):
            result[f"{key} here"], result[f"{key} there"] = round(mine[key], 2), round(done[key], 2)
        report["recipes"][name] = result
        print(name, json.dumps(result))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--textattack", type=Path, required=True, help="Python of an environment with textattack 0.3.11"
    )
    parser.add_argument("--data", type=Path, required=True, help="dynahate.csv.gz")
    parser.add_argument(
        "--victim", type=Path, default=None, help="folder of the trained victim, kept for the next time"
    )
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--n", type=int, default=300, help="examples; those that the victim errs on are skipped")
    parser.add_argument("--steps", type=int, default=800, help="of 32 texts, to train the victim")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="print only, keep nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        options.victim = options.victim or Path(scratch) / "victim"
        report = measured(options, Path(scratch))
    if not options.dry:
        keep(report, RESULTS)


if __name__ == "__main__":
    main()
