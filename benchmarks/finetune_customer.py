"""A small chat model fine-tuned on 5,000 rows of customer service: perplexity before and after, time, and a kill.

``assay finetune`` on the embedded SmolLM2-135M-Instruct with its defaults, as a user would call it. The bars:
perplexity on held-out rows falls by at least 30% in under 30 minutes on 2 cores; a run that was killed (SIGKILL,
halfway) and resumed ends with the same weights, bit by bit; the result loads with plain Transformers and audits. Time
is the clock's and the processor's: on a machine that others use the second says more, and divided by the threads it is
the least that the first could have been.

Run ``python -m benchmarks.finetune_customer --data-folder FOLDER --out FOLDER --set banking77 [--phase run]``, then
with the phases ``resume`` and ``audit``; figures go to ``benchmarks/results/finetune_customer.json``. FOLDER holds the
labelled sets by their names.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import platform
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.kept import keep

RESULTS = Path(__file__).with_name("results") / "finetune_customer.json"
SETS = {"banking77": ("banking77.csv", None), "multidogo_customer": ("multidogo_customer.csv.gz", "conversation_id")}
PLAIN = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model, found = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
assert not found["missing_keys"] and not found["unexpected_keys"], found
ids = tokenizer("I want to", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=12, do_sample=False)[0]))
assert "guard" not in sys.modules and "evals" not in sys.modules
"""


def rows(options: argparse.Namespace) -> Path:
    """Write the rows that are learnt from: whole conversations, in an order of their own, from the training split."""
    file, group = SETS[options.set]
    table = pd.read_csv(options.data_folder / options.set / file).dropna(subset=["text"])
    table = table[table["split"] == "train"]
    units = table[group] if group else pd.Series(table.index, index=table.index)
    order = {unit: place for place, unit in enumerate(np.random.default_rng(0).permutation(units.unique()))}
    table = table.assign(place=units.map(order)).sort_values("place", kind="stable").head(options.rows)
    out: Path = options.out / f"{options.set}-{options.rows}.csv"
    options.out.mkdir(parents=True, exist_ok=True)
    table.drop(columns="place").to_csv(out, index=False)
    return out


def folder_of(options: argparse.Namespace, name: str) -> Path:
    out: Path = options.out / f"{options.set}-{name}-{options.rows}"
    return out


def command(options: argparse.Namespace, name: str) -> list[str]:
    group = SETS[options.set][1]
    return [
        *(sys.executable, "-m", "cli", "finetune", "--data", str(rows(options)), "--text-column", "text"),
        *(["--group-column", group] if group else []),
        *("--out", str(folder_of(options, name)), "--json", *options.extra),
    ]


def timed(line: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = {"wall_s": time.monotonic() - started, "cpu_s": cpu, "peak_mb": after.ru_maxrss / 1024}
    return json.loads(done.stdout), spent


def run(options: argparse.Namespace) -> dict[str, Any]:
    result, spent = timed(command(options, "run"))
    fall = 1 - result["perplexity"]["ratio"]["value"]
    bars = {"perplexity falls by 30%": fall >= 0.3, "under 30 minutes by the clock": spent["wall_s"] < 1800}
    result.pop("out")
    return {"result": result, "spent": spent, "fall": fall, "bars": bars}


def step_of(folder: Path) -> int:
    """Return the last step that is in the curves."""
    file = folder / "curves.csv"
    steps = [int(row["step"]) for row in csv.DictReader(file.open())] if file.exists() else []
    return max(steps, default=0)


def killed_and_resumed(options: argparse.Namespace) -> dict[str, Any]:
    """Kill a run halfway, go on, and compare with the whole run."""
    folder, whole = (folder_of(options, name) for name in ("broken", "run"))
    if not whole.exists():
        timed(command(options, "run"))
    half = json.loads((whole / "finetune.json").read_text())["result"]["steps"] // 2
    begun = subprocess.Popen(command(options, "broken"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while step_of(folder) < half and begun.poll() is None:
        time.sleep(2)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    killed_at = step_of(folder)
    line = [sys.executable, "-m", "cli", "finetune", "--resume", "--out", str(folder), "--json"]
    result, _ = timed(line)
    losses = [json.loads((one / "finetune.json").read_text())["result"]["validation_loss"] for one in (whole, folder)]
    weights = [
        hashlib.sha256((one / "model" / "model.safetensors").read_bytes()).hexdigest() for one in (whole, folder)
    ]
    return {
        "killed_at_step": killed_at,
        "steps": result["steps"],
        "validation_loss": losses,
        "same_loss": losses[0] == losses[1],
        "same_weights": weights[0] == weights[1],
    }


def audited(options: argparse.Namespace) -> dict[str, Any]:
    """Load the result without Assay, and audit it."""
    model = folder_of(options, "run") / "model"
    said = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", PLAIN, str(model)],
        capture_output=True,
        text=True,
        check=True,
    )
    line = [*(sys.executable, "-m", "cli", "audit", "--model", str(model), "--limit", "4")]
    done = subprocess.run([*line, "--out", str(options.out / "audit")], capture_output=True, text=True, check=False)
    return {
        "plain_transformers": said.stdout.strip(),
        "audit_exit_code": done.returncode,
    }


PHASES = {"run": run, "resume": killed_and_resumed, "audit": audited}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="banking77")
    parser.add_argument("--phase", choices=PHASES, default="run")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("extra", nargs="*", help="More options of assay finetune, behind --.")
    options = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    entry = kept.setdefault(options.set, {})
    entry[options.phase] = {**PHASES[options.phase](options), "rows": options.rows, "options": options.extra}
    kept["machine"] = {"processor": platform.machine(), "system": platform.system()}
    keep(kept, RESULTS)
    print(json.dumps(entry[options.phase], indent=2))


if __name__ == "__main__":
    main()
