"""TextAttack's side of the comparisons: attacks the examples it is given, and writes what came of each as JSON lines.

Runs in TextAttack's own environment (``python benchmarks/attack_textattack.py JOB.json OUT.jsonl``), with nothing of
Assay but ``benchmarks/attack_victim.py`` beside it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import textattack
import torch
from attack_victim import FixedShapeVictim
from textattack import attack_recipes

RECIPES = {
    "deepwordbug": attack_recipes.DeepWordBugGao2018,
    "pruthi": attack_recipes.Pruthi2019,
    "input-reduction": attack_recipes.InputReductionFeng2018,
    "pwws": attack_recipes.PWWSRen2019,
}
STABLE = ", ties in order"


class _InOrder(np.ndarray):
    """An array that sorts equal numbers by their place."""

    def argsort(self, *_: object, **__: object) -> np.ndarray:
        """Return the order of the numbers."""
        return np.argsort(np.asarray(self), kind="stable")


class _NumpyInOrder:
    """Numpy, but for the sort: the default one orders equal numbers as the processor's vector unit happens to."""

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)

    def array(self, *given: object, **options: object) -> np.ndarray:
        """Return an array that sorts in order."""
        return np.array(*given, **options).view(_InOrder)


def sort_in_order(on: bool) -> None:
    """Let TextAttack's word ranking break ties by position, or as it ships."""
    textattack.search_methods.greedy_word_swap_wir.np = _NumpyInOrder() if on else np


STATUS = {
    "SuccessfulAttackResult": "succeeded",
    "FailedAttackResult": "failed",
    "SkippedAttackResult": "skipped",
    "MaximizedAttackResult": "maximized",
}


class Wrapper(textattack.models.wrappers.ModelWrapper):
    """Hands TextAttack the logits of the victim that both sides read."""

    def __init__(self, victim: FixedShapeVictim) -> None:
        self.model = victim.model
        self._victim = victim

    def __call__(self, texts: list[str], **_: object) -> torch.Tensor:
        """Return the logits."""
        return self._victim.logits(texts)


def main(job: Path, out: Path) -> None:
    told = json.loads(job.read_text(encoding="utf-8"))
    torch.set_num_threads(told["threads"])
    victim = FixedShapeVictim(Path(told["victim"]))
    victim.check([example["text"] for example in told["examples"]][:100])
    textattack.shared.logger.setLevel("ERROR")
    with out.open("w", encoding="utf-8") as stream:
        for name in told["recipes"]:
            sort_in_order(name.endswith(STABLE))
            attack = RECIPES[name.removesuffix(STABLE)].build(Wrapper(victim))
            victim.n_texts, victim.seconds, began = 0, 0.0, time.perf_counter()
            for example in told["examples"]:
                random.seed(example["seed"])
                np.random.seed(example["seed"])
                result = attack.attack(example["text"], example["label"])
                line = {
                    "id": example["id"],
                    "recipe": name,
                    "status": STATUS[type(result).__name__],
                    "perturbed": result.perturbed_result.attacked_text.text,
                    "n_queries": result.num_queries,
                    "score": float(result.perturbed_result.score),
                }
                stream.write(json.dumps(line) + "\n")
            spent = {"seconds": time.perf_counter() - began, "victim_seconds": victim.seconds}
            stream.write(json.dumps({"done": name, "n_victim_texts": victim.n_texts, **spent}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
