"""What the guard costs on top of generation: time at batch 8 with the whole default stack, and memory.

The guarded side is ``Guard.generate`` with the default filters on prompts and outputs; beside it, in turn, the same
generator with the same prompts and seeds, and bare ``model.generate`` of Transformers. Prompts are harmless, so that
all of them are written out: a blocked prompt would save the guarded side the time of writing. Memory is the peak
resident size of a process of its own for each side, the median of three. As the command line does, the benchmark
leaves AMX tiles out, so that no row depends on its batch (``docs/design/determinism.md``); ``--tiles`` keeps them.

Run ``python -m benchmarks.guard_overhead [--rounds 9] [--batch 8] [--new-tokens 64]``; figures go to
``benchmarks/results/guard_overhead.json``.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
if "--tiles" not in sys.argv:
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

import torch

from benchmarks.kept import keep
from guard.filters.table import DEFAULT_FILTERS, load_filter
from guard.generators.source import resolve
from guard.generators.transformers import TransformersGenerator
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Decoding

RESULTS = Path(__file__).parent / "results" / "guard_overhead.json"
SUBJECTS = (
    "a bakery",
    "the moon",
    "an old bridge",
    "my neighbour's dog",
    "the harvest",
    "a choir",
    "two boats",
    "rain",
)
OPENINGS = ("Write a few lines about {}.", "What should I know about {}?", "Tell a short story with {} in it.")
R = TypeVar("R")
MEMORY_ROUNDS = 3
BARE, GENERATOR, GUARDED = "bare generate", "generator alone", "guarded"


def prompts_of(number: int, batch: int) -> list[str]:
    """Return the prompts of a round."""
    places = range(number * batch, (number + 1) * batch)
    return [OPENINGS[place % 3].format(SUBJECTS[place % len(SUBJECTS)]) for place in places]


def load(options: argparse.Namespace) -> TransformersGenerator:
    """Load the generator as the audit does."""
    decoding = Decoding(max_new_tokens=options.new_tokens, temperature=1.0, top_p=0.9, chat=True)
    return TransformersGenerator.load(resolve("smollm2-135m").folder, decoding=decoding, batch_size=options.batch)


def guard_of(generator: TransformersGenerator) -> Guard:
    """Put the default stack around it, with the standard policy."""
    filters = [load_filter(name, device="cpu") for name in DEFAULT_FILTERS]
    return Guard(generator, Policy.load("standard"), inputs=filters, outputs=filters)


def bare(generator: TransformersGenerator, prompts: list[str], new_tokens: int) -> int:
    """Generate as a user of Transformers would; the tokens made."""
    tokenizer, model = generator.tokenizer, generator.model
    tokenizer.padding_side = "left"
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode():
        out = model.generate(
            **{name: inputs[name] for name in ("input_ids", "attention_mask")},
            max_new_tokens=new_tokens, do_sample=True, top_p=0.9, top_k=0,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    new = out[:, inputs["input_ids"].shape[1] :]
    tokenizer.batch_decode(new, skip_special_tokens=True)
    return int((new != tokenizer.pad_token_id).sum())


def timed(run: Callable[..., R], *given: object, **named: object) -> tuple[R, float]:
    """Return what a call gives, and its seconds."""
    started = time.perf_counter()
    found = run(*given, **named)
    return found, time.perf_counter() - started


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Alternate between the sides; ratios are of the same round."""
    generator = load(options)
    guard = guard_of(generator)
    rates: dict[str, list[float]] = {BARE: [], GENERATOR: [], GUARDED: []}
    overheads, judging, blocked = [], [], 0
    for number in range(options.rounds + 1):
        prompts, seeds = prompts_of(number, options.batch), list(range(options.batch))
        tokens, seconds_bare = timed(bare, generator, prompts, options.new_tokens)
        before = generator.n_tokens
        _, seconds_alone = timed(generator.generate, prompts, seed=seeds)
        written = generator.n_tokens - before
        responses, seconds_guarded = timed(guard.generate, prompts, seed=seeds)
        outputs = [response.output or "" for response in responses]
        _, seconds_in = timed(guard.check, prompts, stage="input")
        _, seconds_out = timed(guard.check, outputs, stage="output")
        if number:  # the first round warms up
            rates[BARE].append(tokens / seconds_bare)
            rates[GENERATOR].append(written / seconds_alone)
            rates[GUARDED].append(written / seconds_guarded)
            overheads.append(seconds_guarded / seconds_alone - 1)
            judging.append((seconds_in + seconds_out) / seconds_alone)
            blocked += sum(response.prompt_verdict.action == Action.BLOCK for response in responses)
    to_bare = [b / g - 1 for b, g in zip(rates[BARE], rates[GUARDED], strict=True)]
    return {
        "tokens a second, median": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "more time than the generator alone": spread(overheads),
        "judging prompts and outputs, of the generator's time": spread(judging),
        "more time a token than bare generate": spread(to_bare),
        "prompts blocked": blocked,
        "dtype": str(generator.dtype),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    named = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    return {name: round(value, 4) for name, value in named.items()}


def peak_mib() -> float:
    """Return the peak resident size of this program; ru_maxrss would count what its parent was before it started."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(side: str, options: argparse.Namespace) -> None:
    """Generate a few batches and print the peak resident size in MiB."""
    generator = load(options)
    guard = guard_of(generator) if side == GUARDED else None
    for number in range(3):
        prompts = prompts_of(number, options.batch)
        if guard is None:
            bare(generator, prompts, options.new_tokens)
        else:
            guard.generate(prompts)
    print(peak_mib())


def memory(options: argparse.Namespace) -> dict[str, float]:
    """Measure each side in processes of its own, in turn."""
    found: dict[str, list[float]] = {BARE: [], GUARDED: []}
    for _ in range(MEMORY_ROUNDS):
        for side, sizes in found.items():
            command = [sys.executable, "-m", "benchmarks.guard_overhead", "--child", side, *child_options(options)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            sizes.append(float(done.stdout.split()[-1]))
    middle = {side: statistics.median(sizes) for side, sizes in found.items()}
    return {f"{side}, MiB": round(size) for side, size in middle.items()} | {
        "ratio": round(middle[GUARDED] / middle[BARE], 3)
    }


def child_options(options: argparse.Namespace) -> list[str]:
    """Return what a process of its own must be told."""
    sizes = ["--batch", str(options.batch), "--new-tokens", str(options.new_tokens)]
    return [*sizes, "--tiles"] if options.tiles else sizes


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--tiles", action="store_true", help="let the processor use AMX tiles, where it has them")
    parser.add_argument("--memory", action="store_true", help="measure memory alone, print it, keep nothing")
    parser.add_argument("--child", choices=[BARE, GUARDED], help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        child(options.child, options)
        return
    if options.memory:
        print(json.dumps(memory(options)))
        return
    settings = {
        "rounds": options.rounds,
        "batch": options.batch,
        "new tokens": options.new_tokens,
        "tiles": options.tiles,
    }
    report = {
        "settings": settings | {"filters": DEFAULT_FILTERS, "threads": torch.get_num_threads()},
        "time": measure(options),
        "memory": memory(options),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(report, indent=2))
    keep(report, RESULTS)


if __name__ == "__main__":
    main()
