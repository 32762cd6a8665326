"""An imported log as a report: every metric with its interval, its worst samples, and the gate's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from evals.figures import histogram
from evals.gate import Gate
from evals.imports.imported import ImportedLog, ImportedMetric, Key, Texts
from evals.intervals import bounded_mean_interval
from evals.provenance import code_digest
from evals.report.names import FOREIGN
from evals.schema import Check, Example, Histogram, Metric, ModelResult, Outcome, Report
from evals.stats import clustered_mean
from evals.values import Value
from guard.schema import Action, Verdict

__all__ = ["to_report"]

_MOST_EXAMPLES, _MOST_A_METRIC = 100, 10
_MOST_COUNTED = 10_000_000
_WHOLE = 1e-6


def to_report(log: ImportedLog, *, gate: Gate | None = None) -> Report:
    """Return the report of a log.

    Parameters
    ----------
    log : ImportedLog
    gate : Gate, optional
        Its limits are on the arm ``unguarded``. Without one nothing is decided, and the outcome is INCONCLUSIVE.

    Raises
    ------
    ConfigError
        The gate limits something that the log has not.
    """
    examples = tuple(_examples(log))
    model = ModelResult(
        name=log.model,
        digest=log.digest,
        metrics=tuple(_metric(metric) for metric in log.metrics),
        comparisons=(),
        histograms=tuple(_histograms(log.metrics)),
        examples=examples,
    )
    outcome, sentence, checks = _undecided() if gate is None else gate.decide([model])
    return Report(
        suite=f"imported from {log.tool}",
        seed=log.seed,
        outcome=outcome,
        sentence=sentence,
        checks=checks,
        models=(model,),
        notes=(*log.notes, *_notes(log.metrics)),
        provenance=_provenance(log, gate),
        times={"started": log.date} if log.date else {},
    )


def _undecided() -> tuple[Outcome, str, tuple[Check, ...]]:
    return Outcome.INCONCLUSIVE, "No gate was given, so nothing was decided.", ()


def _provenance(log: ImportedLog, gate: Gate | None) -> dict[str, object]:
    return {
        "tool": log.name,
        "models": {log.model: log.digest},
        "tasks": list(log.tasks),
        "files": dict(log.files),
        "date": log.date or "unknown",
        "settings": dict(log.settings),
        FOREIGN: {f"{metric.task}/{metric.name}": _named(metric) for metric in log.metrics},
        "gate": gate.digest if gate is not None else "none",
        "code": code_digest(),
    }


def _named(metric: ImportedMetric) -> dict[str, object]:
    """Say what the tool calls a metric, and what a reader must know to see which way is good."""
    return {
        "task": metric.source,
        "name": metric.label or metric.name,
        "better": metric.better,
        "share": metric.bounds == (0.0, 1.0),
    }


def _metric(metric: ImportedMetric) -> Metric:
    """Estimate a metric from its values, clustered by prompt, or else from what the tool says of it."""
    if not metric.values:
        interval = metric.interval or _exact(metric)
        n = metric.n_stated or 0
        return Metric(metric.name, metric.task, "unguarded", metric.stated, interval, n, n, metric.n_missing)
    observed: dict[str, list[float | None]] = {}
    for value in metric.values:
        observed.setdefault(value.prompt_id, []).append(value.value)
    found = clustered_mean(observed, bounds=metric.bounds)
    counts = (found.n_prompts, found.n_samples, found.n_unscored + metric.n_missing)
    return Metric(metric.name, metric.task, "unguarded", found.value, found.interval, *counts)


def _exact(metric: ImportedMetric) -> tuple[float, float] | None:
    """Return the interval of Clopper and Pearson where the tool's figure is so many hits of so many samples."""
    n, value = metric.n_stated, metric.stated
    if n is None or value is None or metric.bounds != (0.0, 1.0) or not 0 < n <= _MOST_COUNTED:
        return None
    hits = round(value * n)
    if not 0 <= hits <= n or abs(value * n - hits) > _WHOLE * n:
        return None
    low, high = bounded_mean_interval(np.repeat([1.0, 0.0], [hits, n - hits]))
    return min(float(low), value), max(float(high), value)


def _notes(metrics: Iterable[ImportedMetric]) -> Iterator[str]:
    without = [metric for metric in metrics if not metric.values and metric.interval is None]
    exact = [f"{m.task}/{m.name}" for m in without if _exact(m) is not None]
    none = [f"{m.task}/{m.name}" for m in without if _exact(m) is None]
    if exact:
        yield f"Exact binomial, unclustered, from the tool's own count, as the log has no samples of it: {_few(exact)}."
    if none:
        yield f"Without an interval, since the log's samples do not give it, or are all alike: {_few(none)}."
    unbounded = [f"{m.task}/{m.name}" for m in metrics if m.values and m.bounds is None]
    if unbounded:
        yield f"Student's t, since the log does not say between which bounds the values lie: {_few(unbounded)}."


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _histograms(metrics: Iterable[ImportedMetric]) -> Iterator[Histogram]:
    for metric in metrics:
        values = [value.value for value in metric.values]
        if metric.bounds == (0.0, 1.0) and any(value not in (0, 1, None) for value in values):
            yield histogram(metric.task, metric.name, "unguarded", values)


def _examples(log: ImportedLog) -> Iterator[Example]:
    """Yield the worst samples of each metric, at most one a prompt."""
    share = max(1, min(_MOST_A_METRIC, _MOST_EXAMPLES // max(1, len(log.metrics))))
    chosen = [(metric, value, score) for metric in log.metrics for value, score in _worst(metric)[:share]]
    chosen = chosen[:_MOST_EXAMPLES]
    texts = log.texts({(metric.source, value.sample_id) for metric, value, _ in chosen})
    for metric, value, score in chosen:
        yield _example(metric, value, score, texts)


def _worst(metric: ImportedMetric) -> list[tuple[Value, float]]:
    """Return the worst value of each prompt with how bad it is, worst first; what cannot be better is not bad."""
    if not metric.worse:
        return []
    top = metric.bounds[1] if metric.bounds is not None else 0.0
    scored = [(v, v.value if metric.worse == "high" else top - v.value) for v in metric.values if v.value is not None]
    bad = [(value, score) for value, score in scored if metric.bounds is None or score > 0]
    first: dict[str, tuple[Value, float]] = {}
    for value, score in sorted(bad, key=lambda pair: (-pair[1], pair[0].sample_id)):
        first.setdefault(value.prompt_id, (value, score))
    return list(first.values())


def _example(metric: ImportedMetric, value: Value, score: float, texts: Mapping[Key, Texts]) -> Example:
    found = texts.get((metric.source, value.sample_id), Texts("", ""))
    top = "0" if metric.bounds is None else f"{metric.bounds[1]:g}"
    return Example(
        sample_id=value.sample_id,
        task=metric.task,
        group=value.group,
        prompt=found.prompt,
        output=found.output,
        released=found.output,
        score=score,
        scorer=metric.name if metric.worse == "high" else f"{metric.name}, as the distance to {top}",
        prompt_verdict=Verdict(Action.ALLOW, "input", {}),
        output_verdict=Verdict(Action.ALLOW, "output", {}),
    )
