"""What a victim said about texts: asked once each, in full batches of like length, remembered exactly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Probabilities, Victim
from guard.errors import ConfigError, FilterError

__all__ = ["Readings"]

_MOST_TEXTS = 1 << 20
_SUMS_TO_ONE = 1e-3


class Readings:
    """A victim behind a cache whose key is the text itself.

    Parameters
    ----------
    victim : Victim
    batch_size : int
        Most texts that one call of the victim is given.
    most_texts : int
        How many texts are remembered; those longest unused are forgotten, which costs time and changes no result.

    Raises
    ------
    ConfigError
        A size below 1, or a victim with fewer than two labels.
    """

    def __init__(self, victim: Victim, *, batch_size: int = 512, most_texts: int = _MOST_TEXTS) -> None:
        if batch_size < 1 or most_texts < 1:
            raise ConfigError(f"batch_size={batch_size}, most_texts={most_texts}: both are at least 1")
        if len(victim.labels) < 2:
            raise ConfigError(f"victim {victim.name} has labels {victim.labels}; an attack needs at least two")
        self.victim, self._batch_size, self._most_texts = victim, batch_size, most_texts
        self._known: OrderedDict[str, npt.NDArray[np.float64]] = OrderedDict()
        self.n_scored = 0

    def read(self, texts: Sequence[str]) -> Probabilities:
        """Return what the victim says about texts, asking it only about those not yet known.

        Parameters
        ----------
        texts : sequence of str
            Repeats cost nothing.

        Returns
        -------
        Probabilities
            float64, shape (len(texts), n_labels).

        Raises
        ------
        FilterError
            The victim returned something else than probabilities.
        """
        rows = {text: self._known[text] for text in texts if text in self._known}
        new = self._asked({text: None for text in texts if text not in rows})
        rows |= new
        for text in rows:
            self._known[text] = rows[text]
            self._known.move_to_end(text)
        while len(self._known) > self._most_texts:
            self._known.popitem(last=False)
        found = [rows[text] for text in texts]
        return np.array(found, dtype=np.float64).reshape(len(texts), len(self.victim.labels))

    def _asked(self, texts: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
        # Texts of one length in one batch: padding is work too.
        ordered = sorted(texts, key=lambda text: (len(text), text))
        rows: dict[str, npt.NDArray[np.float64]] = {}
        for start in range(0, len(ordered), self._batch_size):
            batch = ordered[start : start + self._batch_size]
            found = self.victim.probabilities(batch)
            self._check(found, len(batch))
            rows.update(zip(batch, found, strict=True))
        self.n_scored += len(ordered)
        return rows

    def _check(self, found: Probabilities, n_texts: int) -> None:
        shape = (n_texts, len(self.victim.labels))
        if found.shape != shape:
            raise FilterError(f"victim {self.victim.name} returned shape {found.shape}, expected {shape}")
        if not np.isfinite(found).all() or np.abs(found.sum(axis=1) - 1).max(initial=0) > _SUMS_TO_ONE:
            raise FilterError(f"victim {self.victim.name} returned rows that are no probabilities")
