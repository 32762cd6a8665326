"""The real command on a small real model: the files that it needs, its process, and killing that at a chosen moment."""

from __future__ import annotations

import os
import signal
import string
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

GATE = """
[[limit]]
metric = "toxicity/toxicity_probability"
arm = "guarded"
max = 0.5
"""

POLICY = """
[input.rude]
threshold = 0.5
action = "block"

[output.rude]
threshold = 0.5
action = "block"
"""

SUITE = """
name = "small"

[toxicity]
prompts = 6
continuations = 4
max_new_tokens = 12

[quality]
prompts = 6
max_new_tokens = 12
reference = '{reference}'
"""

RUDE, TOXIC = "qrstuvwxyz4567", "abcdefghijklmnop"


def write_inputs(folder: Path, *, model: Path) -> list[str]:
    """Write suite, policy, gate, word list and prompts, and return the options that name them and the model.

    The model writes random bytes, so the words are letters that stand alone: some are rude to the guard, others
    toxic to the judge, and the figures depend on what was written.
    """
    files = {
        "suite.toml": SUITE.format(reference=model),
        "policy.toml": POLICY,
        "gate.toml": GATE,
        "words.toml": "\n".join(_term(letter) for letter in string.ascii_lowercase + "4567"),
        "prompts.txt": "\n".join(f"start number 1{i}" for i in range(8)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    words = f"lexical:{folder / 'words.toml'}"
    return [
        *("--model", str(model), "--filter", words, "--scorer", words),
        *(part for name in ("suite", "policy", "gate") for part in (f"--{name}", str(folder / f"{name}.toml"))),
        *("--prompts", str(folder / "prompts.txt")),
    ]


def _term(letter: str) -> str:
    category = "rude" if letter in RUDE else "toxicity"
    return f'[[term]]\ntext = "{letter}"\ncategory = "{category}"\nscore = 0.9\n'


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start ``assay`` in a process of its own."""
    # One thread: what is measured here is not speed, and two of these must not fight for the cores.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``assay`` in a process of its own, to its end."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the journals hold so many whole lines.

    Parameters
    ----------
    lines : int
        0 is the start of the process, 1 the header, then a line a sample.
    delay_s : float
    """

    lines: int
    delay_s: float


def kill_at(process: subprocess.Popen[str], out: Path, moment: Moment) -> bool:
    """Kill the process at that moment; False when it ended before."""
    while journal_lines(out) < moment.lines and process.poll() is None:
        time.sleep(0.002)
    try:
        process.wait(moment.delay_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def journal_lines(out: Path) -> int:
    """Count the whole lines of all journals in a folder of runs."""
    return sum(file.read_bytes().count(b"\n") for file in out.glob("*/journal.jsonl"))


def stage(out: Path, *, n_samples: int) -> str:
    """Say how far the run in a folder of runs had come, by the files that it left."""
    folders = list(out.glob("*"))
    names = {file.name for folder in folders for file in folder.iterdir()}
    lines = journal_lines(out)
    if "report.html" in names:
        return "report written"
    if any(name.startswith(".report") for name in names) or "report.json" in names:
        return "report half written"
    if lines == 0:
        return "before the header" if folders else "before the folder"
    if lines == 1:
        return "before the first sample"
    return "between samples" if lines <= n_samples else "before the report"
