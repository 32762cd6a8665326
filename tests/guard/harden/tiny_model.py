"""A classifier of two numbers a token, small enough to check by hand, and batches for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from guard.harden.batch import Batch, Tokens

VOCABULARY = {"bad": (2.0, 0.0), "good": (-2.0, 0.0), "so": (0.0, 0.5), "very": (0.5, 0.5)}


class TinyModel:
    """Log-odds ``w . mean(embeddings) + c |mean|^2`` in float64; an unknown word is the zero vector."""

    categories = ("toxicity",)

    def __init__(self, w: Sequence[float] = (1.0, 0.25), c: float = 0.0) -> None:
        self.w = torch.tensor(w, dtype=torch.float64, requires_grad=True)
        self.c = torch.tensor(c, dtype=torch.float64, requires_grad=True)
        self.read: list[str] = []

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Read words between spaces."""
        self.read += texts
        words = [text.split(" ") for text in texts]
        width = max(map(len, words))
        mask = torch.tensor([[at < len(row) for at in range(width)] for row in words])
        offsets = []
        self._vectors = torch.zeros(len(texts), width, 2, dtype=torch.float64)
        for n, row in enumerate(words):
            place, spans = 0, []
            for at, word in enumerate(row):
                self._vectors[n, at] = torch.tensor(VOCABULARY.get(word, (0.0, 0.0)))
                spans.append((place, place + len(word)))
                place += len(word) + 1
            offsets.append(tuple(spans))
        return Tokens(torch.zeros(len(texts), width, dtype=torch.int64), mask, tuple(offsets))

    def embed(self, tokens: Tokens) -> Tensor:
        """Return the vectors of the texts that were read last."""
        return self._vectors.clone()

    def logits(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return the log-odds."""
        inside = mask[..., None]
        mean = (embedded * inside).sum(dim=1) / inside.sum(dim=1)
        return (mean @ self.w + self.c * mean.square().sum(dim=1))[:, None]

    def parameters(self) -> Iterator[Tensor]:
        """Return what is trained."""
        return iter((self.w, self.c))


def batch_of(*rows: tuple[str, float]) -> Batch:
    """Return a clean batch of texts with their label of one category."""
    n = len(rows)
    return Batch(
        texts=tuple(text for text, _ in rows),
        labels=np.array([[label] for _, label in rows], dtype=np.float32),
        weights=np.ones(n, dtype=np.float32),
        ids=tuple(f"r{at}" for at in range(n)),
        altered=(False,) * n,
    )
