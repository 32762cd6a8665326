"""A step of ``assay finetune`` with LoRA against a bare PEFT and Transformers loop: time and peak memory, same batch.

The same model, rank, layers, rows, optimizer and clipping on both sides, in bfloat16. ``bare`` is the loop as the
libraries' own guides write it: ``get_peft_model``, the model's own loss, AdamW. ``tuned`` is that loop with what this
project found to pay on a CPU: eager attention, and updates in the model's precision. The steps of all sides alternate
in one process, inside the real training loop, whose own work between steps counts as ours; medians of paired ratios.
Peak memory is that of a process that runs one side alone. The bars: time and memory at most 1.1 times ``bare``.

Run ``python -m benchmarks.finetune_overhead [--steps 8] [--rows 8] [--length 128]``; figures go to
``benchmarks/results/finetune_overhead.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.kept import keep
from guard.generators.loading import load_model, pick_device
from guard.generators.source import resolve
from guard.train.generator.fit_settings import FitSettings
from guard.train.generator.fitting import fit
from guard.train.generator.token_rows import TokenRow
from guard.train.generator.tuned import Tuned, Tuning, prepare

RESULTS = Path(__file__).with_name("results") / "finetune_overhead.json"
RANK, RATE = 16, 1e-4
SIDES = ("ours", "bare", "tuned")


def batch(options: argparse.Namespace) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1000, 40000, (options.rows, options.length), generator=generator)


def model_of(options: argparse.Namespace) -> Any:
    return load_model(resolve(options.model).folder, device=pick_device("auto"), dtype="bfloat16")[0]


def bare_step(options: argparse.Namespace, *, tuned: bool) -> Callable[[], None]:
    """Return a step of a loop as PEFT's and Transformers' guides write it."""
    import peft

    model = model_of(options)
    if tuned:
        model.set_attn_implementation("eager")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    model = peft.get_peft_model(model, config, autocast_adapter_dtype=not tuned)
    if tuned:
        for value in model.parameters():
            value.data = value.data.to(torch.bfloat16)
    model.train()
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    ids = batch(options).to(model.device)
    mask = torch.ones_like(ids)

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if ids.is_cuda:
            torch.cuda.synchronize()

    return step


def our_model(options: argparse.Namespace) -> Tuned:
    return prepare(model_of(options), Tuning("lora", rank=RANK, alpha=2.0 * RANK), seed=0)


def train_ours(options: argparse.Namespace, tuned: Tuned, steps: int, on_step: Callable[[], None]) -> None:
    """Run the real loop; each step takes the whole batch at once."""
    rows = [TokenRow(tuple(ids), (False, *[True] * (len(ids) - 1))) for ids in batch(options).tolist()]
    tokens = options.rows * options.length
    settings = FitSettings(steps=steps, step_tokens=tokens, budget=tokens, rate=RATE, looks=1)
    fit(tuned, rows, rows[:1], settings, pad_id=0, on_step=lambda step, total, losses: on_step())


def times(options: argparse.Namespace) -> dict[str, list[float]]:
    others = {"bare": bare_step(options, tuned=False), "tuned": bare_step(options, tuned=True)}
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    began = [0.0]

    def between() -> None:
        found["ours"].append(time.perf_counter() - began[0])
        for side, step in others.items():
            started = time.perf_counter()
            step()
            found[side].append(time.perf_counter() - started)
        began[0] = time.perf_counter()

    began[0] = time.perf_counter()
    train_ours(options, our_model(options), options.steps + 1, between)
    # The first step of each side warms it up, and ours begins with a look at validation.
    return {side: values[1:] for side, values in found.items()}


def memory(options: argparse.Namespace, side: str) -> float:
    """Return the peak of a process that runs one side alone, in megabytes."""
    line = [sys.executable, "-m", "benchmarks.finetune_overhead", "--side", side, "--model", options.model]
    line += ["--rows", str(options.rows), "--length", str(options.length)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["peak_mb"])


def host_peak_mb() -> float:
    """Return the most main memory that this process held; what its parent held before it does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(options: argparse.Namespace) -> None:
    """Run three steps of one side, and print the peak."""
    if options.side == "ours":
        train_ours(options, our_model(options), 3, lambda: None)
    else:
        step = bare_step(options, tuned=options.side == "tuned")
        for _ in range(3):
            step()
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else host_peak_mb()
    print(json.dumps({"peak_mb": peak}))


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        alone(options)
        return
    found = times(options)
    peaks = {side: memory(options, side) for side in SIDES}
    ratios = {
        side: statistics.median(ours / other for ours, other in zip(found["ours"], found[side], strict=True))
        for side in ("bare", "tuned")
    }
    report = {
        "batch": [options.rows, options.length],
        "steps": options.steps,
        "seconds": {side: {"median": statistics.median(v), "all": v} for side, v in found.items()},
        "time_ratio": ratios,
        "peak_mb": peaks,
        "memory_ratio": {side: peaks["ours"] / peaks[side] for side in ("bare", "tuned")},
        "machine": {"processor": platform.machine(), "torch": torch.__version__, "threads": torch.get_num_threads()},
    }
    report["bars"] = {"time": ratios["bare"] <= 1.1, "memory": peaks["ours"] / peaks["bare"] <= 1.1}
    keep(report, RESULTS)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
