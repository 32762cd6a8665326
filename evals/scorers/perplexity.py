"""Perplexity of a released text under a reference model, in bits per character so that tokenizers compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evals.schema import Sample
from evals.scorers.likelihood import log_likelihoods
from guard.generators.transformers import TransformersGenerator

__all__ = ["PerplexityScorer"]


class PerplexityScorer:
    """Bits per character of a text as the continuation of its prompt.

    Parameters
    ----------
    reference : TransformersGenerator
        The model under which the text is measured.

    Notes
    -----
    Perplexity per token is not comparable across tokenizers; bits per character is: the negative log2-likelihood of
    the text's tokens given the prompt, divided by its characters. Looping text scores low, so read it beside
    repetition.
    """

    def __init__(self, reference: TransformersGenerator) -> None:
        self._reference = reference

    @property
    def name(self) -> str:
        """``perplexity under <name of the reference>``."""
        return f"perplexity under {self._reference.name}"

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        """Return bits per character, at least 0; None for a missing or blank text, or one beyond the context."""
        keys = [(sample.prompt, text) for sample, text in zip(samples, texts, strict=True)]
        items = [(prompt, text) for prompt, text in dict.fromkeys(keys) if text is not None and text.strip()]
        prompts, written = [prompt for prompt, _ in items], [text for _, text in items]
        found = log_likelihoods(self._reference, prompts, written, separator="\n")
        bits = {item: _bits(nats, item[1]) for item, nats in zip(items, found, strict=True)}
        return [bits.get((prompt, text)) if text is not None else None for prompt, text in keys]


def _bits(log_likelihood: float | None, text: str) -> float | None:
    return None if log_likelihood is None else -log_likelihood / math.log(2) / len(text)
