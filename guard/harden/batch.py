"""The batch of a training step, the hooks that change it, and the model that they may look into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Batch", "Hook", "Tokens", "Trainable", "task_loss"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Rows of one step of training.

    Parameters
    ----------
    texts : tuple of str
    labels : ndarray
        float32, shape (n, n_categories): a probability, or negative where unknown.
    weights : ndarray
        float32, shape (n,): of each row in the loss, at least 0.
    ids : tuple of str
        Of the row that a text is, or was made of.
    altered : tuple of bool
        True for a text that a hook made: the leash pulls it to what the clean model said of its original.
    """

    texts: tuple[str, ...]
    labels: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    ids: tuple[str, ...]
    altered: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        n = len(self.texts)
        if not (len(self.labels) == len(self.weights) == len(self.ids) == len(self.altered) == n):
            raise ValueError(f"a batch of {n} texts has labels, weights, ids or marks for another number of rows")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.texts)

    @property
    def clean(self) -> tuple[int, ...]:
        """Positions of the rows that no hook made."""
        return tuple(index for index, altered in enumerate(self.altered) if not altered)

    def also(self, rows: Sequence[int], texts: Sequence[str], *, weight: float = 1.0) -> Batch:
        """Return the batch with altered versions of some of its rows behind it.

        Parameters
        ----------
        rows : sequence of int
            Whose label, id and weight each new text takes on.
        texts : sequence of str
            As many.
        weight : float
            Times the weight of the original.
        """
        at = list(rows)
        return Batch(
            texts=(*self.texts, *texts),
            labels=np.concatenate((self.labels, self.labels[at])),
            weights=np.concatenate((self.weights, self.weights[at] * np.float32(weight))),
            ids=(*self.ids, *(self.ids[row] for row in at)),
            altered=(*self.altered, *(True for _ in at)),
        )

    def only(self, rows: Sequence[int]) -> Batch:
        """Return some of the rows."""
        at = list(rows)
        return Batch(
            texts=tuple(self.texts[row] for row in at),
            labels=self.labels[at],
            weights=self.weights[at],
            ids=tuple(self.ids[row] for row in at),
            altered=tuple(self.altered[row] for row in at),
        )


@dataclass(frozen=True)
class Tokens:
    """Texts as a model reads them.

    Parameters
    ----------
    ids : Tensor
        int64, shape (n, t), padded on the right.
    mask : Tensor
        bool, shape (n, t): True at tokens.
    offsets : tuple of tuple of (int, int)
        For each text and token its half-open range of characters in the text; (0, 0) for special tokens.
    """

    ids: Tensor
    mask: Tensor
    offsets: tuple[tuple[tuple[int, int], ...], ...]


@runtime_checkable
class Trainable(Protocol):
    """A classifier in training, open at its word embeddings."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`logits`."""

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Read texts; of a text that is too long, its beginning."""

    def embed(self, tokens: Tokens) -> Tensor:
        """Return the word embeddings, float, shape (n, t, hidden)."""

    def logits(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return log-odds, float32, shape (n, n_categories), through which a gradient can be followed."""

    def parameters(self) -> Iterator[Tensor]:
        """Return what is trained."""


@runtime_checkable
class Hook(Protocol):
    """Changes a batch before the step is taken.

    The gradients of `model` are zero before the first hook and are stepped along after the last: a hook that trains on
    something that is no text, such as a perturbed embedding, calls ``backward`` on its own loss and returns the batch
    as it is.
    """

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Return the batch to train on."""


def task_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the binary cross entropy of the known labels, weighted by row: a scalar, 0 where no label is known.

    Parameters
    ----------
    logits : Tensor
        float32, shape (n, n_categories).
    batch : Batch
    """
    labels, rows = (torch.from_numpy(part).to(logits) for part in (batch.labels, batch.weights))
    weights = (labels >= 0) * rows[:, None]
    losses = functional.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-9)
