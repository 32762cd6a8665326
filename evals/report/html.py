"""The report as one HTML file that opens from disk: no script, no request, and no text that can act as markup."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evals.report import plots
from evals.report.flat import lines
from evals.report.rows import PAIRS, Change, Row, TaskTable, task_tables
from evals.report.visible import pieces, visible
from evals.report.wording import (
    OUTCOMES,
    TASKS,
    bound_sign,
    difference,
    interval,
    latency,
    number,
    task_title,
    unrepeated,
    wording_of,
)
from evals.schema import Example, Histogram, ModelResult, Report

__all__ = ["to_html"]

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_CHARACTERS = 4000
_CHANGES: dict[Change, str] = {"better": "Better", "worse": "Worse", "moved": "Changed", "unclear": "No clear change"}


@dataclass(frozen=True)
class _Scale:
    """Rows of one task that share an axis."""

    axis: plots.Axis
    rows: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True)
class _Spread:
    """The histograms of one scorer on one model."""

    model: str
    scorer: str
    before: Histogram | None
    after: Histogram | None


@dataclass(frozen=True)
class _Section:
    """Everything that the page shows on one task."""

    table: TaskTable
    title: str
    meaning: str
    scales: tuple[_Scale, ...]
    spreads: tuple[_Spread, ...]


@dataclass(frozen=True)
class _Effects:
    """What one pair of arms shows: for each kind of change its word and, metric by metric, its rows."""

    title: str
    columns: tuple[tuple[Change, str, list[list[Row]]], ...]


def to_html(report: Report) -> str:
    """Return the report as one self-contained HTML page.

    Every text passes through :func:`evals.report.visible.visible` and is then escaped; the page's own policy
    forbids scripts, requests and every style but its own.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    template = _environment().get_template("report.html")
    return (
        template.render(
            report=report,
            sentence=unrepeated(report.sentence, report.outcome),
            # The sheet is our own file, and it is named by its hash in the page's policy.
            style=Markup(style),  # noqa: S704
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            sections=_sections(report),
            effects=_effects(task_tables(report)),
            samples=[(model, _by_task(model.examples)) for model in report.models if model.examples],
            latency=latency(report),
            lost=list(_lost(report)),
            provenance=list(lines(report.provenance)),
            times=list(lines(report.times)),
        )
        + "\n"
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, interval=interval, difference=difference, task_title=task_title, bound_sign=bound_sign
    )
    environment.globals.update(
        outcomes=OUTCOMES, wording_of=wording_of, plots=plots, pieces=pieces, limit=_SHOWN_CHARACTERS
    )
    return environment


def _shown(value: object) -> object:
    """Spell out what has no ink in every text on its way into the page; our own markup is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _sections(report: Report) -> list[_Section]:
    return [
        _Section(
            table=table,
            title=task_title(table.task),
            meaning=TASKS[table.task][1] if table.task in TASKS else "",
            scales=tuple(_scales(table.metrics)),
            spreads=tuple(_spreads(report.models, table)),
        )
        for table in task_tables(report)
    ]


def _scales(metrics: Sequence[tuple[Row, ...]]) -> Iterator[_Scale]:
    """Yield the shares on one axis, and every other metric on its own."""
    shares = tuple(rows for rows in metrics if rows[0].wording.share)
    if shares:
        yield _Scale(plots.axis_for(list(_ends(shares)), share=True), shares)
    for rows in metrics:
        if not rows[0].wording.share and list(_ends([rows])):
            yield _Scale(plots.axis_for(list(_ends([rows])), share=False), (rows,))


def _ends(metrics: Iterable[tuple[Row, ...]]) -> Iterator[float]:
    for metric in (metric for rows in metrics for row in rows for metric in row.arms):
        if metric.value is not None:
            yield from (metric.value, *(metric.interval or ()))


def _spreads(models: Sequence[ModelResult], table: TaskTable) -> Iterator[_Spread]:
    for model in models:
        found = {(h.scorer, h.arm): h for h in model.histograms if h.task == table.task}
        for scorer in dict.fromkeys(scorer for scorer, arm in found if arm in table.pair):
            before, after = (found.get((scorer, arm)) for arm in table.pair)
            yield _Spread(model.name, scorer, before, after)


def _effects(tables: Sequence[TaskTable]) -> list[_Effects]:
    """Sort what changed into better, worse and unclear, for each pair of arms that was compared."""
    titles = {PAIRS[0]: "With the guard", PAIRS[1]: "With the characters tampered with"}
    found = []
    for pair in PAIRS:
        metrics = [rows for table in tables if table.pair == pair for rows in table.metrics]
        columns = tuple((kind, word, _that_are(kind, metrics)) for kind, word in _CHANGES.items())
        if any(rows for *_, rows in columns):
            found.append(_Effects(titles[pair], columns))
    return found


def _that_are(kind: Change, metrics: Sequence[tuple[Row, ...]]) -> list[list[Row]]:
    kept = ([row for row in rows if row.change == kind] for rows in metrics)
    return [rows for rows in kept if rows]


def _by_task(examples: Sequence[Example]) -> list[tuple[str, list[Example]]]:
    return [
        (task, [example for example in examples if example.task == task])
        for task in dict.fromkeys(example.task for example in examples)
    ]


def _lost(report: Report) -> Iterator[tuple[str, Row]]:
    """Yield every row of a whole task in which something could not be scored."""
    for table in task_tables(report):
        for row in (row for rows in table.metrics for row in rows):
            if any(row.n_unscored):
                yield task_title(row.task), row
