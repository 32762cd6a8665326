"""Seeded sampling: the token drawn for a row depends on its own logits and its own seed only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor

from guard.schema import Decoding

__all__ = ["SeededSampler", "draw_tokens", "nucleus", "uniforms"]

_HEAD = 2048
"""Most probable tokens that are looked at first: a nucleus is seldom larger, and to sort a vocabulary is dear."""


def uniforms(seeds: Sequence[int], n_steps: int) -> torch.Tensor:
    """Draw the random numbers that decide every token of every row.

    Parameters
    ----------
    seeds : sequence of int
        One a row; each row has a Philox stream of its own (Salmon et al. 2011), so neighbours cannot disturb it.
    n_steps : int

    Returns
    -------
    torch.Tensor
        float64, shape (len(seeds), n_steps), in [0, 1).
    """
    rows = [np.random.Generator(np.random.Philox(key=seed % 2**64)).random(n_steps) for seed in seeds]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty((0, n_steps), dtype=torch.float64)


def _invert(mass: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """Return the first place at which the running mass exceeds the point; int64, shape (n_rows,)."""
    return torch.searchsorted(mass, point[:, None], right=True)[:, 0]


def draw_tokens(logits: torch.Tensor, uniform: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Draw one token for every row, by inverting its cumulative distribution.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n_rows, n_vocabulary).
    uniform : torch.Tensor
        float64, shape (n_rows,), in [0, 1).
    decoding : Decoding
        ``temperature`` above 0.

    Returns
    -------
    torch.Tensor
        int64, shape (n_rows,).

    Raises
    ------
    FloatingPointError
        A logit is NaN or all are infinite.
    """
    probabilities = torch.softmax(logits.float() / decoding.temperature, dim=-1)
    uniform = uniform.to(logits.device)
    if decoding.top_p < 1.0:
        return _draw_from_nucleus(probabilities, uniform, decoding.top_p)
    mass = _running(probabilities)
    return _invert(mass, uniform * mass[:, -1]).clamp(max=logits.shape[-1] - 1)


def nucleus(logits: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Tell which tokens are in the smallest set whose mass reaches ``top_p`` (Holtzman et al. 2020, eq. 2).

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n_rows, n_vocabulary).
    decoding : Decoding
        ``temperature`` above 0.

    Returns
    -------
    torch.Tensor
        bool, shape (n_rows, n_vocabulary).
    """
    probabilities = torch.softmax(logits.float() / decoding.temperature, dim=-1)
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    inside = _running(ordered) - ordered < decoding.top_p
    return torch.zeros_like(inside).scatter_(-1, order, inside)


def _draw_from_nucleus(probabilities: torch.Tensor, uniform: torch.Tensor, top_p: float) -> torch.Tensor:
    """Draw from the smallest set of tokens whose mass reaches `top_p`."""
    if probabilities.device.type == "cpu" and probabilities.shape[-1] > 4 * _HEAD:
        highest = probabilities.topk(_HEAD).values
        held = highest.double().sum(-1) > top_p + 1e-6
        drawn = torch.empty(len(probabilities), dtype=torch.int64)
        if bool(held.any()):
            ordered, order = _head(probabilities[held], highest[held, -1:])
            drawn[held] = _draw_ordered(ordered, order, uniform[held], top_p)
        if not bool(held.all()):
            ordered, order = probabilities[~held].sort(dim=-1, descending=True, stable=True)
            drawn[~held] = _draw_ordered(ordered, order, uniform[~held], top_p)
        return drawn
    # Off the processor all are sorted: a running sum there may round by its length.
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    return _draw_ordered(ordered, order, uniform, top_p)


def _draw_ordered(ordered: torch.Tensor, order: torch.Tensor, uniform: torch.Tensor, top_p: float) -> torch.Tensor:
    mass = _running(ordered)
    last = (mass - ordered < top_p).sum(-1) - 1
    point = uniform * mass.gather(-1, last[:, None])[:, 0]
    place = torch.minimum(_invert(mass, point), last)
    return order.gather(-1, place[:, None])[:, 0]


def _head(probabilities: torch.Tensor, least: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Order the probabilities of at least `least`, with 0 behind them, exactly as a sort of all would.

    Ties, of which logits in bfloat16 have many, are in the order of the vocabulary: all that tie with the last of the
    head are in it.
    """
    inside = probabilities >= least
    row, token = inside.nonzero(as_tuple=True)
    before = inside.sum(-1).cumsum(0)
    width = int(before.diff(prepend=before.new_zeros(1)).max())
    place = torch.arange(len(row)) - (before - inside.sum(-1))[row]
    order = torch.zeros((len(probabilities), width), dtype=torch.int64).index_put_((row, place), token)
    values = torch.full((len(probabilities), width), -1.0).index_put_((row, place), probabilities[row, token])
    ordered, within = values.sort(dim=-1, descending=True, stable=True)
    return ordered.clamp(min=0), order.gather(-1, within)


class SeededSampler(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Chooses each row's next token by inverting its cumulative distribution at the row's own random number.

    As a logits processor it leaves one finite logit a row, so that greedy decoding takes exactly that token.

    Parameters
    ----------
    seeds : sequence of int
        One a row of the batch.
    decoding : Decoding
        ``temperature`` above 0.
    """

    def __init__(self, seeds: Sequence[int], decoding: Decoding) -> None:
        self._decoding = decoding
        self._uniforms = uniforms(seeds, decoding.max_new_tokens)
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return logits that are finite at the drawn token only; shape as `scores`, (n_rows, n_vocabulary)."""
        token = self.draw(scores)
        return torch.full_like(scores, float("-inf")).scatter_(1, token[:, None], 0.0)

    def draw(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw the next token of every row; int64, shape (n_rows,).

        Raises
        ------
        FloatingPointError
            A logit is NaN or all are infinite.
        """
        uniform = self._uniforms[:, self._step]
        self._step += 1
        return draw_tokens(logits, uniform, self._decoding)


def _running(probabilities: torch.Tensor) -> torch.Tensor:
    """Add up along a row in float64; refuses what is not finite."""
    mass = probabilities.double().cumsum(-1)
    if not torch.isfinite(mass[:, -1]).all():
        raise FloatingPointError("the model gave logits that are not finite; load it with another dtype")
    return mass
