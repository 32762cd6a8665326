"""One batch written token by token over a cache of keys and values, from which each row can take tokens back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from transformers import DynamicCache

from guard.generators.batching import MIN_ROWS, padded_width

__all__ = ["DecodingLoop", "filled", "grows_a_cache", "padded", "read_prompts"]

V = TypeVar("V")


def grows_a_cache(model: Any) -> bool:
    """Tell whether the model keeps keys and values that can be handed to several rows."""
    usual = getattr(model, "_supports_default_dynamic_cache", lambda: False)()
    return bool(usual) and "logits_to_keep" in inspect.signature(model.forward).parameters


def filled(values: Sequence[V], n: int) -> list[V]:
    """Return `values` with copies of the first up to a length of `n`."""
    return [*values, *[values[0]] * (n - len(values))]


def padded(rows: Sequence[list[int]], *, pad_id: int, new_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the left.

    Parameters
    ----------
    rows : sequence of list of int
        Ids of each prompt.
    pad_id : int
    new_tokens : int
        How many are to follow.

    Returns
    -------
    ids, mask : torch.Tensor
        int64, each of shape (n_rows, width).
    """
    width = max(padded_width(len(row), new_tokens) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def read_prompts(model: Any, rows: Sequence[list[int]], ids: torch.Tensor, mask: torch.Tensor) -> Any:
    """Read every distinct prompt once, all but its last token, for the rows that share it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        One that :func:`grows_a_cache`.
    rows : sequence of list of int
        Ids of each prompt.
    ids, mask : torch.Tensor
        The same, padded; shape (n_rows, width).

    Returns
    -------
    transformers.DynamicCache
        Keys and values of the first width - 1 places.
    """
    first: dict[tuple[int, ...], int] = {}
    for place, row in enumerate(rows):
        first.setdefault(tuple(row), place)
    chosen = filled(list(first.values()), max(len(first), MIN_ROWS))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = model(
        input_ids=ids[chosen, :-1],
        attention_mask=mask[chosen, :-1],
        position_ids=positions[chosen, :-1],
        past_key_values=DynamicCache(config=model.config),
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    order = {place: number for number, place in enumerate(first.values())}
    wanted = [order[first[tuple(row)]] for row in rows]
    if wanted != list(range(len(chosen))):  # to copy it all for nothing would cost its memory again
        cache.batch_select_indices(torch.tensor(wanted, device=ids.device))
    return cache


class DecodingLoop:
    """Writes the rows of one batch, a token a step each.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        One that :func:`grows_a_cache`.
    rows : sequence of list of int
        Ids of each prompt, at least one.
    pad_id : int
    n_steps : int
        The most steps there will be.

    Notes
    -----
    Every step adds one slot to the cache, in the same place for all rows. A row that pauses, and a token that is taken
    back, leave their slots behind, masked out; positions are counted over what stands. So the others of the batch do
    not notice, bit by bit on a CPU, and nothing is copied. The price is a slot for each lost token.
    """

    def __init__(self, model: Any, rows: Sequence[list[int]], *, pad_id: int, n_steps: int) -> None:
        self._model, self._pad_id, self._n_rows = model, pad_id, len(rows)
        self._n_read = [len(row) - 1 for row in rows]
        self._slots: list[list[int]] = [[] for _ in rows]  # of the last token of the prompt, and of those after it
        rows = filled(rows, max(len(rows), MIN_ROWS))
        ids, mask = padded(rows, pad_id=pad_id, new_tokens=n_steps)
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode():
            self._cache = read_prompts(model, rows, ids, mask)
            self._mask = torch.cat([mask, mask.new_zeros(len(rows), n_steps)], dim=1)
            self._mask[:, ids.shape[1] - 1] = 0  # the last token of the prompt is not read yet
        self._n_slots = ids.shape[1] - 1

    @property
    def n_slots(self) -> int:
        """Width of the cache so far, padding and lost slots included."""
        return self._n_slots

    @torch.inference_mode()
    def step(self, tokens: Mapping[int, int]) -> torch.Tensor:
        """Append a token to rows, the last one of the prompt being the first, and return what may follow.

        Parameters
        ----------
        tokens : mapping of int to int
            The next token of each row that goes on; the others pause.

        Returns
        -------
        torch.Tensor
            Logits, float32, shape (n_rows, n_vocabulary); those of a row that pauses mean nothing.
        """
        # The copies that fill up the batch follow the first row, so that they are never without a key to look at.
        rows = [row if row < self._n_rows else 0 for row in range(len(self._mask))]
        device = self._mask.device
        self._mask[:, self._n_slots] = torch.tensor([int(row in tokens) for row in rows], device=device)
        logits = self._model(
            input_ids=torch.tensor([[tokens.get(row, self._pad_id)] for row in rows], device=device),
            attention_mask=self._mask[:, : self._n_slots + 1],
            position_ids=torch.tensor([[self._n_read[row]] for row in rows], device=device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        for row in tokens:
            self._slots[row].append(self._n_slots)
            self._n_read[row] += 1
        self._n_slots += 1
        out: torch.Tensor = logits[: self._n_rows, -1].float()
        return out

    @torch.inference_mode()
    def take_back(self, row: int, n_tokens: int) -> None:
        """Forget the last tokens that a row was given.

        Parameters
        ----------
        row : int
        n_tokens : int
            Not more than were given by :meth:`step`.
        """
        lost = self._slots[row][len(self._slots[row]) - n_tokens :]
        del self._slots[row][len(self._slots[row]) - n_tokens :]
        self._mask[row, lost] = 0
        self._n_read[row] -= n_tokens
