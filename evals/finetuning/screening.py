"""What a row had better not hold: personal data and secrets by kind, with a masked copy, and whether it is toxic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from evals.finetuning.texts import TrainingText
from guard.errors import FilterError
from guard.filters.table import load_filter
from guard.policy import Policy
from guard.release import redacted
from guard.schema import Filter, Locator, Span

__all__ = ["FilterScreen", "Screened"]

_PII = 0.5
"""The threshold that the numbers of the personal-data filter are made for."""

_BATCH = 256


@dataclass(frozen=True)
class Screened:
    """What one row holds.

    Parameters
    ----------
    pii : tuple of str or None
        Kinds of personal data; None where the filter failed.
    toxic : bool or None
    masked : tuple of str
        Contents of the turns with ``[kind]`` in the place of personal data.
    """

    pii: tuple[str, ...] | None
    toxic: bool | None
    masked: tuple[str, ...] = ()


class _Finder(Filter[str], Locator, Protocol):
    """A filter that says where it found something."""


class FilterScreen:
    """Screens rows with the guard's filters: personal data, secrets, and the encoder's toxicity.

    Parameters
    ----------
    device : str
    """

    def __init__(self, *, device: str = "auto") -> None:
        self._finders = [cast(_Finder, load_filter(name)) for name in ("pii", "secrets")]
        self._encoder = load_filter("encoder", device=device)
        rules = Policy.load("standard").thresholds
        self._threshold = rules["output", "toxicity"][0]

    @property
    def names(self) -> tuple[str, ...]:
        """Filters, with digests."""
        return tuple(one.name for one in (*self._finders, self._encoder))

    def __call__(
        self,
        rows: Sequence[TrainingText],
        *,
        tell: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> list[Screened]:
        """Return what each row holds."""
        found: list[Screened] = []
        column = self._encoder.categories.index("toxicity")
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            scores = _scores(self._encoder, [row.whole for row in part], column)
            found += [self._screened(row, score) for row, score in zip(part, scores, strict=True)]
            tell("looking the data over", len(found), len(rows))
        return found

    def _screened(self, row: TrainingText, score: float | None) -> Screened:
        toxic = None if score is None else score >= self._threshold
        try:
            spans = [self._spans(turn.content) for turn in row.turns]
        except FilterError:
            return Screened(None, toxic)
        kinds = dict.fromkeys(span.category for one in spans for span in one)
        masked = tuple(redacted(turn.content, one) for turn, one in zip(row.turns, spans, strict=True))
        return Screened(tuple(kinds), toxic, masked)

    def _spans(self, text: str) -> list[Span]:
        """Return where personal data stands, by its kind; the category over all kinds is left out."""
        every = [span for finder in self._finders for span in finder.locate(text)]
        return [span for span in every if span.category != "pii" and span.score >= _PII]


def _scores(filter_: Filter[str], texts: Sequence[str], column: int) -> list[float | None]:
    """Score texts together, or one by one where one of them cannot be scored."""
    try:
        return [float(value) for value in filter_.score_batch(texts)[:, column]]
    except FilterError:
        if len(texts) == 1:
            return [None]
        return [value for text in texts for value in _scores(filter_, [text], column)]
