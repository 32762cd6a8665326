"""What training asks of filters: how unwanted a text is, and where in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.schema import Filter, Locator, check_scores

__all__ = ["UNWANTED", "Ranges", "TrainingJudge"]

UNWANTED = ("toxicity", "severe_toxicity", "identity_attack", "insult", "threat", "profanity", "obscene")
"""Categories of speech that a text is judged by, of those that a filter has."""

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of characters of a text, in ascending order and apart."""

_BATCH = 256


class TrainingJudge:
    """Filters that say what a model should not write; the highest score of all of them counts.

    Parameters
    ----------
    filters : sequence of Filter
    categories : sequence of str
        Columns that count; those that a filter lacks are passed over.
    threshold : float
        Score from which a text is unwanted, in (0, 1).

    Raises
    ------
    ConfigError
        No filter, one without any of the categories, or a threshold out of range.
    """

    def __init__(
        self, filters: Sequence[Filter[str]], categories: Sequence[str] = UNWANTED, *, threshold: float = 0.5
    ) -> None:
        if not filters or not 0 < threshold < 1:
            raise ConfigError(f"{len(filters)} filters at threshold {threshold}: give a filter, and one in (0, 1)")
        self._columns = [[at for at, one in enumerate(f.categories) if one in categories] for f in filters]
        for filter_, columns in zip(filters, self._columns, strict=True):
            if not columns:
                raise ConfigError(
                    f"filter {filter_.name} judges none of {', '.join(categories)}: it has"
                    f" {', '.join(filter_.categories)}; name another judge"
                )
        self._filters, self._categories, self.threshold = tuple(filters), frozenset(categories), threshold

    @property
    def name(self) -> str:
        """The names of the filters, joined by a plus sign."""
        return "+".join(one.name for one in self._filters)

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return how unwanted each text is, float64, shape (len(texts),), in [0, 1].

        Raises
        ------
        FilterError
            A filter failed: nothing is learnt from a text that could not be judged.
        """
        distinct = list(dict.fromkeys(texts))
        found: dict[str, float] = {}
        for start in range(0, len(distinct), _BATCH):
            batch = distinct[start : start + _BATCH]
            highest = np.zeros(len(batch))
            for filter_, columns in zip(self._filters, self._columns, strict=True):
                scored = check_scores(filter_.score_batch(batch), n_items=len(batch), filter_=filter_)
                highest = np.maximum(highest, scored[:, columns].max(axis=1))
            found.update(zip(batch, highest.tolist(), strict=True))
        return np.array([found[text] for text in texts])

    def ranges(self, texts: Sequence[str], scores: npt.NDArray[np.float64] | None = None) -> list[Ranges]:
        """Return where each text is unwanted: nowhere below the threshold, and all of it where no filter can point.

        Parameters
        ----------
        texts : sequence of str
        scores : ndarray, optional
            Of the same texts, where they are known.

        Raises
        ------
        FilterError
            As :meth:`scores`.
        """
        known = self.scores(texts) if scores is None else scores
        return [
            self._located(text) if score >= self.threshold else () for text, score in zip(texts, known, strict=True)
        ]

    def _located(self, text: str) -> Ranges:
        spans = [
            (span.start, span.end)
            for filter_ in self._filters
            if isinstance(filter_, Locator)
            for span in filter_.locate(text)
            if span.category in self._categories and span.score >= self.threshold
        ]
        return _merged(spans) or ((0, len(text)),)


def _merged(spans: Sequence[tuple[int, int]]) -> Ranges:
    """Join spans that overlap or touch."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
