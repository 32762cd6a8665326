"""From a suite to tasks that are ready to run, and what a reader must know about who judges whom."""

from __future__ import annotations

from collections.abc import Sequence

from evals.suite import Suite
from evals.tasks.table import TASKS
from evals.tasks.task import PlannedTask, Resources
from guard.schema import Filter

__all__ = ["independence_notes", "plan_tasks"]


def plan_tasks(suite: Suite, resources: Resources) -> list[PlannedTask]:
    """Return the tasks of a suite; nothing is loaded for a task that does not run.

    Parameters
    ----------
    suite : Suite
    resources : Resources
    """
    return [TASKS[name].plan(settings, resources) for name, settings in suite.tasks.items()]


def independence_notes(planned: Sequence[PlannedTask], filters: Sequence[Filter[str]]) -> list[str]:
    """Say in plain words which scorer is one of the filters that it judges, and which is not."""
    guards = {filter_.name for filter_ in filters}
    notes = []
    for one in planned:
        for scorer in one.scorers:
            if scorer in guards:
                notes.append(
                    f"Task {one.task.name}: the scorer {scorer} is also a filter of the guard, so the guarded figures"
                    " are too good: it judges its own decisions. Name another with --scorer."
                )
            elif "@" in scorer:
                notes.append(f"Task {one.task.name}: judged by {scorer}, which is not one of the guard's filters.")
        notes += one.notes
    return notes
