"""Samples and ROC scores packed for the page: JSON, compressed, in base64, with every repeated text stored once."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from evals.curves import LABELLED_TASKS, Curve
from evals.directions import direction_of
from evals.report.wording import task_title
from evals.schema import Generation, Record
from guard.schema import Span, Verdict

__all__ = ["SampleValue", "Thresholds", "pack", "pack_curves", "pack_samples", "texts_title"]

Thresholds = Mapping[tuple[str, str], float]
"""(stage, category) -> the score from which the policy acts."""

_MOST_CHARACTERS = 40_000_000
_LIMITS = (4000, 2000, 1000, 500, 250)
_DIGITS = 4


class SampleValue(Protocol):
    """One value of one metric for one sample in one arm of one model."""

    @property
    def model(self) -> str:
        """As the report names it."""

    @property
    def task(self) -> str:
        """As in the record."""

    @property
    def metric(self) -> str:
        """The metric's name, without its task."""

    @property
    def arm(self) -> str:
        """An :data:`evals.schema.Arm`."""

    @property
    def sample_id(self) -> str:
        """As in the record."""

    @property
    def value(self) -> float | None:
        """None = unscored."""


def pack(document: object) -> str:
    """Return any JSON value compressed (gzip) and in base64: letters that no page can mistake for markup.

    The same value gives the same text.
    """
    # ASCII keeps lone surrogates, and lets the page hold the whole as one byte a character.
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def pack_curves(curves: Sequence[Curve], *, thresholds: Thresholds) -> str:
    """Pack ROC scores for the page.

    Parameters
    ----------
    curves : sequence of Curve
    thresholds : mapping of (stage, category) to float
        Of the policy; those of stage ``input`` are marked.
    """
    found = [
        {
            "task": curve.task,
            "texts": curve.texts,
            "title": texts_title(curve),
            "category": curve.category,
            "harmful": curve.harmful,
            "harmless": curve.harmless,
            "threshold": thresholds.get(("input", curve.category)),
        }
        for curve in curves
    ]
    return pack(found)


def texts_title(curve: Curve) -> str:
    """Return what the texts of a curve are called: their task, and what was done to them where that differs."""
    return task_title(curve.task) if curve.texts == "all" else f"{task_title(curve.task)}: {curve.texts}"


def pack_samples(records: Sequence[tuple[str, Record]], *, values: Iterable[SampleValue] = ()) -> str:
    """Pack samples for the page's browser.

    Parameters
    ----------
    records : sequence of (str, Record)
        Each with the name of its model.
    values : iterable of SampleValue
        What the scorers said; values of samples that are not among `records` are passed over.

    Returns
    -------
    str
        See :func:`pack`. Texts are cut where all of them together would be too much for a page; the number of
        characters left out of each is kept. Offsets of spans count UTF-16 units, as a browser does.
    """
    packer = _Packer(_limit(records))
    scores = _by_sample(values, packer)
    rows = [packer.row(model, record, scores) for model, record in records]
    return pack({"tables": packer.tables(), "rows": rows})


def _limit(records: Sequence[tuple[str, Record]]) -> int:
    """Return how many characters of a text are kept."""
    lengths = [len(text) for _, record in records for text in _texts(record)]
    fitting = (limit for limit in _LIMITS if sum(min(length, limit) for length in lengths) <= _MOST_CHARACTERS)
    return next(fitting, _LIMITS[-1])


def _texts(record: Record) -> list[str]:
    made = {one.text for one in record.arms.values()} - {None, record.output}
    return [
        record.sample.prompt,
        record.output or "",
        *record.sample.options,
        *(text for text in made if text is not None),
    ]


_Scores = dict[tuple[str, str, str], list[tuple[int, float | None, int]]]


def _by_sample(values: Iterable[SampleValue], packer: _Packer) -> _Scores:
    """Collect (metric, value, whether it fails) for each (model, sample, arm)."""
    found: _Scores = {}
    for one in values:
        shown = _rounded(one.value)
        # By the value itself: one that rounds up to its limit does not fail.
        fails = shown is not None and direction_of(f"{one.task}/{one.metric}").fails(float(one.value or 0.0))
        key = (one.model, one.sample_id, one.arm)
        found.setdefault(key, []).append((packer.metrics.index(one.metric), shown, int(fails)))
    return found


def _rounded(value: float | None) -> float | None:
    """Return a number that JSON can hold, in as many digits as the page shows; None where there is none."""
    return None if value is None or not math.isfinite(value) else round(float(value), _DIGITS)


@dataclass
class _Table:
    """Values in order of first appearance, each stored once."""

    found: dict[Any, int] = field(default_factory=dict)

    def index(self, value: Any) -> int:
        return self.found.setdefault(value, len(self.found))


@dataclass
class _Packer:
    """Records to rows of numbers that point into tables.

    A row is ``[model, task, group, prompt id, sample id, prompt, output, harmful or null, arms, options, target]``, an
    arm is ``[arm, action, released, prompt verdict, output verdict, [metric, value, fails, ...]]``, a verdict
    ``[action, [category, score, ...], [triggered, ...], [span, ...], error]``, a span ``start, end, category, score,
    value or null, method``, a text ``[shown, characters left out]``, and options are ``[text, log-likelihood, ...]``.
    """

    limit: int
    models: _Table = field(default_factory=_Table)
    tasks: _Table = field(default_factory=_Table)
    groups: _Table = field(default_factory=_Table)
    arms: _Table = field(default_factory=_Table)
    categories: _Table = field(default_factory=_Table)
    metrics: _Table = field(default_factory=_Table)
    methods: _Table = field(default_factory=_Table)
    texts: _Table = field(default_factory=_Table)
    verdicts: _Table = field(default_factory=_Table)

    def tables(self) -> dict[str, list[Any]]:
        names = ("models", "tasks", "groups", "arms", "categories", "metrics", "methods", "texts", "verdicts")
        return {name: list(getattr(self, name).found) for name in names}

    def row(self, model: str, record: Record, scores: _Scores) -> list[Any]:
        sample = record.sample
        arms = [
            [*self._arm(arm, made, record), _flat(scores.get((model, sample.id, arm), ()))]
            for arm, made in record.arms.items()
        ]
        return [
            self.models.index(model),
            self.tasks.index(sample.task),
            self.groups.index(sample.group),
            sample.prompt_id,
            sample.id,
            self._text(sample.prompt),
            self._text(record.output),
            int(sample.harmful) if sample.task in LABELLED_TASKS else None,
            arms,
            _flat(self._options(record)),
            self._text(sample.target or None),
        ]

    def _arm(self, arm: str, made: Generation, record: Record) -> list[Any]:
        output = None if made.output_verdict is None else self._verdict(made.output_verdict, record.output or "")
        prompt = self._verdict(made.prompt_verdict, record.sample.prompt)
        return [self.arms.index(arm), int(made.action), self._text(made.text), prompt, output]

    def _options(self, record: Record) -> Iterator[tuple[int | None, float | None]]:
        for option, likelihood in itertools.zip_longest(record.sample.options, record.likelihoods):
            yield self._text(option), _rounded(likelihood)

    def _text(self, text: str | None) -> int | None:
        if text is None:
            return None
        return self.texts.index((text[: self.limit], max(len(text) - self.limit, 0)))

    def _verdict(self, verdict: Verdict, text: str) -> int:
        shown = text[: self.limit]
        units = _utf16_offset(shown)
        spans = [self._span(span, units) for span in verdict.spans if span.start < len(shown) and span.end > 0]
        return self.verdicts.index(
            (
                int(verdict.action),
                _flat((self.categories.index(c), _rounded(s)) for c, s in verdict.scores.items()),
                tuple(self.categories.index(category) for category in verdict.triggered),
                _flat(spans),
                verdict.error,
            )
        )

    def _span(self, span: Span, units: Callable[[int], int]) -> tuple[int, int, int, float, float | None, int]:
        category, method = self.categories.index(span.category), self.methods.index(span.method)
        place = units(span.start), units(span.end)
        return *place, category, _rounded(span.score) or 0.0, _rounded(span.value), method


def _flat(rows: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(item for row in rows for item in row)


def _utf16_offset(text: str) -> Callable[[int], int]:
    """Return the map from an offset in characters, drawn into the text, to one in UTF-16 units."""
    if text.isascii() or max(text) <= "\uffff":
        return lambda offset: min(max(offset, 0), len(text))
    at = [0]
    for character in text:
        at.append(at[-1] + (2 if character > "\uffff" else 1))
    return lambda offset: at[min(max(offset, 0), len(text))]
