"""Hook: SMART's smoothness, a penalty on how far a small shift of the embeddings can move the answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from guard.harden.batch import Batch, Trainable
from guard.harden.shifts import along, divergence, masked_norms, within

__all__ = ["SmartHook"]


@dataclass
class SmartHook:
    """Adds the gradient of the smoothness penalty; needs no labels.

    Parameters
    ----------
    seed : int
    radius : float
        epsilon: length of the shift, as a share of the length of the row's embeddings.
    spread : float
        Length of the random start, in the same unit.
    steps : int
        Steps up before the penalty is taken.
    weight : float
        lambda: of the penalty beside the loss.

    Notes
    -----
    Jiang et al. 2020, "SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through
    Principled Regularized Optimization", section 2.1: the greatest symmetrised divergence between the answers to x and
    to x + shift, found by projected gradient steps. The ball is in the Frobenius norm of a row here (the paper: largest
    entry). Its second part, the Bregman proximal point, is the leash of the trainer: to the clean model, which does not
    move, in place of the last iterate.
    """

    seed: int = 0
    radius: float = 0.1
    spread: float = 0.01
    steps: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Start the stream of random shifts."""
        if self.steps < 1 or self.radius < 0 or self.spread <= 0:
            raise ValueError(f"{self!r}: the rule is steps >= 1, radius >= 0 and spread > 0")
        self._generator = torch.Generator().manual_seed(self.seed)

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Add the gradients of the penalty to the model's, and return the batch as it is."""
        tokens = model.tokens(batch.texts)
        embedded, inside = model.embed(tokens).detach(), tokens.mask[..., None]
        unit = masked_norms(embedded, tokens.mask)
        drawn = torch.randn(embedded.shape, generator=self._generator).to(embedded) * inside
        shift = along(drawn, self.spread * unit)
        with torch.no_grad():
            still = model.logits(embedded, tokens.mask)
        for _ in range(self.steps):
            shift.requires_grad_()
            moved = model.logits(embedded + shift, tokens.mask)
            apart = (divergence(still, moved) + divergence(moved, still)).sum()
            (gradient,) = torch.autograd.grad(apart, shift)
            shift = within(shift.detach() + along(gradient * inside, self.radius * unit), self.radius * unit)
        answers = [model.logits(words, tokens.mask) for words in (embedded, embedded + shift)]
        penalty = (divergence(answers[0], answers[1]) + divergence(answers[1], answers[0])).mean()
        (self.weight * penalty).backward()  # type: ignore[no-untyped-call]
        return batch
