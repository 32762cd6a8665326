"""The report as one HTML file that opens from disk: one script of ours, no request, no text that can act as markup."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup

from evals.curves import Curve, OperatingPoint, curves
from evals.report import plots
from evals.report.browser_data import SampleValue, Thresholds, pack_curves, pack_samples, texts_title
from evals.report.flat import lines
from evals.report.names import Names, names_of, shown_provenance
from evals.report.pages import digest, environment, sheet, template_text
from evals.report.rows import PAIRS, Change, Row, TaskTable, task_tables
from evals.report.visible import pieces
from evals.report.wording import (
    OUTCOMES,
    TASKS,
    bound_sign,
    cost,
    difference,
    interval,
    latency,
    number,
    task_title,
    unrepeated,
    wording_of,
)
from evals.schema import Check, Example, Histogram, ModelResult, Outcome, Record, Report
from evals.taxonomy import taxonomy

__all__ = ["to_html"]

_SHEETS = ("style.css",)
_SCRIPTS = ("page.js", "thresholds.js", "sample.js", "samples.js", "start.js")
_UNPERTURBED = ("all", "clean")
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
class _Slice:
    """One group's row, with the axis that it shares with the other groups of its metric."""

    row: Row
    axis: plots.Axis


@dataclass(frozen=True)
class _Card:
    """What the gate said about one model, and the check that decided it."""

    model: ModelResult
    outcome: Outcome | None
    checks: tuple[Check, ...]
    decided: Check | None
    why: str


@dataclass(frozen=True)
class _Evidence:
    """What one metric is evidence for: the names of items, framework by framework."""

    title: str
    items: tuple[tuple[str, ...], ...]
    why: str


@dataclass(frozen=True)
class _CurveRow:
    """One ROC curve, by its number among those that are packed into the page."""

    index: int
    curve: Curve
    title: str
    area: tuple[float, tuple[float, float]]
    at: OperatingPoint | None


@dataclass(frozen=True)
class _Section:
    """Everything that the page shows on one task."""

    table: TaskTable
    title: str
    meaning: str
    scales: tuple[_Scale, ...]
    slices: tuple[_Slice, ...]
    spreads: tuple[_Spread, ...]


@dataclass(frozen=True)
class _Effects:
    """What one pair of arms shows: for each kind of change its word and, by task and metric, its rows."""

    title: str
    columns: tuple[tuple[Change, str, list[tuple[str, list[list[Row]]]]], ...]


def to_html(
    report: Report,
    *,
    records: Sequence[tuple[str, Record]] = (),
    values: Iterable[SampleValue] = (),
    thresholds: Thresholds | None = None,
) -> str:
    """Return the report as one self-contained HTML page.

    Every text passes through :func:`evals.report.visible.visible` and is then escaped, or is packed and set as text by
    the page's script; the page's own policy forbids requests, and every script and style but its own.

    Parameters
    ----------
    report : Report
    records : sequence of (str, Record)
        Each with the name of its model: what the reader can search, and the scores of the threshold slider. Without
        them the page shows the examples of `report` only.
    values : iterable of SampleValue
        What the scorers said about each sample.
    thresholds : mapping of (stage, category) to float, optional
        Of the policy under audit, to be marked; by default what the report's provenance says under ``thresholds``, a
        mapping of stage to category to number.
    """
    marks, names = _provenance_thresholds(report) if thresholds is None else thresholds, names_of(report)
    found = _ordered(curves(record for _, record in records), marks)
    (style, style_hash), script = sheet(_SHEETS), _script()
    template = _environment().get_template("report.html")
    return (
        template.render(
            report=report,
            sentence=unrepeated(report.sentence, report.outcome),
            style=style,
            style_hash=style_hash,
            script=Markup(script),  # noqa: S704 - our own files
            script_hash=digest(script),
            cards=_cards(report),
            sections=_sections(report),
            effects=_effects(task_tables(report)),
            names=names,
            samples=[(model, _by_task(model.examples, names)) for model in report.models if model.examples],
            samples_data=pack_samples(records, values=values) if records else "",
            curves=_curve_rows(found, marks) if found else None,
            curves_data=pack_curves(found, thresholds=marks) if found else "",
            frameworks=list(taxonomy().frameworks.values()),
            evidence=list(_evidence(report)),
            latency=latency(report),
            cost=cost(report),
            lost=list(_lost(report)),
            arms={metric.arm for model in report.models for metric in model.metrics},
            provenance=list(lines(shown_provenance(report))),
            times=list(lines(report.times)),
        )
        + "\n"
    )


def _provenance_thresholds(report: Report) -> Thresholds:
    """Return what the provenance says of the policy's thresholds; it may be of any shape."""
    named = report.provenance.get("thresholds")
    stages = named.items() if isinstance(named, Mapping) else ()
    return {
        (str(stage), str(category)): float(threshold)
        for stage, categories in stages
        if isinstance(categories, Mapping)
        for category, threshold in categories.items()
        if isinstance(threshold, (int, float))
    }


def _script() -> str:
    """Return the page's script: its parts in one scope of their own."""
    parts = "\n".join(map(template_text, _SCRIPTS))
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


@functools.cache
def _environment() -> Environment:
    made = environment()
    made.filters.update(number=number, interval=interval, difference=difference, bound_sign=bound_sign, zip=zip)
    made.globals.update(
        outcomes=OUTCOMES,
        plots=plots,
        pieces=pieces,
        limit=_SHOWN_CHARACTERS,
        samples_of=_samples_of,
    )
    return made


def _samples_of(task: str, group: str) -> str:
    """Return the fragment that shows the samples of a slice in the page's browser."""
    return "#samples?" + urlencode({"task": task, "group": group}, errors="replace")


def _cards(report: Report) -> list[_Card]:
    return [_card(model, [check for check in report.checks if check.model == model.name]) for model in report.models]


def _card(model: ModelResult, checks: Sequence[Check]) -> _Card:
    """Say which check decided: the first that fails, else the first that lacks evidence, else the closest."""
    if not checks:
        return _Card(model, None, (), None, "")
    for outcome, why in ((Outcome.FAIL, "Failed by:"), (Outcome.INCONCLUSIVE, "Held up by:")):
        found = [check for check in checks if check.outcome == outcome]
        if found:
            return _Card(model, outcome, tuple(checks), found[0], why)
    return _Card(model, Outcome.PASS, tuple(checks), min(checks, key=_room), "Closest to its limit:")


def _room(check: Check) -> float:
    """Return how far the bad end of a check's interval keeps from its limit."""
    ends = check.interval or ((check.value, check.value) if check.value is not None else (check.limit, check.limit))
    return abs(check.limit - (ends[1] if check.bound == "max" else ends[0]))


def _ordered(found: Sequence[Curve], marks: Thresholds) -> list[Curve]:
    """Put the categories of each kind of texts in order: those that the policy acts on, then by what they can tell."""
    places = {key: i for i, key in enumerate(dict.fromkeys((curve.task, curve.texts) for curve in found))}
    return sorted(
        found,
        key=lambda curve: (
            places[curve.task, curve.texts],
            ("input", curve.category) not in marks,
            -curve.area[0],
        ),
    )


def _curve_rows(found: Sequence[Curve], marks: Thresholds) -> tuple[list[_CurveRow], list[_CurveRow]]:
    """Return the curves on texts as they are, and those on perturbed ones."""
    rows = [_curve_row(i, curve, marks.get(("input", curve.category))) for i, curve in enumerate(found)]
    plain = [row for row in rows if row.curve.texts in _UNPERTURBED]
    return plain, [row for row in rows if row.curve.texts not in _UNPERTURBED]


def _curve_row(index: int, curve: Curve, threshold: float | None) -> _CurveRow:
    at = None if threshold is None else curve.at(threshold)
    return _CurveRow(index, curve, texts_title(curve), curve.area, at)


def _sections(report: Report) -> list[_Section]:
    return [
        _Section(
            table=table,
            title=table.title,
            meaning=TASKS[table.task][1] if table.task in TASKS else "",
            scales=tuple(_scales(table.metrics)),
            slices=tuple(_slices(table.slices)),
            spreads=tuple(_spreads(report.models, table)),
        )
        for table in task_tables(report)
    ]


def _scales(metrics: Sequence[tuple[Row, ...]]) -> Iterator[_Scale]:
    """Yield the shares on one axis, and every other metric on its own."""
    shares = tuple(rows for rows in metrics if rows[0].wording.share)
    if any(one.interval for rows in shares for row in rows for one in row.arms):
        yield _Scale(plots.axis_for(list(_ends(shares)), share=True), shares)
    for rows in metrics:
        if not rows[0].wording.share and any(one.interval for row in rows for one in row.arms):
            yield _Scale(plots.axis_for(list(_ends([rows])), share=False), (rows,))


def _slices(slices: Sequence[tuple[Row, ...]]) -> Iterator[_Slice]:
    """Yield the rows of every group, each metric on one axis."""
    axes: dict[str, plots.Axis] = {}
    for name in dict.fromkeys(rows[0].name for rows in slices):
        same = [rows for rows in slices if rows[0].name == name]
        axes[name] = plots.axis_for(list(_ends(same)), share=same[0][0].wording.share)
    yield from (_Slice(row, axes[row.name]) for rows in slices for row in rows)


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
    titles = {PAIRS[0]: "With the guard", PAIRS[1]: "Perturbed against clean"}
    found = []
    for pair in PAIRS:
        of_pair = [table for table in tables if table.pair == pair]
        columns = tuple((kind, word, _that_are(kind, of_pair)) for kind, word in _CHANGES.items())
        if any(rows for *_, rows in columns):
            found.append(_Effects(titles[pair], columns))
    return found


def _that_are(kind: Change, tables: Sequence[TaskTable]) -> list[tuple[str, list[list[Row]]]]:
    """Return the rows of one kind of change, those of a task under its title."""
    kept = [(table.title, [[row for row in rows if row.change == kind] for rows in table.metrics]) for table in tables]
    whole = [(title, [rows for rows in metrics if rows]) for title, metrics in kept]
    return [(title, metrics) for title, metrics in whole if metrics]


def _evidence(report: Report) -> Iterator[_Evidence]:
    """Yield the metrics of the report that stand for something in a framework."""
    table = taxonomy()
    named = dict.fromkeys((metric.task, metric.name) for model in report.models for metric in model.metrics)
    for task, name in named:
        tags = table.tags_of(f"{task}/{name}")
        if tags.items:
            items = tuple(tuple(f"{item.id} {item.name}" for item in tags.of(key)) for key in table.frameworks)
            yield _Evidence(f"{task_title(task)}: {wording_of(task, name).title}", items, tags.why)


def _by_task(examples: Sequence[Example], names: Names) -> list[tuple[str, list[Example]]]:
    return [
        (names.task(task), [example for example in examples if example.task == task])
        for task in dict.fromkeys(example.task for example in examples)
    ]


def _lost(report: Report) -> Iterator[tuple[str, Row]]:
    """Yield every row of a whole task in which something could not be scored."""
    for table in task_tables(report):
        for row in (row for rows in table.metrics for row in rows):
            if any(row.n_unscored):
                yield table.title, row
