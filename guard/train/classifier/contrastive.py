"""The supervised contrastive loss: states of one label are drawn together, those of different labels apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["supervised_contrastive"]


def supervised_contrastive(states: Tensor, labels: Tensor, *, temperature: float = 0.3) -> Tensor:
    """Return the supervised contrastive loss of a batch: a scalar, 0 where no row has another of its label.

    Parameters
    ----------
    states : Tensor
        float, shape (n, d); their directions count, not their lengths.
    labels : Tensor
        int64, shape (n,).
    temperature : float
        Above 0.

    Raises
    ------
    ValueError
        `temperature` is not above 0.

    Notes
    -----
    Khosla et al. 2020, "Supervised Contrastive Learning", equation 2 (the sum over positives outside the logarithm),
    as a mean over the rows that have a positive in place of a sum. On text, beside cross entropy, without a projection:
    Gunel et al. 2021, "Supervised Contrastive Learning for Pre-trained Language Model Fine-tuning", equations 1 and 3.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}: the rule is above 0")
    directions = functional.normalize(states, dim=-1)
    itself = torch.eye(len(states), dtype=torch.bool, device=states.device)
    # Not -inf: a lone row would have nothing to normalise over, and its gradient would be NaN.
    likeness = (directions @ directions.T / temperature).masked_fill(itself, torch.finfo(states.dtype).min)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    n_positive = positive.sum(dim=1)
    kept = n_positive > 0
    if not bool(kept.any()):
        return states.sum() * 0
    shares = functional.log_softmax(likeness, dim=1).masked_fill(~positive, 0.0).sum(dim=1)
    return -(shares[kept] / n_positive[kept]).mean()
