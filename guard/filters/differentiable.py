"""Models whose log-odds can be followed back to the word embeddings, and their windows in batches of one width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.filters.checkpoint import same_width_batches
from guard.filters.windows import TokenWindow

__all__ = ["Differentiable", "Sloped", "padded_rows"]

_TOKEN_BUDGET = 4096


@runtime_checkable
class Differentiable(Protocol):
    """A model whose log-odds can be followed back to the word embeddings. ``EncoderFilter`` is one."""

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden)."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer writes it."""

    def token_windows(self, items: Sequence[str]) -> list[TokenWindow]:
        """Return what the model reads of each text, at least one window a text, in the order of the texts."""

    def logits_of(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return log-odds, shape (n, n_columns), of word embeddings (n, t, hidden) under a bool mask (n, t)."""


@runtime_checkable
class Sloped(Protocol):
    """A model that tells what each token adds by one gradient at states of its own. ``EncoderFilter`` is one."""

    def state_slopes(self, window: Sequence[int], columns: Sequence[int]) -> list[npt.NDArray[np.float64]]:
        """Return for each column, shape (len(window) - 2,), of token ids with one special token at each end."""


def padded_rows(
    table: Tensor, windows: Sequence[TokenWindow], *, token_budget: int = _TOKEN_BUDGET
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield the windows in batches of one padded width: their positions, word embeddings and masks.

    Parameters
    ----------
    table : Tensor
        float, shape (vocabulary size, hidden).
    windows : sequence of TokenWindow
    token_budget : int
        Most padded tokens of a batch.

    Yields
    ------
    rows : list of int
        Positions in `windows`.
    words : Tensor
        float, shape (n, t, hidden), a copy of its own.
    mask : Tensor
        bool, shape (n, t).
    """
    lengths = [len(window.ids) for window in windows]
    for width, rows in same_width_batches(lengths, token_budget=token_budget, longest=max(lengths, default=1)):
        ids = [[*windows[row].ids, *[0] * (width - lengths[row])] for row in rows]
        counts = torch.tensor([[lengths[row]] for row in rows], device=table.device)
        mask = torch.arange(width, device=table.device) < counts
        yield rows, table[torch.tensor(ids, device=table.device)].detach().clone(), mask
