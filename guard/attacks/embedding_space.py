"""Adversaries in embedding space: FGSM and PGD inside a ball that is a share of each word's own length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from guard.errors import ConfigError, FilterError

__all__ = ["Adversary", "Losses", "Norm", "fgsm", "pgd", "project", "radii"]

Losses = Callable[[Tensor], Tensor]
"""Word embeddings, shape (n, t, hidden), to one loss a row, shape (n,). Rows must not touch each other."""

Norm = Literal["l2", "linf"]

_TINY = 1e-12


@dataclass(frozen=True)
class Adversary:
    """Word embeddings that raise the loss.

    Parameters
    ----------
    words : Tensor
        float, shape (n, t, hidden), without a graph.
    loss : Tensor
        float, shape (n,): at `words`.
    loss_before : Tensor
        float, shape (n,): at the embeddings as they were.
    """

    words: Tensor
    loss: Tensor
    loss_before: Tensor


def radii(words: Tensor, mask: Tensor, *, epsilon: float, norm: Norm) -> Tensor:
    """Return how far each word may be moved.

    Parameters
    ----------
    words : Tensor
        float, shape (n, t, hidden).
    mask : Tensor
        bool, shape (n, t): True where a word may be moved.
    epsilon : float
        Share of the word's own length, so that one figure means the same in every model.
    norm : {"l2", "linf"}
        Of the ball. The l2 radius is ``epsilon * |e|``; the linf radius is ``epsilon * |e| / sqrt(hidden)``, so that
        the corner of that ball is as far away as the edge of the other.

    Returns
    -------
    Tensor
        float, shape (n, t, 1); 0 where `mask` is False.
    """
    length = words.norm(dim=-1, keepdim=True) * epsilon
    scale = 1.0 if norm == "l2" else 1 / math.sqrt(words.shape[-1])
    return torch.mul(length * scale, mask[..., None])


def project(shift: Tensor, radius: Tensor, *, norm: Norm) -> Tensor:
    """Return the nearest shift inside the ball, word by word.

    Parameters
    ----------
    shift : Tensor
        float, shape (n, t, hidden).
    radius : Tensor
        float, shape (n, t, 1), at least 0.
    norm : {"l2", "linf"}
    """
    if norm == "linf":
        return shift.clamp(-radius, radius)
    length = shift.norm(dim=-1, keepdim=True)
    return torch.mul(shift, (radius / length.clamp_min(_TINY)).clamp_max(1.0))


def fgsm(loss_of: Losses, words: Tensor, mask: Tensor, *, epsilon: float, norm: Norm = "linf") -> Adversary:
    """Move every word once, along the gradient, to the edge of its ball.

    Parameters
    ----------
    loss_of : Losses
    words : Tensor
        float, shape (n, t, hidden).
    mask : Tensor
        bool, shape (n, t): True where a word may be moved: leave padding and special tokens out.
    epsilon : float
        Radius as a share of the word's length, at least 0; see :func:`radii`.
    norm : {"l2", "linf"}
        With linf the step is the gradient's sign, as published; with l2 its direction.

    Returns
    -------
    Adversary
        The loss is not promised to rise: one long step may overshoot. :func:`pgd` keeps the best.

    Raises
    ------
    ConfigError
        A number out of its range.
    FilterError
        The loss or its gradient is not finite.

    Notes
    -----
    Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples", section 4; on word embeddings Miyato et
    al. 2017, "Adversarial Training Methods for Semi-Supervised Text Classification", equation 5.
    """
    _check(epsilon=epsilon, n_steps=1, step=1.0, norm=norm)
    start = words.detach()
    radius = radii(start, mask, epsilon=epsilon, norm=norm)
    before, gradient = _loss_and_gradient(loss_of, start)
    moved = start + _uphill(gradient, norm) * radius
    with torch.no_grad():
        return Adversary(moved, loss_of(moved).detach(), before)


def pgd(
    loss_of: Losses,
    words: Tensor,
    mask: Tensor,
    *,
    epsilon: float,
    n_steps: int = 5,
    step: float = 0.4,
    norm: Norm = "l2",
    seeds: Sequence[int] | None = None,
) -> Adversary:
    """Climb the loss in several steps, back into the ball after each, and return the highest point seen.

    Parameters
    ----------
    loss_of : Losses
    words, mask, epsilon, norm
        As :func:`fgsm` takes them.
    n_steps : int
        At least 1; each is one pass forward and back, and one more pass forward looks at the last point.
    step : float
        Length of a step as a share of the radius, above 0.
    seeds : sequence of int, optional
        One a row: start at a random point of the ball, as published. None starts at the words themselves.

    Returns
    -------
    Adversary
        Row by row the point of the highest loss, the starting embeddings included: never below ``loss_before``.

    Raises
    ------
    ConfigError
        A number out of its range, or not one seed a row.
    FilterError
        The loss or its gradient is not finite.

    Notes
    -----
    Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", section 2.1.
    """
    _check(epsilon=epsilon, n_steps=n_steps, step=step, norm=norm)
    start = words.detach()
    radius = radii(start, mask, epsilon=epsilon, norm=norm)
    shift = torch.zeros_like(start) if seeds is None else _random_shift(start, radius, seeds, norm)
    with torch.no_grad():
        before = loss_of(start).detach()
    best, best_loss = start.clone(), before.clone()
    for _ in range(n_steps):
        loss, gradient = _loss_and_gradient(loss_of, start + shift)
        best, best_loss = _higher(best, best_loss, start + shift, loss)
        shift = project(shift + _uphill(gradient, norm) * radius * step, radius, norm=norm)
    with torch.no_grad():
        last = loss_of(start + shift).detach()
    return Adversary(*_higher(best, best_loss, start + shift, last), before)


def _check(*, epsilon: float, n_steps: int, step: float, norm: str) -> None:
    if not 0 <= epsilon < math.inf or n_steps < 1 or not 0 < step < math.inf:
        raise ConfigError(
            f"epsilon={epsilon}, n_steps={n_steps}, step={step}: the rule is epsilon >= 0, n_steps >= 1, step > 0"
        )
    if norm not in ("l2", "linf"):
        raise ConfigError(f"norm {norm!r} is unknown; give l2 or linf")


def _loss_and_gradient(loss_of: Losses, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's loss and its gradient by the row's words; parameters of the model are left alone."""
    leaf = words.detach().requires_grad_(True)
    with torch.enable_grad():
        loss = loss_of(leaf)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    if loss.shape != words.shape[:1]:
        raise ConfigError(f"the losses have shape {tuple(loss.shape)}; give one a row, shape ({words.shape[0]},)")
    if not bool(torch.isfinite(loss).all() and torch.isfinite(gradient).all()):
        raise FilterError("an adversary in embedding space: the loss or its gradient is not finite; use float32")
    return loss.detach(), gradient


def _uphill(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the direction of steepest ascent, of length 1 in its norm, word by word."""
    if norm == "linf":
        return gradient.sign()
    return torch.div(gradient, gradient.norm(dim=-1, keepdim=True).clamp_min(_TINY))


def _random_shift(words: Tensor, radius: Tensor, seeds: Sequence[int], norm: Norm) -> Tensor:
    """Draw a point of the ball for each row, from the row's own seed; short of its edge as often as inside."""
    if len(seeds) != len(words):
        raise ConfigError(f"{len(seeds)} seeds for {len(words)} rows: give one a row")
    draws = []
    for seed in seeds:
        # Drawn token by token, so that padding a row further leaves its shift as it was.
        generator = torch.Generator().manual_seed(seed)
        draws.append(torch.rand(words.shape[1:], generator=generator) * 2 - 1)
    shift = torch.stack(draws).to(words.device, words.dtype) * radius
    return project(shift, radius, norm=norm)


def _higher(best: Tensor, best_loss: Tensor, words: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
    """Keep, row by row, the point of the higher loss."""
    higher = loss > best_loss
    return torch.where(higher[:, None, None], words, best), torch.where(higher, loss, best_loss)
