"""Which words of a prompt made an answer likely, by Assay and by Captum's attribution of language models.

Both arms ask the same float32 model in one process, about the same prompts and continuations, without a chat template.

- Leave-one-word-out: Captum's ``LLMAttribution`` over ``FeatureAblation`` with one feature a word, once as it comes
  (a forward pass a token of the answer, over its cache) and once a sequence at a time. The values are compared, and
  the processor time.
- Integrated gradients: Captum's ``LLMGradientAttribution`` over ``LayerIntegratedGradients`` with 50 steps, from its
  own start, the token of id 0. Of both, how far the values of the prompt are from summing to what the prompt, against
  each arm's start, does to the log-probability, as a share of that; and the processor time.

Arms take turns prompt by prompt. Run: ``python -m benchmarks.explain_generators [--prompts 6]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import (
    FeatureAblation,
    LayerIntegratedGradients,
    LLMAttribution,
    LLMGradientAttribution,
    TextTemplateInput,
    TextTokenInput,
)

from benchmarks.kept import keep
from guard.explain.generation.likelihood import LikelihoodExplainer, Question
from guard.explain.generation.prompt_words import PromptWords
from guard.generators.table import GeneratorOptions, find_generator
from guard.schema import Decoding

OUT = Path(__file__).parent / "results" / "explain_generators.json"

CASES = (
    ("The capital city of France, which many people love, is called", " Paris, and it lies on the Seine"),
    ("My neighbour plays loud music every night and I am so angry that I could", " scream at him all day long"),
    ("To bake a good loaf of bread you first need flour, water, salt and", " yeast, which makes it rise"),
    ("The old man walked slowly along the river while the children", " were playing in the park nearby"),
    ("In the year 1969 two astronauts landed for the first time on the", " moon and walked on its surface"),
    ("She opened the letter from the bank with trembling hands because she", " was afraid of what it would say"),
)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=len(CASES))
    parser.add_argument("--gradients", type=int, default=2, help="prompts of the slow arm")
    given = parser.parse_args()
    model = find_generator("smollm2-135m", GeneratorOptions(dtype="float32")).load()
    generator: Any = model.with_decoding(Decoding(16, 0.0, chat=False))
    cases = CASES[: given.prompts]
    report = {
        "model": generator.name,
        "threads": torch.get_num_threads(),
        "leave_one_out": _leave_one_out(generator, cases),
        "integrated_gradients": _integrated(generator, cases[: given.gradients]),
    }
    print(report)
    keep(report, OUT)


def _leave_one_out(generator: Any, cases: tuple[tuple[str, str], ...]) -> dict[str, object]:
    explainer = LikelihoodExplainer(generator, method="leave-one-out")
    captum = LLMAttribution(FeatureAblation(generator.model), generator.tokenizer)
    seconds: dict[str, float] = {"assay": 0.0, "captum default": 0.0, "captum by sequence": 0.0}
    worst = 0.0
    for at, (prompt, output) in enumerate([cases[0], *cases]):  # the first once more: both warm up on it
        taken: dict[str, float] = {}
        (ours,), taken["assay"] = _timed(lambda: explainer.explain([Question(prompt, output)]))  # noqa: B023
        words = PromptWords.of(prompt)
        texts = [words.word(place) for place in range(len(words.ranges))]
        inp = TextTemplateInput(lambda *kept: _written(words, kept), texts)  # noqa: B023
        theirs, taken["captum default"] = _timed(lambda: captum.attribute(inp, target=output))  # noqa: B023
        _, taken["captum by sequence"] = _timed(
            lambda: captum.attribute(inp, target=output, forward_in_tokens=False)  # noqa: B023
        )
        values = np.asarray(theirs.seq_attr, dtype=np.float64).reshape(-1)
        worst = max(worst, float(np.abs(values - ours.values).max()))
        if at:
            seconds = {name: seconds[name] + taken[name] for name in seconds}
    return {"prompts": len(cases), "largest_difference_nats": worst, "seconds": seconds} | _ratios(seconds)


def _written(words: PromptWords, kept: tuple[str, ...]) -> str:
    """Write the prompt without the words that are not kept, as Assay does."""
    return words.without([place for place, word in enumerate(kept) if not word])


def _integrated(generator: Any, cases: tuple[tuple[str, str], ...]) -> dict[str, object]:
    explainer = LikelihoodExplainer(generator, method="integrated-gradients")
    layer = generator.model.get_input_embeddings()
    captum = LLMGradientAttribution(LayerIntegratedGradients(generator.model, layer), generator.tokenizer)
    seconds, misses = {"assay": 0.0, "captum 50 steps": 0.0}, {"assay": 0.0, "captum 50 steps": 0.0}
    points = []
    for prompt, output in cases:
        (ours,), taken = _timed(lambda: explainer.explain([Question(prompt, output)]))  # noqa: B023
        seconds["assay"] += taken
        misses["assay"] = max(misses["assay"], abs((ours.gap or 0.0) / (ours.number - ours.baseline)))
        points.append(ours.n_scored)
        inp = TextTokenInput(prompt, generator.tokenizer, baselines=0)
        theirs, taken = _timed(lambda: captum.attribute(inp, target=output, n_steps=50, internal_batch_size=16))  # noqa: B023
        seconds["captum 50 steps"] += taken
        change = _change(generator, prompt, output)
        miss = abs(float(np.asarray(theirs.seq_attr).sum()) - change) / abs(change)
        misses["captum 50 steps"] = max(misses["captum 50 steps"], miss)
    return {
        "prompts": len(cases),
        "largest_miss_share": misses,
        "assay_points": points,
        "seconds": seconds,
    } | _ratios(seconds)


def _change(generator: Any, prompt: str, output: str) -> float:
    """Return log p(output | prompt) less that behind as many tokens of Captum's baseline, id 0."""
    ids = generator.tokenizer(prompt)["input_ids"]
    target = generator.tokenizer(output, add_special_tokens=False)["input_ids"]
    numbers = []
    for before in (ids, [0] * len(ids)):
        with torch.inference_mode():
            logits = generator.model(input_ids=torch.tensor([[*before, *target]])).logits[0, len(before) - 1 : -1]
        each = torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(target)[:, None])
        numbers.append(float(each.double().sum()))
    return numbers[0] - numbers[1]


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return call(), time.process_time() - start


def _ratios(seconds: dict[str, float]) -> dict[str, object]:
    return {"times_assay": {name: value / seconds["assay"] for name, value in seconds.items()}}


if __name__ == "__main__":
    main()
