"""Tokens a second during an audit beside bare ``model.generate`` at the same batch and length, in one run.

The audited side is a whole step of the audit: both arms of the guard with their filters, and the journal. Rounds
alternate; ratios are of neighbouring rounds, so that a machine that changes speed does not favour either side.

Run: ``python -m benchmarks.audit_throughput [--rounds 7] [--batch 32] [--new-tokens 20]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import torch

from evals.arms import ArmPair
from evals.datasets import real_toxicity_prompts, sample_prompts
from evals.journal import Journal
from evals.schema import Sample
from evals.seeds import sample_seed
from guard import assets
from guard.filters.table import DEFAULT_FILTERS, load_filter
from guard.generators.source import resolve
from guard.generators.transformers import TransformersGenerator
from guard.policy import Policy
from guard.schema import Decoding

RESULTS = Path(__file__).with_name("results") / "audit_throughput.json"


def bare(generator: TransformersGenerator, prompts: list[str], decoding: Decoding) -> tuple[int, float]:
    """Time what a user would write: left padding, nucleus sampling; tokens and seconds."""
    tokenizer, model = generator.tokenizer, generator.model
    tokenizer.padding_side = "left"
    start = time.perf_counter()
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
            max_new_tokens=decoding.max_new_tokens, do_sample=True, top_p=decoding.top_p, top_k=0,
            pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    new = out[:, inputs["input_ids"].shape[1] :]
    tokenizer.batch_decode(new, skip_special_tokens=True)
    return int((new != tokenizer.pad_token_id).sum()), time.perf_counter() - start


def audited(
    pair: ArmPair, generator: TransformersGenerator, samples: list[Sample], journal: Journal
) -> tuple[int, float]:
    """Time one batch of the audit; tokens and seconds."""
    before, start = generator.n_tokens, time.perf_counter()
    journal.append("model", pair.generate(samples))
    return generator.n_tokens - before, time.perf_counter() - start


def alone(generator: TransformersGenerator, samples: list[Sample]) -> tuple[int, float]:
    """Time the generator without guard and journal; tokens and seconds."""
    before, start = generator.n_tokens, time.perf_counter()
    generator.generate([s.prompt for s in samples], seed=[s.seed for s in samples])
    return generator.n_tokens - before, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--new-tokens", type=int, default=20)
    parser.add_argument("--continuations", type=int, default=25)
    options = parser.parse_args()
    decoding = Decoding(max_new_tokens=options.new_tokens, temperature=1.0, top_p=0.9, chat=False)
    source = resolve("smollm2-135m")
    generator = TransformersGenerator.load(source.folder, decoding=decoding, batch_size=options.batch)
    filters = [load_filter(name) for name in DEFAULT_FILTERS]
    pair = ArmPair(generator, Policy.load("standard"), inputs=filters, outputs=filters)
    prompts = sample_prompts(real_toxicity_prompts(folder=assets.path("rtp-prompts")), 350, seed=0)
    speeds: dict[str, list[float]] = {"bare generate": [], "audit": [], "generator alone": []}
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl", {}) as journal:
        for number in range(options.rounds + 1):
            # As the quick suite batches them: each prompt as often as it is continued, so that both sides repeat it.
            first = number * options.batch
            texts = [prompts[k // options.continuations].text for k in range(first, first + options.batch)]
            samples = [
                Sample(f"{number}/{i}", "toxicity", text, text, "all", sample_seed(number, str(i)))
                for i, text in enumerate(texts)
            ]
            timed = {
                "bare generate": bare(generator, texts, decoding),
                "audit": audited(pair, generator, samples, journal),
                "generator alone": alone(generator, samples),
            }
            if number:  # the first round warms up
                for name, (tokens, seconds) in timed.items():
                    speeds[name].append(tokens / seconds)
            print({name: round(tokens / seconds, 1) for name, (tokens, seconds) in timed.items()}, flush=True)
    report(speeds, vars(options) | {"dtype": str(generator.dtype), "threads": torch.get_num_threads()})


def report(speeds: dict[str, list[float]], settings: dict[str, object]) -> None:
    """Print and keep medians and paired ratios."""
    ratios = {
        name: [a / b for a, b in zip(speeds[name], speeds["bare generate"], strict=True)]
        for name in ("audit", "generator alone")
    }
    result = {
        "settings": settings,
        "tokens a second, median": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "ratio to bare generate": {
            name: {"median": round(statistics.median(v), 3), "least": round(min(v), 3), "greatest": round(max(v), 3)}
            for name, v in ratios.items()
        },
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
