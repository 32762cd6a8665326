"""Several processes that train one model on their shares of every step, or the one process that trains it alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Alone", "Ranks", "Together", "launched"]

_T = TypeVar("_T")


class Ranks(Protocol):
    """The processes of a run.

    Attributes
    ----------
    rank : int
        Of this process, from 0; 0 writes files.
    n : int
    """

    @property
    def rank(self) -> int: ...  # noqa: D102 - described above
    @property
    def n(self) -> int: ...  # noqa: D102

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor."""

    def gathered(self, values: Sequence[_T]) -> list[list[_T]]:
        """Return what each process gave, by rank."""

    def agreed(self, value: _T) -> _T:
        """Return the value of the first process."""


class Alone:
    """One process."""

    rank, n = 0, 1

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Leave the tensors as they are."""

    def gathered(self, values: Sequence[_T]) -> list[list[_T]]:
        """Return the values."""
        return [list(values)]

    def agreed(self, value: _T) -> _T:
        """Return the value."""
        return value


class Together:
    """The processes that ``accelerate launch`` started.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
    """

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.rank, self.n = int(accelerator.process_index), int(accelerator.num_processes)

    @property
    def device(self) -> Any:
        """Device of this process."""
        return self._accelerator.device

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor; all of them in one message."""
        import torch

        every = list(tensors)
        whole = self._accelerator.reduce(torch.cat([one.flatten() for one in every]), reduction="sum")
        for one, part in zip(every, whole.split([one.numel() for one in every]), strict=True):
            one.copy_(part.view_as(one))

    def gathered(self, values: Sequence[_T]) -> list[list[_T]]:
        """Return what each process gave, by rank."""
        from accelerate.utils import gather_object

        found: list[list[_T]] = gather_object([list(values)])
        return found

    def agreed(self, value: _T) -> _T:
        """Return the value of the first process."""
        from accelerate.utils import broadcast_object_list

        held = [value]
        broadcast_object_list(held)
        return held[0]


def launched(*, cpu: bool) -> Ranks:
    """Return the processes that this one was started among; alone where ``accelerate launch`` did not start it.

    Parameters
    ----------
    cpu : bool
        Whether to stay on the CPU although there is a GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Alone()
    from accelerate import Accelerator

    return Together(Accelerator(cpu=cpu))
