"""Token rows for the language-model loss, the steps they fall into, and batches of them padded on the right."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LanguageBatch", "TokenRow", "as_batch", "batched", "epoch_steps", "packed", "rows_digest"]


@dataclass(frozen=True)
class TokenRow:
    """One text or dialogue as ids.

    Parameters
    ----------
    ids : tuple of int
        At least two: the first is only read.
    learnt : tuple of bool
        Which ids count in the loss; the first never does, and at least one does.
    unit : str
        The statistical unit, for example the conversation; may be empty.
    """

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.learnt) or not self.n_learnt or self.learnt[0]:
            raise DataError(
                f"a row of {len(self.ids)} ids with {sum(self.learnt)} learnt: give a mark for each id, at least one of"
                " them true, and the first false"
            )

    @property
    def n_learnt(self) -> int:
        """How many ids count in the loss."""
        return sum(self.learnt)


@dataclass(frozen=True)
class LanguageBatch:
    """Rows side by side, padded on the right; a row may hold several texts, one behind the other.

    Parameters
    ----------
    ids : Tensor of int64, shape (n_rows, width)
    learnt : Tensor of bool, shape (n_rows, width)
        Which ids are to be predicted.
    positions : Tensor of int64, shape (n_rows, width)
        Place of each id in its own text, from 0.
    segments : Tensor of int64, shape (n_rows, width)
        Number of the text within the row, from 1; 0 is padding.
    """

    ids: Tensor
    learnt: Tensor
    positions: Tensor
    segments: Tensor

    @property
    def is_packed(self) -> bool:
        """Whether a row holds more than one text."""
        return bool((self.segments > 1).any())

    def allowed(self, n_before: int = 0) -> Tensor:
        """Return which place may look at which, bool, shape (n_rows, 1, width, n_before + width).

        Parameters
        ----------
        n_before : int
            Places before the row that every text may look at, such as trained prompts.
        """
        import torch

        same = self.segments[:, :, None] == self.segments[:, None, :]
        width = self.ids.shape[1]
        earlier = torch.ones(width, width, dtype=torch.bool, device=self.ids.device).tril()
        before = torch.ones(len(self.ids), width, n_before, dtype=torch.bool, device=self.ids.device)
        return torch.cat([before, same & earlier], dim=-1)[:, None]


def as_batch(packs: Sequence[Sequence[TokenRow]], *, pad_id: int, device: Any = None) -> LanguageBatch:
    """Lay rows behind and beside each other.

    Parameters
    ----------
    packs : sequence of sequence of TokenRow
        The texts of each row of the batch.
    pad_id : int
    device : optional
    """
    import torch

    width = max(sum(len(row.ids) for row in pack) for pack in packs)
    shape = (len(packs), width)
    ids = torch.full(shape, pad_id)
    learnt, positions, segments = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.long), None
    segments = torch.zeros(shape, dtype=torch.long)
    for number, pack in enumerate(packs):
        start = 0
        for segment, row in enumerate(pack, 1):
            end = start + len(row.ids)
            ids[number, start:end] = torch.tensor(row.ids)
            learnt[number, start:end] = torch.tensor(row.learnt)
            positions[number, start:end] = torch.arange(len(row.ids))
            segments[number, start:end] = segment
            start = end
    return LanguageBatch(*(value.to(device) for value in (ids, learnt, positions, segments)))


def batched(rows: Sequence[TokenRow], *, budget: int) -> list[list[list[TokenRow]]]:
    """Put rows of like length side by side.

    Parameters
    ----------
    rows : sequence of TokenRow
    budget : int
        Rows times the longest of them is at most this, but for one row alone.

    Returns
    -------
    list of list of list of TokenRow
        Batches of packs of one row each, longest first, in an order that depends on the rows alone.
    """
    found: list[list[list[TokenRow]]] = []
    for row in sorted(rows, key=lambda one: (-len(one.ids), one.ids, one.learnt)):
        if found and (len(found[-1]) + 1) * len(found[-1][0][0].ids) <= budget:
            found[-1].append([row])
        else:
            found.append([[row]])
    return found


def packed(rows: Sequence[TokenRow], *, width: int, budget: int) -> list[list[list[TokenRow]]]:
    """Lay rows behind each other, the longest first, each where it leaves least room, and the packs side by side.

    Parameters
    ----------
    rows : sequence of TokenRow
    width : int
        Most ids of a pack, but for one row alone.
    budget : int
        As for :func:`batched`.

    Notes
    -----
    Best-fit decreasing (Johnson 1973, "Near-optimal bin packing algorithms"), which Ding et al. 2024 (arXiv 2404.10830)
    use so that packing cuts no text.
    """
    packs: list[list[TokenRow]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda one: (-len(one.ids), one.ids, one.learnt)):
        size = len(row.ids)
        fits = [(left, number) for number, left in enumerate(room) if left >= size]
        if fits:
            _, best = min(fits)
            packs[best].append(row)
            room[best] -= size
        else:
            packs.append([row])
            room.append(width - size)
    longest = max((sum(len(row.ids) for row in pack) for pack in packs), default=1)
    a_batch = max(1, budget // longest)
    return [packs[start : start + a_batch] for start in range(0, len(packs), a_batch)]


def epoch_steps(rows: Sequence[TokenRow], *, step_tokens: int, epoch: int, seed: int) -> list[list[int]]:
    """Deal the rows of an epoch into steps, in an order that depends on seed and epoch alone.

    Parameters
    ----------
    rows : sequence of TokenRow
    step_tokens : int
        A step takes rows until it has at least this many ids.
    epoch : int
    seed : int

    Returns
    -------
    list of list of int
        Indices of each step's rows; every row once. A rest of less than half a step joins the one before.

    Raises
    ------
    ConfigError
        `step_tokens` is below 1.
    """
    if step_tokens < 1:
        raise ConfigError(f"{step_tokens} tokens a step: give at least 1")
    order = list(range(len(rows)))
    random.Random(f"{seed}/rows/{epoch}").shuffle(order)  # noqa: S311 - no secret
    steps: list[list[int]] = [[]]
    size = 0
    for index in order:
        if size >= step_tokens:
            steps.append([])
            size = 0
        steps[-1].append(index)
        size += len(rows[index].ids)
    if len(steps) > 1 and size < step_tokens / 2:
        rest = steps.pop()
        steps[-1] += rest
    return steps if order else []


def rows_digest(rows: Iterable[TokenRow]) -> str:
    """Return the SHA-256, in hex, over ids and marks in their order."""
    found = hashlib.sha256()
    for row in rows:
        marks = "".join("1" if one else "0" for one in row.learnt)
        found.update(f"{','.join(map(str, row.ids))} {marks}\n".encode())
    return found.hexdigest()
