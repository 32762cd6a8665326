"""The report as a section of a Hugging Face model card: ``model-index`` metadata, and a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from evals.report.markdown import code, prose
from evals.report.rows import Row, rows_of
from evals.report.visible import on_one_line
from evals.report.wording import OUTCOMES, interval, number, task_title, wording_of
from evals.schema import Metric, ModelResult, Report
from evals.taxonomy import taxonomy

__all__ = ["to_model_card"]

_TASK_TYPE = "text-generation"


def to_model_card(report: Report) -> str:
    """Return the report as a model card section.

    The metadata holds every metric over all of its data, in each arm, with its interval and counts as arguments of the
    metric: a number without them cannot be compared. The arms ``unguarded`` and ``clean`` are of the model alone;
    ``guarded`` and ``perturbed`` are of the model behind the guard or of the guard, and their names say so. A metric
    without a value is left out.

    Returns
    -------
    str
        YAML between ``---`` lines, then Markdown. To be copied into the card's own ``README.md``: the keys of the
        metadata into its metadata, the rest where it suits.
    """
    index = {"model-index": [_entry(report, model) for model in report.models]}
    metadata = yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=1_000)
    return f"---\n{metadata}---\n" + "\n".join(_section(report)) + "\n"


def _entry(report: Report, model: ModelResult) -> dict[str, Any]:
    overall = [metric for metric in model.metrics if metric.group == "all" and metric.value is not None]
    tasks = dict.fromkeys(metric.task for metric in overall)
    results = [_result(report, task, [metric for metric in overall if metric.task == task]) for task in tasks]
    return {"name": on_one_line(model.name), "results": results}


def _result(report: Report, task: str, metrics: list[Metric]) -> dict[str, Any]:
    title = task_title(task)
    return {
        "task": {"type": _TASK_TYPE, "name": f"Text generation: {title}"},
        "dataset": _dataset(report, task, title),
        "metrics": [_metric(metric) for metric in metrics],
    }


def _dataset(report: Report, task: str, title: str) -> dict[str, Any]:
    suite = on_one_line(report.suite)
    named = {"type": f"assay-{on_one_line(task)}", "name": f"{title} (Assay suite {suite}, seed {report.seed})"}
    digests = report.provenance.get("data")
    digest = digests.get(task) if isinstance(digests, dict) else None
    return {**named, "config": suite, **({"revision": digest} if isinstance(digest, str) else {})}


def _metric(metric: Metric) -> dict[str, Any]:
    title = wording_of(metric.task, metric.name).title
    counts = {"n_prompts": metric.n_prompts, "n_samples": metric.n_samples, "n_unscored": metric.n_unscored}
    held: dict[str, Any] = {"arm": metric.arm, **counts}
    if metric.interval is not None:
        held = {"arm": metric.arm, "interval": list(metric.interval), "confidence": 0.95, **counts}
    return {
        "type": on_one_line(metric.name),
        "name": f"{title} ({metric.arm})",
        "value": metric.value,
        "args": held,
    }


def _section(report: Report) -> Iterator[str]:
    outcome = OUTCOMES[report.outcome]
    yield ""
    yield "## Safety evaluation"
    yield ""
    yield (
        f"Audited with Assay, suite {code(report.suite)}, seed {report.seed}. {outcome.sign} {outcome.word}: "
        f"{prose(report.sentence)}"
    )
    for model in report.models:
        yield ""
        yield f"### {prose(model.name)}"
        yield ""
        yield from _table(model)
    yield ""
    yield "Intervals are 95%, clustered by prompt. Without guard and clean are figures of the model or guard as it is."
    yield from _notes(report)


def _table(model: ModelResult) -> Iterator[str]:
    yield "| Metric | Without guard, or clean | With guard, or perturbed | n | Evidence for |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows_of(model):
        if row.group == "all":
            yield f"| {' | '.join(_cells(row))} |"


def _cells(row: Row) -> list[str]:
    title = f"{prose(task_title(row.task))}: {prose(row.wording.title)} {row.wording.arrow}".rstrip()
    counts = " / ".join(f"{n:,}" for n in row.n_prompts)
    evidence = ", ".join(map(prose, taxonomy().labels_of(f"{row.task}/{row.name}"))) or "–"
    return [title, _value(row.before), _value(row.after), counts, evidence]


def _value(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    return "not scored" if metric.value is None else f"{number(metric.value)} {interval(metric.interval)}"


def _notes(report: Report) -> Iterator[str]:
    if report.notes:
        yield ""
        yield "What a reader must know:"
        yield ""
        yield from (f"- {prose(note)}" for note in report.notes)
