"""A model of one word a token whose log-odds can be computed by hand, over embeddings of a few numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from guard.filters.windows import TokenWindow, window_starts
from guard.schema import Scores

__all__ = ["HandFilter"]

Formula = Callable[[Tensor], Tensor]


class HandFilter:
    """Words stand for the vectors of a table, and a formula makes log-odds of them.

    Parameters
    ----------
    table : mapping of str to sequence of float
        Embedding of each word; ``[MASK]`` is what stands for a word that is not there. Unknown words are zeros.
    formula : callable
        From float64 (n, t, hidden) to log-odds (n,).
    window, stride : int
        In words.
    """

    name = "hand@1"
    categories = ("toxicity",)

    def __init__(
        self, table: Mapping[str, Sequence[float]], formula: Formula, *, window: int = 64, stride: int = 32
    ) -> None:
        hidden = len(next(iter(table.values())))
        self._words = ["[MASK]", "[OTHER]", *(word for word in table if word != "[MASK]")]
        rows = [table.get("[MASK]", [0.0] * hidden), [0.0] * hidden, *(table[word] for word in self._words[2:])]
        self.word_embeddings = torch.tensor(rows, dtype=torch.float64)
        self._formula, self._size, self._stride = formula, window, stride
        self.vocabulary = tuple(self._words)

    def token_windows(self, items: Sequence[str]) -> list[TokenWindow]:
        """Cut at spaces; windows as the encoder has them, without special tokens."""
        found = []
        for owner, item in enumerate(items):
            offsets, place = [], 0
            for word in item.split():
                start = item.index(word, place)
                place = start + len(word)
                offsets.append((start, place))
            for first in window_starts(len(offsets), size=self._size, stride=self._stride):
                some = offsets[first : first + self._size]
                ids = [self._id(item[start:end]) for start, end in some]
                places = tuple(range(first, first + len(some)))
                found.append(TokenWindow(owner, tuple(ids) or (1,), places or (-1,), tuple(some) or ((0, 0),)))
        return found

    def logits_of(self, words: Tensor, mask: Tensor) -> Tensor:
        """Apply the formula."""
        assert bool(mask.all())
        return self._formula(words)[:, None]

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Sigmoid of the highest window."""
        scores = np.zeros((len(items), 1), dtype=np.float32)
        for window in self.token_windows(items):
            words = self.word_embeddings[torch.tensor([window.ids])]
            one = torch.sigmoid(self._formula(words)).item()
            scores[window.owner] = max(scores[window.owner, 0], one)
        return scores

    def _id(self, word: str) -> int:
        return self._words.index(word) if word in self._words else 1
