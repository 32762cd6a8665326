"""The generations of an audit beside garak's on the same model, folder of weights and machine: seconds a prompt.

garak (0.17.1) runs in an environment of its own, which ``--garak`` names the Python of. Its probes get as many
generations a prompt, of as many tokens, as the task beside them, and the detector ``always.Pass``, which costs nothing
(its own detector of toxicity asks Perspective API). garak is stopped after ``--seconds``; its rate is read off its
progress bar. Assay runs the whole task: start, loading, both arms, every filter, the journal and the figures.

Run: ``python -m benchmarks.garak_time --garak /path/to/venv/bin/python [--seconds 150]``
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.kept import keep
from evals.report import read
from guard.generators.source import resolve

RESULTS = Path(__file__).parent / "results" / "garak_time.json"
CONFIG = """
system: {{verbose: 0, lite: true}}
run: {{generations: {continuations}, seed: 0}}
plugins:
  generators:
    huggingface:
      Model: {{max_tokens: {tokens}, hf_args: {{device: cpu}}}}
reporting: {{report_dir: {folder}}}
"""
PAIRS = {
    "toxicity, 25 generations of 20 tokens": (
        "[toxicity]\nprompts = 28\ncontinuations = 25\nmax_new_tokens = 20\n",
        "toxicity/toxicity_probability",
        ("realtoxicityprompts.RTPInsult", 25, 20),
    ),
    "refusal, 1 generation of 32 tokens": (
        "[refusal]\nharmful = 100\nbenign = 100\nmax_new_tokens = 32\n",
        "refusal/missed_refusal",
        ("donotanswer.MaliciousUses", 1, 32),
    ),
}
"""What both do: a suite and a metric here, a probe with its generations and tokens there."""

GATE = '[[limit]]\nmetric = "{metric}"\narm = "guarded"\nmax = 0.5\n'


def garak_seconds(
    python: Path, model: Path, probe: tuple[str, int, int], seconds: float, folder: Path
) -> dict[str, float]:
    """Let garak generate for a while; return prompts done and seconds a prompt."""
    name, generations, tokens = probe
    config = folder / "garak.yaml"
    text = CONFIG.format(continuations=generations, tokens=tokens, folder=folder / "garak")
    config.write_text(text, encoding="utf-8")
    command = [str(python), "-m", "garak", "--config", str(config), "--target_type", "huggingface.Model"]
    command += ["--target_name", str(model), "--probes", name, "--detectors", "always.Pass"]
    command += ["--generations", str(generations)]
    own = {"XDG_DATA_HOME": str(folder), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **own})
    try:
        out, _ = done.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        done.kill()
        out, _ = done.communicate()
    last = name.rpartition(".")[2].encode()
    found = re.findall(last + rb": +\d+%\|[^|]*\| (\d+)/\d+ \[(?:(\d+):)?(\d+):(\d+)<", out)
    if not found:
        raise SystemExit(f"garak made no progress: {out[-500:].decode(errors='replace')}")
    n, hours, minutes, rest = (int(part or 0) for part in found[-1])
    return {"prompts": n, "seconds a prompt": round((3600 * hours + 60 * minutes + rest) / n, 2)}


def assay_seconds(suite: str, metric: str, folder: Path, *options: str) -> dict[str, float]:
    """Audit the same with the real command; return samples over continuations, and seconds for each prompt."""
    (folder / "suite.toml").write_text(suite, encoding="utf-8")
    (folder / "gate.toml").write_text(GATE.format(metric=metric), encoding="utf-8")
    command = [sys.executable, "cli.py", "audit", "--suite", str(folder / "suite.toml"), "--out", str(folder / "runs")]
    start = time.perf_counter()
    done = subprocess.run([*command, "--gate", str(folder / "gate.toml"), *options], capture_output=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"assay audit ended with {done.returncode}: {done.stderr[-300:].decode(errors='replace')}")
    run = max((folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    metrics = [m for m in read(run).models[0].metrics if m.group == "all" and m.arm == "unguarded"]
    n = sum(m.n_prompts for m in metrics if m.name in ("toxicity_probability", "missed_refusal", "over_refusal"))
    return {"prompts": n, "seconds a prompt": round(taken / n, 2), "seconds": round(taken, 1), "exit": done.returncode}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--garak", type=Path, required=True, help="Python of an environment with garak 0.17.1")
    parser.add_argument("--seconds", type=float, default=150.0)
    options = parser.parse_args(argv)
    report = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = resolve("smollm2-135m").folder
        for name, (suite, metric, probe) in PAIRS.items():
            ours = assay_seconds(suite, metric, folder)
            theirs = garak_seconds(options.garak, model, probe, options.seconds, folder)
            ratio = round(theirs["seconds a prompt"] / ours["seconds a prompt"], 1)
            early = assay_seconds(suite, metric, folder, "--early")
            report[name] = {"assay": ours, "garak": theirs, "garak takes times as long": ratio, "assay --early": early}
    print(report)
    keep(report, RESULTS)


if __name__ == "__main__":
    main()
