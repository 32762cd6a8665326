"""Validation rows during hardening: clean and noisy figures of one category, and whether a state may be kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata

from guard.errors import DataError
from guard.filters.windows import length_batches
from guard.harden.batch import Trainable
from guard.harden.slips import slips

__all__ = ["Standing", "Validation", "all_logits", "rank_area"]

Floats = npt.NDArray[np.float64]
_LEAST_ROWS = 10


@dataclass(frozen=True)
class Standing:
    """Figures of one state of a model.

    Parameters
    ----------
    clean, noisy : float
        Area under the ROC curve of harmful texts, as they are and with slips, against harmless texts as they are.
    noisy_harmless : float
        Mean log-odds that slips add to harmless texts: what a misspelling alone is held to be worth.
    false_alarms : float
        Share of the harmless texts, as they are, at or over the threshold.
    """

    clean: float
    noisy: float
    noisy_harmless: float
    false_alarms: float


def rank_area(harmful: Floats, harmless: Floats) -> float:
    """Return the chance that a harmful text scores over a harmless one, ties counted half (Mann and Whitney 1947).

    Examples
    --------
    >>> rank_area(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ranks = rankdata(np.concatenate((harmful, harmless)))[: len(harmful)]
    return float((ranks.mean() - (len(harmful) + 1) / 2) / len(harmless))


def all_logits(model: Trainable, texts: Sequence[str], *, token_budget: int = 4096) -> Floats:
    """Return the log-odds of texts of any number, float64, shape (n, n_categories), in their order."""
    found = np.zeros((len(texts), len(model.categories)))
    # A token is about four characters, so the length of a text sorts well enough.
    lengths = [min(len(text) // 3 + 2, token_budget) for text in texts]
    with torch.inference_mode():
        for group in length_batches(lengths, token_budget=token_budget):
            tokens = model.tokens([texts[row] for row in group])
            found[group] = model.logits(model.embed(tokens), tokens.mask).double().numpy()
    return found


class Validation:
    """Labelled rows that are never trained on.

    Parameters
    ----------
    texts : sequence of str
    harmful : sequence of bool
    column : int
        Of the category.
    threshold : float
        In (0, 1).
    seed : int
        Of the slips, which are the same at every look.
    share : float
        Of the words with a slip.

    Raises
    ------
    DataError
        Fewer than 10 rows of a class.
    """

    def __init__(
        self,
        texts: Sequence[str],
        harmful: Sequence[bool],
        *,
        column: int,
        threshold: float,
        seed: int = 0,
        share: float = 0.6,
    ) -> None:
        self.texts, self.harmful = list(texts), np.array(harmful, dtype=bool)
        n_harmful = int(self.harmful.sum())
        if min(n_harmful, len(self.texts) - n_harmful) < _LEAST_ROWS:
            raise DataError(
                f"{n_harmful} harmful and {len(self.texts) - n_harmful} harmless rows to validate on: the rule is at"
                f" least {_LEAST_ROWS} of each; give more data or a larger share of it"
            )
        self.column, self.limit = column, float(np.log(threshold / (1 - threshold)))
        rng = random.Random(f"validation/{seed}")  # noqa: S311 - no secret
        self._noisy = [slips(text, rng, share=share) for text in self.texts]

    def clean(self, model: Trainable) -> Floats:
        """Return the log-odds of the category on the rows as they are, shape (n,)."""
        return all_logits(model, self.texts)[:, self.column]

    def standing(self, model: Trainable) -> Standing:
        """Measure a model as it is now."""
        clean, noisy = self.clean(model), all_logits(model, self._noisy)[:, self.column]
        harmless = clean[~self.harmful]
        return Standing(
            clean=rank_area(clean[self.harmful], harmless),
            noisy=rank_area(noisy[self.harmful], harmless),
            noisy_harmless=float((noisy - clean)[~self.harmful].mean()),
            false_alarms=float((harmless >= self.limit).mean()),
        )
