"""Heads that read the hidden states of an encoder: one attention-pooled logit a category."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["head_attention", "head_logits", "head_readings"]


def head_logits(hidden: Tensor, mask: Tensor, *, query: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Pool the token states with one learned attention a category and apply that category's weights.

    Parameters
    ----------
    hidden : Tensor
        float, shape (n, t, d).
    mask : Tensor
        bool, shape (n, t): True at tokens.
    query, value : Tensor
        float, shape (k, d).
    bias : Tensor
        float, shape (k,).

    Returns
    -------
    Tensor
        float, shape (n, k).

    Notes
    -----
    With ``p = softmax(H q)`` the logit is ``(p H) v + b``. Both products with the token states are one matrix
    multiplication, since ``(p H) v = p (H v)``. Zero queries are mean pooling. Pooling by attention: Yang et al.
    2016, "Hierarchical Attention Networks for Document Classification", section 2.2, with one query a category.
    """
    return head_readings(hidden, mask, query=query, value=value, bias=bias)[0]


def head_readings(hidden: Tensor, mask: Tensor, *, query: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return :func:`head_logits` and :func:`head_attention` of the same states at once."""
    n_categories = query.shape[0]
    both = functional.linear(hidden, torch.cat((query, value)))
    attention = both[..., :n_categories].masked_fill(~mask[..., None], float("-inf")).softmax(dim=1)
    return (attention * both[..., n_categories:]).sum(dim=1) + bias, attention


def head_attention(hidden: Tensor, mask: Tensor, *, query: Tensor) -> Tensor:
    """Return how much each category attends to each token in :func:`head_logits`: shape (n, t, k), sums to 1 over t."""
    return functional.linear(hidden, query).masked_fill(~mask[..., None], float("-inf")).softmax(dim=1)
