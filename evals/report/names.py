"""How the tasks and metrics of one report are called: ours by our wording, another tool's as that tool writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.report.wording import MetricWording, task_title, wording_of
from evals.schema import Report

__all__ = ["FOREIGN", "Names", "names_of", "shown_provenance"]

FOREIGN = "metrics"
"""Key of the provenance under which an import says what its tool calls each metric and what is known of it."""


@dataclass(frozen=True)
class Names:
    """What tasks and metrics are called.

    Parameters
    ----------
    foreign : mapping of str to MetricWording
        By ``task/name``, of metrics of another tool.
    tasks : mapping of str to str
        What that tool calls its tasks, by our name of them.
    """

    foreign: Mapping[str, MetricWording]
    tasks: Mapping[str, str]

    def wording(self, task: str, name: str) -> MetricWording:
        """Return how a metric is presented."""
        return self.foreign.get(f"{task}/{name}") or wording_of(task, name)

    def task(self, task: str) -> str:
        """Return the title of a task."""
        return self.tasks.get(task) or task_title(task)

    def metric(self, whole: str) -> str:
        """Return the title of a metric with its task before it, from ``task/name``."""
        task, slash, name = whole.partition("/")
        return f"{self.task(task)}: {self.wording(task, name).title}" if slash else whole


def names_of(report: Report) -> Names:
    """Return the names of a report; what its provenance says may be of any shape, and is then left out."""
    told = report.provenance.get(FOREIGN)
    listed = told.items() if isinstance(told, Mapping) else ()
    entries = {str(key): value for key, value in listed if isinstance(value, Mapping)}
    wordings = {key: _wording(key, value) for key, value in entries.items()}
    tasks = {key.partition("/")[0]: str(value["task"]) for key, value in entries.items() if value.get("task")}
    return Names(wordings, tasks)


def _wording(key: str, told: Mapping[str, object]) -> MetricWording:
    better = told.get("better")
    title = str(told.get("name") or key.partition("/")[2])
    meaning = f"In a gate: {key}"
    if better == "lower" or better == "higher":
        return MetricWording(title, better, meaning, share=told.get("share") is True)
    return MetricWording(title, "", meaning, share=told.get("share") is True)


def shown_provenance(report: Report) -> dict[str, object]:
    """Return the provenance without the names of metrics, which stand beside their figures."""
    return {key: value for key, value in report.provenance.items() if key != FOREIGN}
