"""The report as GitHub-flavoured Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evals.report.flat import lines
from evals.report.names import shown_provenance
from evals.report.rows import Row, TaskTable, task_tables
from evals.report.visible import on_one_line
from evals.report.wording import (
    OUTCOMES,
    bound_sign,
    cost,
    difference,
    interval,
    latency,
    number,
    unrepeated,
)
from evals.schema import Check, Metric, Outcome, Report

__all__ = ["code", "prose", "to_markdown"]

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&vert;"})
_STRUCTURAL = re.compile(r"([\\`*_\[\]~$])")
_LINE_START = re.compile(r"^([-+=#]|\d+(?=[.)]|$))")

# A comment between the characters keeps a forge from turning them into a mention, an issue, a link or an emoji.
_SELF_LINKING = re.compile(r"(@|#(?=\d)|:(?=//)|:(?=[\w+-]+:)|\bwww\.|\bGH-)", re.IGNORECASE)


def prose(text: str) -> str:
    """Return `text` as one line of Markdown that reads as itself: no markup, link, image, HTML, cell or mention."""
    escaped = _STRUCTURAL.sub(r"\\\1", on_one_line(text).translate(_ENTITIES))
    escaped = _SELF_LINKING.sub(lambda found: f"{found[1]}<!-- -->", escaped)
    return _LINE_START.sub(lambda found: _escaped_start(found[1]), escaped)


def _escaped_start(start: str) -> str:
    return f"&#{ord(start[0])};{start[1:]}" if start[0].isdigit() else f"\\{start}"


def code(text: str) -> str:
    """Return `text` as a code span, or as a ``<code>`` element of entities where a span could be broken out of."""
    shown = on_one_line(text)
    if shown and not re.search(r"[`|]", shown):
        return f"`{shown}`"
    return "<code>" + "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in shown) + "</code>"


def to_markdown(report: Report) -> str:
    """Return the report as Markdown: verdict, checks, metrics, notes, provenance, times.

    Samples are left out, so that nobody meets offensive text in a pull request; the HTML report shows them.
    Text that came from a user or a model is escaped.
    """
    parts = [*_verdict(report), *_checks(report), *_metrics(report), *_unscored(report), *_notes(report)]
    parts += ["## Provenance", "", *_details("Models, data, code and packages", _flat(shown_provenance(report))), ""]
    parts += ["## Times", "", *_details("How the run went", _flat(report.times))]
    return "\n".join(parts) + "\n"


def _verdict(report: Report) -> Iterator[str]:
    outcome = OUTCOMES[report.outcome]
    yield f"# Assay: {outcome.word.lower()}"
    yield ""
    yield f"**{outcome.sign} {outcome.word}:** {prose(unrepeated(report.sentence, report.outcome))}"
    yield ""
    models = ", ".join(code(model.name) for model in report.models) or "no model"
    meaning = f" {outcome.meaning}" if report.checks else ""
    yield f"Suite {code(report.suite)}, seed {report.seed}, {models}.{meaning}"
    yield ""


def _checks(report: Report) -> Iterator[str]:
    yield "## Gate"
    yield ""
    if not report.checks:
        yield "No limit was set, so nothing was checked."
    else:
        head = ["Outcome", "Model", "Metric", "Arm", "Limit", "Value [95% interval]"]
        yield from _table(head, [_check_cells(check) for check in report.checks])
    open_checks = [check for check in report.checks if check.outcome is not Outcome.PASS]
    if open_checks:
        yield ""
        yield from (f"- {code(check.model)}: {prose(check.reason)}" for check in open_checks)
    yield ""


def _check_cells(check: Check) -> list[str]:
    outcome = OUTCOMES[check.outcome]
    value = "not measured" if check.value is None else f"{number(check.value)} {interval(check.interval)}"
    group = check.context.get("group", "all")
    return [
        f"{outcome.sign} {outcome.word}",
        code(check.model),
        code(check.metric) if group == "all" else f"{code(check.metric)} {code(group)}",
        check.arm,
        f"{bound_sign(check.bound)} {number(check.limit)}",
        value,
    ]


def _metrics(report: Report) -> Iterator[str]:
    yield "## Metrics"
    yield ""
    yield "Each figure is followed by its 95% interval, clustered by prompt. n counts prompts."
    yield ""
    for table in task_tables(report):
        yield from _task(table)


def _task(table: TaskTable) -> Iterator[str]:
    arms = [arm.capitalize() for arm in table.arms]
    head = ["Model", *arms, *(["Difference"] if table.compared else []), "n", "Unscored"]
    yield f"### {prose(table.title)}: {' and '.join(table.arms)}"
    yield ""
    if table.metrics:
        yield from _table(["Metric", *head], [_cells(table, row) for rows in table.metrics for row in rows])
        yield ""
    if table.slices:
        sliced = [[_metric(row), code(row.group), *_cells(table, row)[1:]] for rows in table.slices for row in rows]
        yield from _details("By group", _table(["Metric", "Group", *head], sliced))
        yield ""


def _cells(table: TaskTable, row: Row) -> list[str]:
    counts = [" / ".join(f"{n:,}" for n in ns) for ns in (row.n_prompts, row.n_unscored)]
    by_arm = dict(zip(table.pair, (row.before, row.after), strict=True))
    figures = [_value(by_arm[arm]) for arm in table.arms]
    return [_metric(row), code(row.model), *figures, *([_difference(row)] if table.compared else []), *counts]


def _metric(row: Row) -> str:
    return f"{prose(row.wording.title)} {row.wording.arrow}".rstrip()


def _value(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    if metric.value is None:
        return "not scored"
    return f"{number(metric.value)} {interval(metric.interval)}"


def _difference(row: Row) -> str:
    found = row.comparison
    if found is None or found.value is None:
        return "–"
    word = {"better": " better", "worse": " **worse**", "moved": " moved"}.get(row.change, "")
    return f"{difference(found.value)} {interval(found.interval, signed=True)}{word}"


def _unscored(report: Report) -> Iterator[str]:
    lost = [m for model in report.models for m in model.metrics if m.n_unscored and m.group == "all"]
    if lost:
        worst = max(lost, key=lambda metric: metric.n_unscored / (metric.n_samples + metric.n_unscored))
        yield (
            f"What could not be scored is counted and left out of the means: at worst {worst.n_unscored:,} of "
            f"{worst.n_samples + worst.n_unscored:,} samples ({code(f'{worst.task}/{worst.name}')}, {worst.arm})."
        )
        yield ""
    if told := latency(report):
        yield f"Time: {prose(told)}"
        yield ""
    if told := cost(report):
        yield f"Cost: {prose(told)}"
        yield ""
    yield "↓ lower is better, ↑ higher is better. Better and worse are said only where the interval excludes zero."
    yield ""


def _notes(report: Report) -> Iterator[str]:
    if report.notes:
        yield "## Notes"
        yield ""
        yield from (f"- {prose(note)}" for note in report.notes)
        yield ""


def _flat(values: Mapping[str, object]) -> list[str]:
    rows = [[code(key), code(value)] for key, value in lines(values)]
    return list(_table(["Key", "Value"], rows))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _details(summary: str, body: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield from body
    yield ""
    yield "</details>"
