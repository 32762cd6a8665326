"""An audit that stops early: which limits can be watched, what each block of samples tells them, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.gate import Gate, Limit
from evals.runner import Watch
from evals.schema import Check, Metric, ModelResult, Outcome, Record
from evals.sequential import SequentialGate, random_order
from evals.tasks.task import PlannedTask
from evals.watched import PromptValue, SequentialLimit, from_values

__all__ = ["EarlyGate"]

_Key = tuple[str, Limit]
"""A model's name, and a limit that it must keep."""


class EarlyGate:
    """Watches the limits of a gate while the samples of an audit come in.

    Parameters
    ----------
    gate : Gate
    tasks : sequence of PlannedTask
    models : sequence of str
        Names of all models of the run, since they share one verdict.
    seed : int

    Notes
    -----
    A metric whose values are not in [0, 1], such as perplexity, cannot be watched; its task runs to its end, and so
    does a task without any limit.
    """

    def __init__(self, gate: Gate, tasks: Sequence[PlannedTask], models: Sequence[str], *, seed: int) -> None:
        self._limits: dict[str, list[Limit]] = {
            planned.task.name: [limit for limit in gate.limits if limit.metric.startswith(f"{planned.task.name}/")]
            for planned in tasks
        }
        watched = {
            (model, limit): SequentialLimit(limit.bound, limit.limit, order, max_unscored=limit.max_unscored)
            for planned in tasks
            for order in [random_order((sample.prompt_id for sample in planned.task.samples(seed)), seed=seed)]
            for limit in self._limits[planned.task.name]
            if self._watchable(planned.task.name)
            for model in models
        }
        self._gate: SequentialGate[_Key] | None = SequentialGate(watched) if watched else None
        self._watched = frozenset(watched)

    def _watchable(self, task: str) -> bool:
        """Whether every limit of a task can be watched, so that the task may end before its last sample."""
        return bool(self._limits[task]) and all(limit.is_share for limit in self._limits[task])

    def watch(self, model: str, planned: PlannedTask) -> Watch | None:
        """Return what is shown each block of a task's records, or None where the task runs to its end."""
        if self._gate is None or not self._watchable(planned.task.name):
            return None
        limits = self._limits[planned.task.name]

        def decided(records: Sequence[Record]) -> bool:
            assert self._gate is not None
            self._gate.observe_prompts(
                {(model, limit): values for limit, values in _values(planned, limits, records).items()}
            )
            return self._gate.settled([(model, limit) for limit in limits])

        return decided

    def results(self, results: Sequence[ModelResult]) -> list[ModelResult]:
        """Return the results with the intervals of what was watched: those that hold however often one looked."""
        return [
            replace(result, metrics=tuple(self._metric(result.name, metric) for metric in result.metrics))
            for result in results
        ]

    def _metric(self, model: str, metric: Metric) -> Metric:
        name = f"{metric.task}/{metric.name}"
        for key in self._watched:
            limit = key[1]
            if key[0] == model and (limit.metric, limit.arm, limit.group) == (name, metric.arm, metric.group):
                assert self._gate is not None
                low, high = self._gate.standing(key).interval
                around = metric.value if metric.value is not None else low
                return replace(metric, interval=(min(low, around), max(high, around)))
        return metric

    def checks(self, checks: Sequence[Check], limits: Sequence[Limit]) -> tuple[Check, ...]:
        """Return the checks of :meth:`evals.gate.Gate.checks` with the verdicts of what was watched.

        Parameters
        ----------
        checks : sequence of Check
            By model, then in the order of `limits`.
        limits : sequence of Limit
        """
        owners = [limits[place % len(limits)] for place in range(len(checks))]
        return tuple(self._check(check, limit) for check, limit in zip(checks, owners, strict=True))

    def _check(self, check: Check, limit: Limit) -> Check:
        key = (check.model, limit)
        if key not in self._watched:
            return check
        assert self._gate is not None
        standing = self._gate.standing(key)
        return replace(
            check,
            outcome=Outcome.INCONCLUSIVE if standing.outcome is None else standing.outcome,
            reason=f"{limit.title} {standing.reason}",
            value=standing.value,
            interval=standing.interval,
        )


def _values(
    planned: PlannedTask, limits: Sequence[Limit], records: Sequence[Record]
) -> dict[Limit, dict[str, PromptValue]]:
    """Return what the records tell each limit; a prompt that does not count for a limit is there without a value."""
    series = {(f"{one.task}/{one.metric}", one.arm): one for one in planned.task.figures(records).values}
    prompts = dict.fromkeys((record.sample.prompt_id for record in records), PromptValue(None, 0, 0))
    return {
        limit: {**prompts, **from_values(series[limit.metric, limit.arm].values, group=limit.group)} for limit in limits
    }
