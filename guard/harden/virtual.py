"""Hook: virtual adversarial training, which smooths the model around text that nobody labelled."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from guard.harden.batch import Batch, Tokens, Trainable
from guard.harden.shifts import along, divergence, masked_norms

__all__ = ["VirtualHook"]


@dataclass
class VirtualHook:
    """Adds the gradient of the local distributional smoothness at unlabelled texts.

    Parameters
    ----------
    unlabelled : sequence of str
        Texts without labels; where there are none, the texts of the batch are used.
    seed : int
    rows : int
        Unlabelled texts a step.
    radius : float
        epsilon: length of the virtual adversary, as a share of the length of the row's embeddings.
    probe : float
        xi: length of the probe of the power iteration, in the same unit.
    iterations : int
        K of the power iteration.
    weight : float
        Of the penalty beside the loss.

    Notes
    -----
    Miyato et al. 2018, "Virtual Adversarial Training: A Regularization Method for Supervised and Semi-Supervised
    Learning", section 3.3 (equations 5, 6 and the power iteration of algorithm 1); on word embeddings: Miyato et al.
    2017, "Adversarial Training Methods for Semi-Supervised Text Classification", section 3 (equations 9 and 10). The
    answer that is held on to is that of the model as it is, without a gradient through it.
    """

    unlabelled: Sequence[str] = field(default=(), repr=False)
    seed: int = 0
    rows: int = 16
    radius: float = 0.1
    probe: float = 0.01
    iterations: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Start the stream of random probes."""
        if self.iterations < 1 or self.radius < 0 or self.probe <= 0 or self.rows < 1:
            raise ValueError(f"{self!r}: the rule is iterations >= 1, rows >= 1, radius >= 0 and probe > 0")
        self._generator = torch.Generator().manual_seed(self.seed)
        self._draws = random.Random(self.seed)  # noqa: S311 - no secret

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        """Add the gradients of the penalty to the model's, and return the batch as it is."""
        pool = list(self.unlabelled)
        texts = self._draws.sample(pool, min(self.rows, len(pool))) if pool else list(batch.texts)
        tokens = model.tokens(texts)
        embedded = model.embed(tokens).detach()
        with torch.no_grad():
            still = model.logits(embedded, tokens.mask)
        shift = self.adversary(model, tokens, embedded, still)
        penalty = divergence(still, model.logits(embedded + shift, tokens.mask)).mean()
        (self.weight * penalty).backward()  # type: ignore[no-untyped-call]
        return batch

    def adversary(self, model: Trainable, tokens: Tokens, embedded: Tensor, still: Tensor) -> Tensor:
        """Return the shift, shape (n, t, hidden), of length `radius`, along which the answer turns fastest.

        The power iteration on the Hessian of the divergence: its product with a probe is a difference of gradients,
        of which one is zero.
        """
        unit, inside = masked_norms(embedded, tokens.mask), tokens.mask[..., None]
        direction = torch.randn(embedded.shape, generator=self._generator).to(embedded) * inside
        for _ in range(self.iterations):
            probe = along(direction, self.probe * unit).detach().requires_grad_()
            apart = divergence(still, model.logits(embedded + probe, tokens.mask)).sum()
            (direction,) = torch.autograd.grad(apart, probe)
            direction = direction * inside
        return along(direction, self.radius * unit)
