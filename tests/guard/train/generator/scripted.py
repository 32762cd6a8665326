"""Filters and generators of a few words, whose scores and answers can be told by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from guard.schema import Scores, Span


class WordFilter:
    """Toxicity: 0.9 with the word ``bad``, 0.6 with ``rude``, else 0.1; points at the words."""

    def __init__(self, name: str = "words@1", categories: tuple[str, ...] = ("toxicity", "jailbreak")) -> None:
        self.name, self.categories = name, categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        found = [0.9 if "bad" in item else 0.6 if "rude" in item else 0.1 for item in items]
        return np.array([[score, 0.95][: len(self.categories)] for score in found], dtype=np.float32)

    def locate(self, text: str) -> tuple[Span, ...]:
        score = float(self.score_batch([text])[0, 0])
        words = [Span(m.start(), m.end(), "toxicity", score) for m in re.finditer("bad|rude", text)]
        return (Span(0, 1, "jailbreak", 0.95), *words)


class BlindFilter:
    """The same scores, and nothing to point with."""

    name, categories = "blind@1", ("toxicity",)

    def score_batch(self, items: Sequence[str]) -> Scores:
        return WordFilter(categories=("toxicity",)).score_batch(items)


class EchoGenerator:
    """Says the prompt's last word and one of four endings by its seed."""

    name = "echo@1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        self.asked += list(zip(prompts, seeds, strict=True))
        endings = (" is bad", " is rude", " is fine", " is kind")
        return [f"{p.split()[-1]}{endings[s % 4]}" for p, s in zip(prompts, seeds, strict=True)]
