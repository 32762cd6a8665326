"""Hook: FreeLB, adversaries in the space of word embeddings whose gradients train at no extra pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guard.harden.batch import Batch, Tokens, Trainable, task_loss
from guard.harden.shifts import along, masked_norms, within

__all__ = ["FreeLBHook"]


@dataclass
class FreeLBHook:
    """Trains on embeddings shifted in the direction in which the loss rises.

    Parameters
    ----------
    seed : int
    steps : int
        K of the paper.
    step_size : float
        alpha: length of each step up, as a share of the typical length of a word embedding times the square root of
        the number of tokens.
    radius : float
        epsilon, in the same unit: how far the shift may get.
    weight : float
        Of this loss beside that of the batch itself.

    Notes
    -----
    Zhu et al. 2020, "FreeLB: Enhanced Adversarial Training for Natural Language Understanding", algorithm 1: the shift
    starts at random, goes K - 1 times along the normalised gradient and is projected; the parameters' gradients of all
    K passes are averaged ("free": each backward pass serves both). Gradients accumulate in the model's parameters.
    The paper trains on these K passes alone; here the clean batch is trained on too, which its leash needs.
    """

    seed: int = 0
    steps: int = 2
    step_size: float = 0.1
    radius: float = 0.15
    weight: float = 0.5

    def __post_init__(self) -> None:
        """Start the stream of random shifts."""
        if self.steps < 1 or self.step_size < 0 or self.radius < 0:
            raise ValueError(f"{self!r}: the rule is steps >= 1, step_size >= 0 and radius >= 0")
        self._generator = torch.Generator().manual_seed(self.seed)

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Add the gradients of the shifted batch to the model's, and return the batch as it is."""
        tokens = model.tokens(batch.texts)
        embedded = model.embed(tokens).detach()
        unit = masked_norms(embedded, tokens.mask)
        # Uniform in a box whose corner lies on the sphere, as in the paper.
        corner = self.radius * unit / (tokens.mask.sum(dim=1) * embedded.shape[-1]).sqrt()
        drawn = torch.rand(embedded.shape, generator=self._generator).to(embedded) * 2 - 1
        shift = drawn * corner[:, None, None] * tokens.mask[..., None]
        for step in range(self.steps):
            gradient = self._pass(batch, model, tokens, embedded, shift)
            if step + 1 < self.steps:
                moved = shift + along(gradient * tokens.mask[..., None], self.step_size * unit)
                shift = within(moved, self.radius * unit)
        return batch

    def _pass(self, batch: Batch, model: Trainable, tokens: Tokens, embedded: Tensor, shift: Tensor) -> Tensor:
        """Accumulate the parameters' gradients of one pass and return that of the shift."""
        moved = (embedded + shift).detach().requires_grad_()
        loss = task_loss(model.logits(moved, tokens.mask), batch)
        (loss * (self.weight / self.steps)).backward()  # type: ignore[no-untyped-call]
        return torch.zeros_like(embedded) if moved.grad is None else moved.grad
