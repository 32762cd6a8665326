"""Documents a second: the default stack beside a BERT-base for each category, and beside ``Detoxify.predict``.

All score the same texts in the same process, one after the other in every repeat, on the same threads. The stack is
everything that ``Guard.check`` does: canonical text and other readings, every default filter, the decision. Weights
are not needed to know a speed, so BERT-bases of random weights stand in for separate classifiers (one label each, in
length-sorted batches by this project's own ``transformer`` filter) and for Detoxify's published checkpoint, loaded
through its own ``checkpoint=`` and ``huggingface_config_path=``; the words are cut by the tokenizer of MiniLM, which
is that of bert-base-uncased.

Run ``python -m benchmarks.filter_throughput [--repeats 3] [--texts 32]``; figures go to
``benchmarks/results/filter_throughput.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

import torch
import transformers
from detoxify import Detoxify
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from benchmarks.kept import keep
from guard import assets
from guard.filters.encoder import EncoderFilter
from guard.filters.table import DEFAULT_FILTERS, load_filter
from guard.filters.transformer import TransformerFilter
from guard.guard import Guard
from guard.policy import Policy

RESULTS = Path(__file__).parent / "results" / "filter_throughput.json"
SENTENCES = (
    "The train was late again, so we walked along the river and talked about the film.",
    "You are the kindest person I know, and I would not want to work with anyone else.",
    "He shouted at the referee and was sent off before half-time.",
    "Please send me the invoice for last month and change the address on my account.",
    "Nobody should be treated like that because of where they come from.",
)
LENGTHS = (40, 400)
STACK, SEPARATE = "default stack", "five BERT-base classifiers"


def texts_of(n_texts: int, n_tokens: int) -> list[str]:
    """Return texts of about so many tokens, from a quarter less to a quarter more."""
    words = " ".join(SENTENCES * 40).split()
    texts = []
    for index in range(n_texts):
        n_words = round(n_tokens * 0.88 * (0.75 + 0.5 * index / max(1, n_texts - 1)))
        texts.append(" ".join(words[index : index + n_words]))
    return texts


def detoxify_of_random_weights(folder: Path, vocabulary: Path) -> Detoxify:
    """Write a checkpoint in Detoxify's own form and load it as Detoxify does."""
    folder.mkdir()
    config = BertConfig(num_labels=6)
    config.save_pretrained(folder)
    BertTokenizer(str(vocabulary), model_max_length=512).save_pretrained(folder)
    arguments = {
        "model_type": str(folder),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": 6,
    }
    classes = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
    checkpoint = folder / "random.ckpt"
    stored = {"arch": {"args": arguments}, "dataset": {"args": {"classes": classes}}}
    torch.save({"config": stored, "state_dict": BertForSequenceClassification(config).state_dict()}, checkpoint)
    return Detoxify(checkpoint=str(checkpoint), huggingface_config_path=str(folder))


def bert_base_of_one_label(folder: Path, vocabulary: Path) -> TransformerFilter:
    """Write a BERT-base of random weights with one label and load it as a filter."""
    labels = {"id2label": {0: "harmless", 1: "harmful"}, "label2id": {"harmless": 0, "harmful": 1}}
    BertForSequenceClassification(BertConfig(num_labels=2, **labels)).save_pretrained(folder)
    BertTokenizer(str(vocabulary), model_max_length=512).save_pretrained(folder)
    return TransformerFilter.load(str(folder), device="cpu")


def default_stack() -> Callable[[list[str]], object]:
    """Return what the guard does with prompts under the standard policy."""
    filters = [load_filter(name, device="cpu") for name in DEFAULT_FILTERS]
    guard = Guard(None, Policy.load("standard"), inputs=filters, outputs=filters)
    return lambda texts: guard.check(texts, stage="input")


def seconds(run: Callable[[list[str]], object], texts: list[str]) -> float:
    """Time one call."""
    started = time.perf_counter()
    run(texts)
    return time.perf_counter() - started


def measure(runs: dict[str, Callable[[list[str]], object]], texts: list[str], *, repeats: int) -> dict[str, object]:
    """Alternate between the runs and give the median documents a second of each, and their ratios to the last."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(texts[:2])
    for _ in range(repeats):
        for name, run in runs.items():
            taken[name].append(len(texts) / seconds(run, texts))
    medians = {name: statistics.median(rates) for name, rates in taken.items()}
    *ours, peer = medians
    pairs = {name: [a / b for a, b in zip(taken[name], taken[peer], strict=True)] for name in ours}
    return {
        "n_texts": len(texts),
        "documents_per_second": {name: round(rate, 2) for name, rate in medians.items()},
        "all": {name: [round(rate, 2) for rate in rates] for name, rates in taken.items()},
        "ratio_to_detoxify": {name: round(statistics.median(ratios), 2) for name, ratios in pairs.items()},
        "stack_to_separate": round(
            statistics.median(a / b for a, b in zip(taken[STACK], taken[SEPARATE], strict=True)), 2
        ),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=32, help="texts of 40 tokens; a fourth as many of 400")
    options = parser.parse_args(argv)
    transformers.logging.set_verbosity_error()
    base = assets.path("minilm")
    with tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(0)
        peer = detoxify_of_random_weights(Path(scratch) / "detoxify", base / "vocab.txt")
        single = bert_base_of_one_label(Path(scratch) / "single", base / "vocab.txt")
        encoder = EncoderFilter.load(base=base, device="cpu", dtype="float32")
        runs: dict[str, Callable[[list[str]], object]] = {
            STACK: default_stack(),
            SEPARATE: lambda texts: [single.score_batch(texts) for _ in encoder.categories],
            "encoder float32": encoder.score_batch,
            "encoder bfloat16": EncoderFilter.load(base=base, device="cpu", dtype="bfloat16").score_batch,
            "Detoxify.predict": peer.predict,
        }
        results: dict[str, object] = {}
        for n_tokens in LENGTHS:
            n_texts = options.texts if n_tokens == LENGTHS[0] else max(4, options.texts // 4)
            results[f"{n_tokens} tokens"] = measure(runs, texts_of(n_texts, n_tokens), repeats=options.repeats)
            print(n_tokens, "tokens:", json.dumps(results[f"{n_tokens} tokens"]))
    report = {
        "results": results,
        "repeats": options.repeats,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    write_report(report)


def write_report(report: dict[str, object]) -> None:
    """Replace the kept figures, with those of the run before as ``previous``."""
    if RESULTS.exists():
        report["previous"] = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    keep(report, RESULTS)


if __name__ == "__main__":
    main()
