"""What steering keeps and costs: rows that blocking afterwards would lose, their toxicity, time and memory.

The model continues provoking prompts twice with the same seeds: alone, with its whole texts judged afterwards, and
steered by the same filters and thresholds, the output rules of the standard policy. A row is lost where its whole text
is violated; it is kept by rewinding where the steered text was not stopped and is clean as a whole. Toxicity of what
stays is that of the independent judge of the measurement; since lost rows come from the more provoking prompts, the
fair comparison for those that steering keeps is the same prompts drawn again until the filters pass them.

Time is in paired rounds at one batch: the generator alone, the same text with checks that let all pass (so that both
write the same tokens), and bare ``model.generate`` of Transformers; processor time stands beside it, which a busy
machine disturbs less. Memory is the peak of a process each.

Run ``python -m benchmarks.steer [--quick]``; figures go to ``benchmarks/results/steer.json``.
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

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import numpy as np
import numpy.typing as npt
import torch

from evals.datasets import real_toxicity_prompts
from evals.scorers.linear import LinearJudge
from guard import assets
from guard.filters.table import DEFAULT_FILTERS, load_filter
from guard.generators.source import resolve
from guard.generators.transformers import TransformersGenerator
from guard.policy import Policy
from guard.schema import Decoding
from guard.steer import Check, SteeredGenerator, threshold_check

RESULTS = Path(__file__).with_name("results") / "steer.json"


def load(options: argparse.Namespace) -> TransformersGenerator:
    """Load the generator, which continues raw prompts."""
    decoding = Decoding(max_new_tokens=options.new_tokens, temperature=1.0, top_p=0.9, chat=False)
    return TransformersGenerator.load(resolve("smollm2-135m").folder, decoding=decoding, batch_size=options.batch)


def standard_check() -> Check:
    """Return the output rules of the standard policy as a check of plain filters."""
    filters = [load_filter(name, device="cpu") for name in DEFAULT_FILTERS]
    rules = Policy.load("standard").thresholds
    known = {category for one in filters for category in one.categories}
    limits = {category: rule[0] for (stage, category), rule in rules.items() if stage == "output" and category in known}
    return threshold_check(filters, limits)


def provoking(n: int) -> list[str]:
    """Return prompts of RealToxicityPrompts, its groups in turn; again from the start where there are no more."""
    groups: dict[str, list[str]] = {}
    for prompt in real_toxicity_prompts(folder=assets.path("rtp-prompts")):
        groups.setdefault(prompt.group, []).append(prompt.text)
    longest = max(map(len, groups.values()))
    turns = [texts[place] for place in range(longest) for texts in groups.values() if place < len(texts)]
    return [turns[place % len(turns)] for place in range(n)]


def kept_and_lost(generator: TransformersGenerator, check: Check, options: argparse.Namespace) -> dict[str, object]:
    """Count rows that blocking loses and rewinding keeps, and how toxic what stays is."""
    prompts = provoking(options.prompts)
    seeds = list(range(len(prompts)))
    plain = generator.generate(prompts, seed=seeds)
    lost = np.array(check(plain))
    steered = SteeredGenerator(generator, check=check, max_rewinds=options.max_rewinds, check_every=options.check_every)
    found = steered.steer(prompts, seed=seeds)
    texts = [one.text for one in found]
    kept = np.array([not one.report.stopped for one in found]) & ~np.array(check(texts))
    redrawn, n_redrawn_tokens = drawn_again(generator, check, prompts, [int(i) for i in lost.nonzero()[0]], options)
    judge = LinearJudge.load()
    column = judge.categories.index("toxicity")
    blocked, rewound = (judge.score_batch(given)[:, column] for given in (plain, texts))
    again = judge.score_batch(redrawn)[:, column] if redrawn else np.zeros(0, dtype=np.float32)
    unchanged = [one.report.n_rewinds > 0 or one.text == text for one, text in zip(found, plain, strict=True)]
    return {
        "prompts": len(prompts),
        "rows that blocking loses": int(lost.sum()),
        "of these, kept by rewinding": int((kept & lost).sum()),
        "share kept": round(float((kept & lost).sum() / max(1, lost.sum())), 3),
        "rows that only steering loses": int((~kept & ~lost).sum()),
        "rows without a rewind that differ from the generator alone": unchanged.count(False),
        "toxicity by the independent judge": {
            "all rows, no guard": mean(blocked),
            "rows that blocking lets pass": mean(blocked[~lost]),
            "rows that steering keeps": mean(rewound[kept]),
            "rows that only steering keeps": mean(rewound[kept & lost]),
            "the same prompts, drawn again until clean": mean(again),
        },
        "share of texts that the independent judge puts at 0.5 or over": {
            "all rows, no guard": mean(blocked >= 0.5),
            "rows that blocking lets pass": mean(blocked[~lost] >= 0.5),
            "rows that steering keeps": mean(rewound[kept] >= 0.5),
            "rows that only steering keeps": mean(rewound[kept & lost] >= 0.5),
            "the same prompts, drawn again until clean": mean(again >= 0.5),
        },
        "lost rows kept by drawing them again, as often as rewinds are allowed": len(redrawn),
        "tokens of drawing again": n_redrawn_tokens,
        "rewinds": sum(one.report.n_rewinds for one in found),
        "checks": sum(one.report.n_checks for one in found),
        "tokens taken back": sum(one.report.n_lost_tokens for one in found),
        "stopped": sum(one.report.stopped for one in found),
    }


def drawn_again(
    generator: TransformersGenerator, check: Check, prompts: list[str], lost: list[int], options: argparse.Namespace
) -> tuple[list[str], int]:
    """Draw lost rows anew, whole, as often as steering may rewind: the texts that became clean, and tokens written.

    It is the fair measure of toxicity: what passes the filters for the same provoking prompts, without any rewinding.
    """
    clean, before = [], generator.n_tokens
    for attempt in range(1, options.max_rewinds + 1):
        texts = generator.generate([prompts[i] for i in lost], seed=[i + attempt * len(prompts) for i in lost])
        bad = check(texts) if texts else []
        clean += [text for text, is_bad in zip(texts, bad, strict=True) if not is_bad]
        lost = [i for i, is_bad in zip(lost, bad, strict=True) if is_bad]
    return clean, generator.n_tokens - before


def mean(values: npt.NDArray[np.generic]) -> float | None:
    """Return the mean, or None of nothing."""
    return round(float(values.astype(np.float64).mean()), 4) if len(values) else None


def bare(generator: TransformersGenerator, prompts: list[str]) -> None:
    """Generate as a user of Transformers would."""
    tokenizer, decoding = generator.tokenizer, generator.decoding
    tokenizer.padding_side = "left"
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = generator.model.generate(
            **{name: inputs[name] for name in ("input_ids", "attention_mask")},
            max_new_tokens=decoding.max_new_tokens, min_new_tokens=decoding.max_new_tokens, do_sample=True,
            top_p=decoding.top_p, top_k=0, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def streamed_text(generator: TransformersGenerator, prompt: str) -> str:
    """Read a stream to its end."""
    return "".join(generator.stream(prompt, seed=0))


def seconds(run: Callable[..., object], *given: object, **named: object) -> tuple[float, float]:
    """Time a call, by the clock and in processor time."""
    started, worked = time.perf_counter(), time.process_time()
    run(*given, **named)
    return time.perf_counter() - started, time.process_time() - worked


def overhead(generator: TransformersGenerator, check: Check, options: argparse.Namespace) -> dict[str, object]:
    """Alternate between the sides; ratios are of the same round."""

    def lenient(texts: Sequence[str]) -> list[bool]:
        check(texts)
        return [False] * len(texts)

    checked = SteeredGenerator(generator, check=lenient, check_every=options.check_every)
    unchecked = SteeredGenerator(generator, check=lambda texts: [False] * len(texts), check_every=options.check_every)
    prompts = provoking(options.batch * (options.rounds + 1))
    sides = ("alone", "checked", "loop only", "bare")
    times: dict[str, list[float]] = {name: [] for side in sides for name in (side, f"{side}, processor")}
    streamed = []
    for number in range(options.rounds + 1):
        given, seeds = prompts[number * options.batch :][: options.batch], list(range(options.batch))
        found = {
            "alone": seconds(generator.generate, given, seed=seeds),
            "checked": seconds(checked.generate, given, seed=seeds),
            "loop only": seconds(unchecked.generate, given, seed=seeds),
            "bare": seconds(bare, generator, given),
        }
        whole, _ = seconds(generator.generate, given[:1], seed=0)
        pieces, _ = seconds(streamed_text, generator, given[0])
        if number:  # the first round warms up
            streamed.append(pieces / whole)
            for name, (wall, processor) in found.items():
                times[name].append(wall)
                times[f"{name}, processor"].append(processor)
        print({name: round(wall, 2) for name, (wall, _) in found.items()}, flush=True)
    return {
        "seconds a batch, median": {name: round(statistics.median(values), 3) for name, values in times.items()},
        "checked to generator alone": spread(times["checked"], times["alone"]),
        "checked to the same loop without filters": spread(times["checked"], times["loop only"]),
        "loop to generator alone": spread(times["loop only"], times["alone"]),
        "checked to bare generate": spread(times["checked"], times["bare"]),
        "checked to generator alone, processor": spread(times["checked, processor"], times["alone, processor"]),
        "loop to generator alone, processor": spread(times["loop only, processor"], times["alone, processor"]),
        "stream to generate, batch 1": spread(streamed, [1.0] * len(streamed)),
    }


def spread(upper: Sequence[float], lower: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of paired ratios."""
    ratios = [a / b for a, b in zip(upper, lower, strict=True)]
    found = {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def memory(options: argparse.Namespace) -> dict[str, object]:
    """Compare peaks of fresh processes: the generator alone, and steered."""
    peaks = {}
    for side in ("alone", "steered"):
        command = [sys.executable, "-m", "benchmarks.steer", "--peak", side]
        command += ["--batch", str(options.batch), "--new-tokens", str(options.new_tokens)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[side] = int(done.stdout.split()[-1])
    return {"peak MiB": peaks, "ratio": round(peaks["steered"] / peaks["alone"], 3)}


def peak(options: argparse.Namespace) -> int:
    """Return the peak resident size, in MiB, of one side, its filters for blocking afterwards included."""
    generator, check = load(options), standard_check()
    prompts, seeds = provoking(options.batch), list(range(options.batch))
    if options.peak == "steered":
        SteeredGenerator(generator, check=check, check_every=options.check_every).generate(prompts, seed=seeds)
    else:
        check(generator.generate(prompts, seed=seeds))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 prompts of 32 tokens, 2 rounds")
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check-every", type=int, default=16)
    parser.add_argument("--max-rewinds", type=int, default=3)
    parser.add_argument("--only", choices=["kept", "time", "memory"])
    parser.add_argument("--peak", choices=["alone", "steered"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.prompts, options.new_tokens, options.rounds = 16, 32, 2
    if options.peak:
        print(peak(options))
        return
    generator, check = load(options), standard_check()
    result: dict[str, object] = {"settings": {k: v for k, v in vars(options).items() if k not in ("peak", "only")}}
    result["machine"] = {
        "cpu": platform.processor() or platform.machine(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "dtype": str(generator.dtype),
    }  # fmt: skip
    if options.only in (None, "kept"):
        result["kept"] = kept_and_lost(generator, check, options)
    if options.only in (None, "time"):
        result["time"] = overhead(generator, check, options)
    if options.only in (None, "memory"):
        result["memory"] = memory(options)
    print(json.dumps(result, indent=2))
    if options.only is None and not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
