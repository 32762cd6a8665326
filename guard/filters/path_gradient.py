"""One gradient on the way from nothing to a text: what each token adds where the score turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.errors import FilterError

__all__ = ["STATE_POINT", "deciding_windows", "path_slopes"]

STATE_POINT = 0.65
"""Where on the way from nothing to the states of a text one gradient says most: docs/design/explain.md."""


def path_slopes(
    there: Tensor, nothing: Tensor, logits_of: Callable[[Tensor, Tensor], Tensor], columns: Sequence[int]
) -> list[npt.NDArray[np.float64]]:
    """Return how fast each logit rises along every token's way, special tokens left out.

    Parameters
    ----------
    there : Tensor
        float, shape (1, t, hidden): the states of a window at some layer, one special token at each end.
    nothing : Tensor
        float, shape (hidden,): the state of a token that is not there.
    logits_of : callable
        From such states and a bool mask to logits, shape (1, n_columns).
    columns : sequence of int

    Returns
    -------
    list of ndarray
        float64, shape (t - 2,), for each column.

    Raises
    ------
    FilterError
        A gradient that is not finite.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        there = there.detach().clone()
        way = torch.zeros_like(there)
        way[:, 1:-1] = there[:, 1:-1] - nothing
        on_way = (there - (1 - STATE_POINT) * way).requires_grad_(True)
        logits = logits_of(on_way, torch.ones(on_way.shape[:2], dtype=torch.bool, device=on_way.device))[0]
        # One pass there for all columns, one back for each.
        found = [torch.autograd.grad(logits[column], on_way, retain_graph=True)[0] for column in columns]
        slopes = [(one.double() * way.double()).sum(dim=2)[0, 1:-1].cpu().numpy() for one in found]
    if not all(np.isfinite(one).all() for one in slopes):
        raise FilterError("a gradient is not finite")
    return slopes


def deciding_windows(logits: npt.NDArray[np.float64], wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, list[int]]]:
    """Yield the windows that are the highest in a wanted column, with these columns.

    Parameters
    ----------
    logits : ndarray
        float64, shape (n_windows, n_columns).
    wanted : ndarray
        bool, shape (n_columns,).

    Examples
    --------
    >>> logits, wanted = np.array([[1.0, 5.0, 0.0], [2.0, 3.0, 1.0]]), np.array([True, True, False])
    >>> list(deciding_windows(logits, wanted))
    [(0, [1]), (1, [0])]
    """
    columns = np.flatnonzero(wanted)
    deciding = logits[:, columns].argmax(axis=0)
    for at in sorted(set(deciding.tolist())):
        yield at, columns[deciding == at].tolist()
