"""Prompts continued by a batch that never waits for its longest row: as one ends, another takes its place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad as pad_tensor
from transformers import GenerationConfig
from transformers.cache_utils import DynamicLayer

from guard.generators.batching import MIN_ROWS, may_join, spare_slots
from guard.generators.decoding_loop import filled, padded, read_prompts
from guard.generators.seeding import SeededSampler, draw_tokens, uniforms
from guard.schema import Decoding

__all__ = ["Draw", "seeded_draw", "write_all", "write_whole"]

Draw = Callable[[torch.Tensor, list[int], list[int]], torch.Tensor]
"""From logits of shape (n_rows, n_vocabulary), which prompt each row continues, and how many tokens it has, to the next
token of each; int64, shape (n_rows,)."""

_CHANGE = 8
"""A batch is changed when an eighth of its rows is free: to change it copies the cache once, as every step does."""


def seeded_draw(seeds: Sequence[int], decoding: Decoding) -> Draw:
    """Draw each token by the random number of its prompt and its step, or take the likeliest without a temperature."""
    if decoding.temperature == 0:
        return lambda logits, _owners, _steps: logits.argmax(-1)
    random, last = uniforms(seeds, decoding.max_new_tokens), decoding.max_new_tokens - 1

    def draw(logits: torch.Tensor, owners: list[int], steps: list[int]) -> torch.Tensor:
        return draw_tokens(logits, random[owners, [min(step, last) for step in steps]], decoding)

    return draw


@torch.inference_mode()
def write_whole(
    model: Any, prompts: Sequence[list[int]], seeds: Sequence[int], decoding: Decoding, *, config: GenerationConfig
) -> list[list[int]]:
    """Continue prompts as one batch by ``model.generate``, for models whose state is not a growing cache.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    prompts : sequence of list of int
    seeds : sequence of int
        One a prompt.
    decoding : Decoding
    config : transformers.GenerationConfig
        Greedy over what the sampler leaves.

    Returns
    -------
    list of list of int
        The new tokens of each prompt, filled up with padding.
    """
    n_rows = max(len(prompts), MIN_ROWS)
    ids, mask = padded(filled(prompts, n_rows), pad_id=config.pad_token_id, new_tokens=decoding.max_new_tokens)
    sampled = decoding.temperature > 0
    out = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=config,
        logits_processor=[SeededSampler(filled(seeds, n_rows), decoding)] if sampled else [],
    )
    new: list[list[int]] = out[: len(prompts), ids.shape[1] :].tolist()
    return new


@torch.inference_mode()
def write_all(
    model: Any,
    prompts: Sequence[list[int]],
    draw: Draw,
    *,
    pad_id: int,
    end_ids: frozenset[int],
    n_steps: int,
    most_rows: int,
    refill: bool,
) -> list[list[int]]:
    """Continue prompts until each ends or has `n_steps` tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        One that :func:`guard.generators.decoding_loop.grows_a_cache`.
    prompts : sequence of list of int
        Ids of each, longest first, all of one group of :func:`guard.generators.batching.batches`.
    draw : callable
    pad_id : int
    end_ids : frozenset of int
    n_steps : int
        At least 1.
    most_rows : int
        Rows that run together, at least 1; fewer than 4 are filled up with copies.
    refill : bool
        Whether prompts join while others are being written, or wait until all of those have ended.

    Returns
    -------
    list of list of int
        The new tokens of each prompt, the one that ended it included.

    Notes
    -----
    Iteration-level scheduling is Yu et al. 2022 (Orca, OSDI, section 3.1). Here prompts join every 32nd step only, so
    that a row keeps its place relative to the vector lanes (docs/design/determinism.md): what a prompt gives is the
    same, bit by bit on a CPU, whenever it joins and whoever leaves.
    """
    written: list[list[int]] = [[] for _ in prompts]
    waiting = deque(range(len(prompts)))
    batch = _Batch(model, pad_id=pad_id, n_steps=n_steps)
    while waiting or batch.live:
        free = most_rows - len(batch.live)
        joins = not batch.live or (refill and free * _CHANGE >= most_rows and batch.may_join)
        joining = [waiting.popleft() for _ in range(min(free, len(waiting)))] if joins else []
        if joining or batch.is_sparse:
            batch.change({owner: prompts[owner] for owner in joining})
        owners = [0 if owner is None else owner for owner in batch.owners]
        tokens = draw(batch.step(), owners, [len(written[owner]) for owner in owners])
        batch.feed(tokens)
        for row, token in enumerate(tokens.tolist()):
            owner = batch.owners[row]
            if owner is None:
                continue
            written[owner].append(token)
            if token in end_ids or len(written[owner]) == n_steps:
                batch.owners[row] = None
    return written


class _Batch:
    """The rows that run together, over one cache in which all write the same slot at a step.

    Attributes
    ----------
    owners : list of (int or None)
        Whose continuation each row is; None where that has ended, and for copies that fill up a small batch.
    """

    def __init__(self, model: Any, *, pad_id: int, n_steps: int) -> None:
        self._model, self._pad_id, self._n_steps = model, pad_id, n_steps
        self._cache: Any = None
        self._mask = torch.empty((0, 0), dtype=torch.int64)  # (n_rows, n_slots): which slots of the cache a row sees
        self._next = torch.empty(0, dtype=torch.int64)  # the token of each row that is read next
        self._n_read = torch.empty(0, dtype=torch.int64)
        self.owners: list[int | None] = []

    @property
    def live(self) -> list[int]:
        """The rows that are still written."""
        return [row for row, owner in enumerate(self.owners) if owner is not None]

    @property
    def is_sparse(self) -> bool:
        """Whether so many rows have ended that the others are better off alone."""
        n_free = len(self.owners) - max(len(self.live), MIN_ROWS)
        return n_free > 0 and n_free * _CHANGE >= len(self.owners)

    @property
    def may_join(self) -> bool:
        """Whether prompts may join before the next step.

        A window of attention that slides counts slots, so in such a cache rows must begin together.
        """
        plain = all(type(layer) is DynamicLayer for layer in self._cache.layers)
        return plain and may_join(self._mask.shape[1] - self._spare(self.live), self._n_steps)

    def change(self, joining: Mapping[int, list[int]]) -> None:
        """Drop the rows that have ended, and let prompts join.

        Parameters
        ----------
        joining : mapping of int to list of int
            From owner to the ids of the prompt; where rows are still written, only when they :attr:`may_join`.
        """
        live = self.live
        rows = filled(live, max(len(live), MIN_ROWS - len(joining))) if live else []
        owners: list[int | None] = [self.owners[row] for row in live]
        self.owners = [*owners, *[None] * (len(rows) - len(live))]
        if rows:
            self._select(rows)
        if joining:
            self._trim()
            self._join(list(joining.values()))
            self.owners += [*joining, *[None] * (len(self._mask) - len(self.owners) - len(joining))]

    def _select(self, rows: list[int]) -> None:
        index = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask, self._next, self._n_read = self._mask[index], self._next[index], self._n_read[index]

    def _spare(self, rows: list[int]) -> int:
        """Return how many slots at the left none of the rows needs."""
        first = int(self._mask[rows].argmax(1).min()) if rows else 0
        return spare_slots(first)

    def _trim(self) -> None:
        """Give back the slots that only rows that have left did need."""
        n_spare = self._spare(self.live)
        if n_spare:
            self._mask = self._mask[:, n_spare:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[..., n_spare:, :], layer.values[..., n_spare:, :]

    def _join(self, prompts: list[list[int]]) -> None:
        """Read prompts and put their keys and values beside those of the others, or in the place of all."""
        if not self.owners:
            prompts = filled(prompts, max(len(prompts), MIN_ROWS))
        ids, mask = padded(prompts, pad_id=self._pad_id, new_tokens=self._n_steps)
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        cache = read_prompts(self._model, prompts, ids, mask)
        last, n_read, mask = ids[:, -1], mask.sum(1) - 1, mask[:, :-1]
        if self.owners:
            n_left = self._mask.shape[1] - mask.shape[1]
            for layer, other in zip(self._cache.layers, cache.layers, strict=True):
                layer.keys = torch.cat([layer.keys, pad_tensor(other.keys, (0, 0, n_left, 0))])
                layer.values = torch.cat([layer.values, pad_tensor(other.values, (0, 0, n_left, 0))])
            mask = torch.cat([self._mask, pad_tensor(mask, (n_left, 0))])
            last, n_read = torch.cat([self._next, last]), torch.cat([self._n_read, n_read])
        else:
            self._cache = cache
        self._mask, self._next, self._n_read = mask, last, n_read

    def step(self) -> torch.Tensor:
        """Read the next token of every row; logits of what may follow, float32, shape (n_rows, n_vocabulary)."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        logits: torch.Tensor = self._model(
            input_ids=self._next[:, None],
            attention_mask=self._mask,
            position_ids=self._n_read[:, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        self._n_read = self._n_read + 1
        return logits[:, -1].float()

    def feed(self, tokens: torch.Tensor) -> None:
        """Take the token that each row reads next."""
        self._next = tokens
