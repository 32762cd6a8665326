"""Shifts of word embeddings: their norms by row, steps along a gradient, and what a shift does to the answer."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["along", "divergence", "masked_norms", "within"]

_TINY = 1e-12


def _norms(shift: Tensor) -> Tensor:
    """Return the Frobenius norm of each row, shape (n,)."""
    found: Tensor = shift.flatten(1).norm(dim=1)
    return found


def masked_norms(embedded: Tensor, mask: Tensor) -> Tensor:
    """Return the Frobenius norm of each row's embeddings at its tokens, shape (n,): what shifts are measured against.

    Parameters
    ----------
    embedded : Tensor
        float, shape (n, t, hidden).
    mask : Tensor
        bool, shape (n, t).
    """
    return _norms(embedded * mask[..., None])


def along(gradient: Tensor, length: Tensor) -> Tensor:
    """Return a shift of that length, shape (n,), along each row of a gradient, shape (n, t, hidden); 0 where that is 0.

    Examples
    --------
    >>> import torch
    >>> along(torch.tensor([[[3.0, 4.0]]]), torch.tensor([10.0])).tolist()
    [[[6.0, 8.0]]]
    """
    return gradient * (length / _norms(gradient).clamp(min=_TINY))[:, None, None]


def within(shift: Tensor, radius: Tensor) -> Tensor:
    """Scale each row of a shift, shape (n, t, hidden), that is longer than its radius, shape (n,), back to it.

    Examples
    --------
    >>> import torch
    >>> within(torch.tensor([[[3.0, 4.0]], [[0.0, 1.0]]]), torch.tensor([2.5, 2.5])).tolist()
    [[[1.5, 2.0]], [[0.0, 1.0]]]
    """
    return shift * (radius / _norms(shift).clamp(min=_TINY)).clamp(max=1)[:, None, None]


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of the answers of `second` from those of `first`, shape (n,).

    Parameters
    ----------
    first, second : Tensor
        Log-odds, shape (n, k): k independent answers a row, over which the divergences are averaged.
    """
    chance = first.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(second, chance, reduction="none")
    own = functional.binary_cross_entropy_with_logits(first, chance, reduction="none")
    return (cross - own).mean(dim=1)
