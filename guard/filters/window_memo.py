"""What the last windows gave when they were scored, so that saying where a text fired need not score it again."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Looked", "WindowMemo"]

Looked = npt.NDArray[np.float32]
"""How much each category attends to each token of a window: float32, shape (at least n_tokens, n_categories)."""

Floats = npt.NDArray[np.float64]

_BATCHES = 8
_WINDOWS = 128


class WindowMemo:
    """Keeps the logits and the attention of the last windows of the last batches.

    Notes
    -----
    128 windows of each of the last 8 batches: some 5 MB at 128 tokens and 5 categories, where there are so many. A
    window that is not here any more is read again, with the same result. Any number of threads may use one memo:
    batches are never changed, and a new one comes in by a single assignment. Two at the same moment may lose one. The
    token ids of a text stay in memory until others push them out.

    Examples
    --------
    >>> memo = WindowMemo()
    >>> memo.keep([[2, 7, 3]], np.array([[1.5]]), [np.array([[0.2], [0.8], [0.0]], dtype=np.float32)])
    >>> memo.find([[2, 7, 3]])[0]
    array([[1.5]])
    >>> memo.find([[2, 7, 3], [2, 3]]) is None
    True
    """

    def __init__(self) -> None:
        self._batches: tuple[Mapping[bytes, tuple[Floats, Looked]], ...] = ()

    def keep(self, windows: Sequence[Sequence[int]], logits: Floats, looked: Sequence[Looked]) -> None:
        """Take in what a batch gave, the last of its windows at least.

        Parameters
        ----------
        windows : sequence of sequence of int
            Token ids.
        logits : ndarray
            float64, shape (n_windows, n_categories).
        looked : sequence of Looked
            Of each window.
        """
        last = range(max(0, len(windows) - _WINDOWS), len(windows))
        batch = {_key(windows[at]): (logits[at].copy(), looked[at][: len(windows[at])].copy()) for at in last}
        self._batches = (batch, *self._batches[: _BATCHES - 1])

    def find(self, windows: Sequence[Sequence[int]]) -> tuple[Floats, list[Looked]] | None:
        """Return the logits and the attention of these windows, as :meth:`keep` takes them; None unless all are here.

        Parameters
        ----------
        windows : sequence of sequence of int
        """
        batches, found = self._batches, list[tuple[Floats, Looked]]()
        for window in windows:
            key = _key(window)
            batch = next((batch for batch in batches if key in batch), None)
            if batch is None:
                return None
            found.append(batch[key])
        return (np.array([logits for logits, _ in found]), [looked for _, looked in found]) if found else None


def _key(window: Sequence[int]) -> bytes:
    """Return token ids in their shortest form that can be looked up."""
    return array("i", window).tobytes()
