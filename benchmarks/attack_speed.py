"""How long recipes take on the encoder filter: TextAttack as its users run it, TextAttack mended, and Assay.

Runs in TextAttack's environment with Assay on the path, since all four arms share one process, one model in float32
and the same threads:

- ``stock``: TextAttack 0.3.11 with its own Hugging Face wrapper, which pads every text to 512 tokens. On the first
  ``--stock`` examples only and of the first recipe; its time is that of its queries there, for as many queries as
  ``mended`` asks.
- ``mended``: the same with a wrapper that pads to the longest text of the batch (``padded_to_longest``).
- ``same``: Assay's recipe. Its texts and query counts are held against the mended arm's, example by example.
- ``fast``: Assay's recipe with the search of ``--search few-queries``. Success is held against the same examples;
  for input reduction the share of words left out is.

The model is the shipped encoder with its update merged, as a ``PreTrainedModel`` (``attack_speed_victim.py``); its
scores are held against the filter's first. Arms take turns on blocks of examples, each block in another order, and over
all of them again in another pass, so that whatever else the machine does meets all. Times are processor time of the
process (which other programs do not inflate) and wall time.

Run: ``PYTHONPATH=. /path/to/textattack-venv/bin/python -m benchmarks.attack_speed --data dynahate.csv.gz
--recipe deepwordbug:200 --recipe input-reduction:200 --recipe pwws:60 --recipe pruthi:60``
"""

from __future__ import annotations

import argparse
import importlib
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.attack_parity import nltk_folder
from benchmarks.attack_speed_victim import as_victim, load, toxic
from benchmarks.kept import keep
from guard.attacks import textattack as bridge
from guard.attacks.classifier import ClassifierVictim
from guard.attacks.engine import run_attack
from guard.attacks.example_run import example_seed
from guard.attacks.readings import Readings
from guard.attacks.recipes import few_queries, recipe
from guard.attacks.schema import Attempt, Example
from guard.filters.encoder import EncoderFilter

RESULTS = Path(__file__).parent / "results" / "attack_speed.json"


@dataclass
class Clock:
    """Adds up processor and wall time, and calls."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    n_texts: int = 0

    def run(self, call: Callable[[], Any], n_texts: int = 0) -> Any:
        """Take the time of a call."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return call()
        finally:
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
            self.n_texts += n_texts

    def over(self, passes: int) -> Clock:
        """Return what a pass took."""
        return Clock(self.cpu_s / passes, self.wall_s / passes, self.n_texts // passes)


@dataclass
class Arm:
    """One way to attack, with what it took."""

    attack: Callable[[Sequence[Example]], list[tuple[str, str, int]]]
    inside: Clock
    whole: Clock = field(default_factory=Clock)
    blocks: list[float] = field(default_factory=list)
    found: dict[str, tuple[str, str, int]] = field(default_factory=dict)

    def take(self, examples: Sequence[Example]) -> None:
        """Attack some examples."""
        before = self.whole.cpu_s
        results = self.whole.run(lambda: self.attack(examples))
        self.blocks.append(self.whole.cpu_s - before)
        self.found |= {example.id: result for example, result in zip(examples, results, strict=True)}


class TimedVictim:
    """A white box whose own time is taken."""

    def __init__(self, victim: ClassifierVictim, clock: Clock) -> None:
        self._victim, self._clock = victim, clock
        self.name, self.labels, self.vocabulary = victim.name, victim.labels, victim.vocabulary
        self.n_gradients = 0

    def probabilities(self, texts: Sequence[str]) -> Any:
        """Read texts."""
        return self._clock.run(lambda: self._victim.probabilities(texts), len(texts))

    def gradients(self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None) -> Any:
        """Follow gradients."""
        self.n_gradients += len(texts)
        return self._clock.run(lambda: self._victim.gradients(texts, labels, halfway_to=halfway_to))

    def tokens(self, texts: Sequence[str]) -> Any:
        """Return the tokens of texts; the tokenizer counts as the victim's, as it does within TextAttack's wrapper."""
        return self._clock.run(lambda: self._victim.tokens(texts))

    def embeddings(self) -> Any:
        """Return the word embeddings."""
        return self._victim.embeddings()


def theirs(name: str, wrapper: Any, clock: Clock, seed: int) -> Arm:
    """TextAttack's recipe around a wrapper."""
    ask = type(wrapper).__call__

    class Timed(type(wrapper)):  # type: ignore[misc]
        def __call__(self, texts: list[str], **options: Any) -> Any:
            return clock.run(lambda: ask(self, texts), len(texts))

    wrapper.__class__ = Timed
    attack = getattr(bridge.textattack().attack_recipes, bridge.TEXTATTACK_RECIPES[name]).build(wrapper)

    def run(examples: Sequence[Example]) -> list[tuple[str, str, int]]:
        found = []
        attack.clear_cache()  # it would answer another pass from memory
        for example in examples:
            random.seed(example_seed(seed, example.id))
            np.random.seed(example_seed(seed, example.id))
            result = attack.attack(example.text, example.label)
            status = type(result).__name__.removesuffix("AttackResult").lower()
            found.append((status, result.perturbed_result.attacked_text.text, int(result.num_queries)))
        return found

    return Arm(run, clock)


def ours(name: str, victim: ClassifierVictim, seed: int, *, fast: bool) -> tuple[Arm, TimedVictim, list[Attempt]]:
    """Assay's recipe, as it stands or with few queries."""
    clock, attempts = Clock(), list[Attempt]()
    timed = TimedVictim(victim, clock)
    attack = few_queries(recipe(name)) if fast else recipe(name)
    statuses = {"succeeded": "successful"}

    def run(examples: Sequence[Example]) -> list[tuple[str, str, int]]:
        made = {one.example_id: one for one in run_attack(attack, Readings(timed), examples, seed=seed, at_once=256)}
        attempts.extend(made.values())
        rows = [made[example.id] for example in examples]
        return [(statuses.get(one.status, one.status), one.perturbed, one.n_queries) for one in rows]

    return Arm(run, clock), timed, attempts


def measured(name: str, n: int, n_stock: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one recipe."""
    model, tokenizer = load()
    victim = as_victim(model, tokenizer)
    texts = toxic(options.data, victim, n)
    examples = [Example(f"example/{place}", text, 1) for place, text in enumerate(texts)]
    filter_ = EncoderFilter.load(device="cpu", dtype="float32")
    gap = np.abs(victim.probabilities(texts)[:, 1] - filter_.score_batch(texts)[:, 0])
    wrapper = bridge.textattack().models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
    stock = theirs(name, wrapper, Clock(), options.seed)
    mended = theirs(name, bridge.padded_to_longest(model, tokenizer), Clock(), options.seed)
    same, _, same_attempts = ours(name, victim, options.seed, fast=False)
    fast, timed, fast_attempts = ours(name, victim, options.seed, fast=True)
    arms = {"stock": stock, "mended": mended, "same": same, "fast": fast}
    starts = [*range(0, len(examples), options.block)] * options.passes
    for turn, start in enumerate(starts):
        some = examples[start : start + options.block]
        for arm in [*arms][turn % 4 :] + [*arms][: turn % 4]:
            part = some if arm != "stock" else [one for one in some if one in examples[:n_stock]]
            if part and not (arm == "stock" and arms[arm].found):
                arms[arm].take(part)
        print(f"turn {turn + 1} of {len(starts)}", {n: round(a.whole.cpu_s, 1) for n, a in arms.items()}, flush=True)
    if not n_stock:
        del arms["stock"]
    report: dict[str, Any] = {"n": len(examples), "largest gap to the filter's scores": float(gap.max())}
    report["passes"] = options.passes
    for arm in (mended, same, fast):
        arm.inside, arm.whole = arm.inside.over(options.passes), arm.whole.over(options.passes)
    report |= {arm: _row(how) for arm, how in arms.items()}
    report["fast"]["gradients"] = timed.n_gradients // options.passes
    report["words changed"] = {"same": _words(same_attempts), "fast": _words(fast_attempts)}
    report["words left out"] = {"same": _left_out(same_attempts), "fast": _left_out(fast_attempts)}
    return report | _compared(arms, examples, n_stock)


def _row(arm: Arm) -> dict[str, Any]:
    n = len(arm.found)
    return {
        "n": n,
        "succeeded": sum(status == "successful" for status, _, _ in arm.found.values()),
        "queries an example": round(sum(queries for _, _, queries in arm.found.values()) / n, 2),
        "texts read by the model": arm.inside.n_texts,
        "processor seconds": round(arm.whole.cpu_s, 2),
        "wall seconds": round(arm.whole.wall_s, 2),
        "share outside the victim": round(1 - arm.inside.cpu_s / arm.whole.cpu_s, 4),
    }


def _words(attempts: Sequence[Attempt]) -> float:
    changed = [one.n_words_changed for one in attempts if one.status == "succeeded"]
    return round(sum(changed) / max(1, len(changed)), 2)


def _left_out(attempts: Sequence[Attempt]) -> float | None:
    shares = [
        1 - len(one.perturbed.split()) / len(one.original.split()) for one in attempts if one.status == "maximized"
    ]
    return round(sum(shares) / len(shares), 4) if shares else None


def _compared(arms: dict[str, Arm], examples: Sequence[Example], n_stock: int) -> dict[str, Any]:
    """Return the ratios of time and how many results are the same."""
    first = [example.id for example in examples[:n_stock]]

    def alike(one: Arm, other: Arm, ids: Sequence[str]) -> dict[str, int]:
        pairs = [(one.found[i], other.found[i]) for i in ids]
        return {
            "n": len(pairs),
            "same text": sum(a[:2] == b[:2] for a, b in pairs),
            "same queries": sum(a[2] == b[2] for a, b in pairs),
        }

    every = [example.id for example in examples]
    an_example = {name: arm.whole.cpu_s / len(arm.found) for name, arm in arms.items()}
    wall = {name: arm.whole.wall_s / len(arm.found) for name, arm in arms.items()}
    # Its few examples may ask for more or less than all do: a query's time, and the queries of all.
    queries = {name: sum(asked for _, _, asked in arm.found.values()) / len(arm.found) for name, arm in arms.items()}
    for times in (an_example, wall) if n_stock else ():
        times["stock"] *= queries["mended"] / queries["stock"]
    ratios = {
        f"{name} / {ours_}": {
            "processor": round(an_example[name] / an_example[ours_], 2),
            "wall": round(wall[name] / wall[ours_], 2),
        }
        for name, ours_ in (("stock", "same"), ("mended", "same"), ("stock", "fast"), ("mended", "fast"))
        if name in arms
    }
    stock = {"stock and mended": alike(arms["stock"], arms["mended"], first)} if n_stock else {}
    return {
        "times": ratios,
        **stock,
        "mended and same": alike(arms["mended"], arms["same"], every),
        "success of fast less that of same, in points": round(
            100 * (_row(arms["fast"])["succeeded"] - _row(arms["same"])["succeeded"]) / len(every), 2
        ),
        **{
            f"block by block, mended / {mine}": [
                round(a / b, 2) for a, b in zip(arms["mended"].blocks, arms[mine].blocks, strict=True)
            ]
            for mine in ("same", "fast")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dynahate.csv.gz")
    parser.add_argument("--recipe", action="append", metavar="NAME:N", help="and of how many examples; repeat")
    parser.add_argument("--stock", type=int, default=4, help="examples of the slowest arm")
    parser.add_argument("--block", type=int, default=200)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="keep no figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = {"threads": options.threads, "seed": options.seed, "recipes": {}}
    with tempfile.TemporaryDirectory() as scratch:
        bridge.textattack()
        importlib.import_module("nltk.data").path.insert(0, str(nltk_folder(Path(scratch) / "nltk")))
        for place, asked in enumerate(options.recipe or ["deepwordbug:200"]):
            name, _, n = asked.partition(":")
            report["recipes"][name] = measured(name, int(n or 200), 0 if place else options.stock, options)
            for key, value in report["recipes"][name].items():
                print(f"{name}, {key}: {value}", flush=True)
    if not options.dry_run:
        keep(report, RESULTS)


if __name__ == "__main__":
    main()
