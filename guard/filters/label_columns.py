"""Which logits of a classifier make which category, and how they become scores and log-odds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["LabelColumns"]


@dataclass(frozen=True)
class LabelColumns:
    """Which logits make which category."""

    categories: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    scoring: Literal["softmax", "sigmoid"]

    def scores(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn logits of shape (n, n_labels) into scores of shape (n, n_categories)."""
        if self.scoring == "sigmoid":
            each = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
            return np.stack([each[:, list(members)].max(axis=1) for members in self.members], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        each = powers / powers.sum(axis=1, keepdims=True)
        # The labels exclude each other, so the probability of any of them is their sum.
        return np.stack([each[:, list(members)].sum(axis=1) for members in self.members], axis=1).clip(0, 1)

    def log_odds(self, logits: Tensor) -> Tensor:
        """Turn logits into log-odds of shape (n, n_categories), whose sigmoid are the scores."""
        if self.scoring == "sigmoid":
            return torch.stack([logits[:, list(members)].amax(dim=1) for members in self.members], dim=1)
        others = [[at for at in range(logits.shape[1]) if at not in members] for members in self.members]
        sides = zip(self.members, others, strict=True)
        return torch.stack(
            [logits[:, list(one)].logsumexp(1) - logits[:, other].logsumexp(1) for one, other in sides], dim=1
        )
