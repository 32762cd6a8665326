"""One category of any filter or judge as a scorer."""

from __future__ import annotations

from collections.abc import Sequence

from evals.schema import Sample
from guard.errors import ConfigError, FilterError
from guard.schema import Filter, check_scores

__all__ = ["CategoryScorer"]

_BATCH = 256


class CategoryScorer:
    """Scores what was released by one column of a filter.

    Parameters
    ----------
    judge : Filter
    category : str

    Raises
    ------
    ConfigError
        When the judge has no such category.
    """

    def __init__(self, judge: Filter[str], category: str) -> None:
        if category not in judge.categories:
            raise ConfigError(
                f"scorer {judge.name} has no category {category!r}; it has {', '.join(judge.categories)}:"
                " name another scorer"
            )
        self._judge = judge
        self._column = judge.categories.index(category)

    @property
    def name(self) -> str:
        """The name of the judge."""
        return self._judge.name

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        """Score each text; None for what is missing or what the judge fails on. `samples` are not looked at."""
        known: dict[str, float | None] = {}
        new = list(dict.fromkeys(text for text in texts if text is not None))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            known.update(zip(batch, self._scores(batch), strict=True))
        return [None if text is None else known[text] for text in texts]

    def _scores(self, texts: Sequence[str]) -> list[float | None]:
        try:
            scores = check_scores(self._judge.score_batch(texts), n_items=len(texts), filter_=self._judge)
        except FilterError:
            # One bad text must not cost its neighbours their scores.
            return [None] if len(texts) == 1 else [score for text in texts for score in self._scores([text])]
        return [float(score) for score in scores[:, self._column]]
