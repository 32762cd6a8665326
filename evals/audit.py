"""An audit: every task of a suite on every model, unguarded and guarded, into one report."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from evals.baseline import Baseline, joined
from evals.corrected import JudgedMetric, corrected
from evals.datasets import prompts_digest
from evals.early import EarlyGate
from evals.engines import Engine, Engines, local_engine
from evals.figures import Figures, model_values
from evals.gate import Gate
from evals.journal import JOURNAL, Journal
from evals.latency import cost_sentence, latency
from evals.provenance import code_digest, machine, package_versions
from evals.runner import Progress, run_task
from evals.schema import Check, ModelResult, Outcome, Record, Report
from evals.suite import Suite
from evals.tasks.task import PlannedTask
from evals.values import FILE, ModelValues, write_values
from evals.verdict import verdict
from guard.generators.endpoint_costs import Price
from guard.policy import Policy
from guard.schema import Decoding, Filter, Generator

__all__ = ["AuditedModel", "Plan", "TextModel", "audit", "check_gate"]


class TextModel(Protocol):
    """A loaded model that can decode in several ways."""

    batch_size: int

    @property
    def name(self) -> str:
        """``<kind>@<digest>``."""

    def with_decoding(self, decoding: Decoding) -> Generator[str]:
        """Return a generator over the same weights."""


@dataclass(frozen=True)
class AuditedModel:
    """A model to audit, not yet in memory.

    Parameters
    ----------
    name : str
        As the user named it.
    digest : str
        Of its weights.
    load : callable
        Brings it into memory.
    price : Price or None
        What its tokens cost, where that is known.
    """

    name: str
    digest: str
    load: Callable[[], TextModel]
    price: Price | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that decides the figures of a run.

    Parameters
    ----------
    models : sequence of AuditedModel
    suite : Suite
    tasks : sequence of PlannedTask
        The tasks of the suite, with their prompts and scorers.
    policy : Policy
    gate : Gate
    inputs, outputs : sequence of Filter
    seed : int
    assets : mapping of str to str
        Digests of the assets in use, by name.
    settings : mapping of str to str
        Device kind, dtype and whatever else a figure can depend on.
    notes : sequence of str
        What a reader must know.
    early : bool
        Whether a task ends as soon as the gate's limits on it are decided.
    baseline : Baseline or None
        An earlier run, against which no metric may fall by more than is allowed.
    judged : mapping of str to JudgedMetric
        Metrics, by ``task/name``, whose judge has known error rates: they are given corrected too.
    code : str
        Digest of the code that runs, taken before it does.
    """

    models: Sequence[AuditedModel]
    suite: Suite
    tasks: Sequence[PlannedTask]
    policy: Policy
    gate: Gate
    inputs: Sequence[Filter[str]]
    outputs: Sequence[Filter[str]]
    seed: int
    assets: Mapping[str, str]
    settings: Mapping[str, str]
    notes: Sequence[str]
    early: bool = False
    baseline: Baseline | None = None
    judged: Mapping[str, JudgedMetric] = field(default_factory=dict)
    code: str = field(default_factory=code_digest)

    def provenance(self) -> dict[str, object]:
        """Name everything by digest; the same for two runs of one plan."""
        return {
            "models": {model.name: model.digest for model in self.models},
            "suite": self.suite.digest,
            "policy": f"{self.policy.name}@{self.policy.digest[:12]}",
            "thresholds": _thresholds(self.policy),
            "gate": self.gate.digest,
            "baseline": self.baseline.digest if self.baseline else "none",
            "stops": "early" if self.early else "at the end",
            "input filters": [filter_.name for filter_ in self.inputs],
            "output filters": [filter_.name for filter_ in self.outputs],
            "scorers": {planned.task.name: list(planned.scorers) for planned in self.tasks},
            "decoding": {planned.task.name: repr(planned.task.decoding) for planned in self.tasks},
            "data": {planned.task.name: prompts_digest(planned.prompts)[:12] for planned in self.tasks},
            "assets": dict(self.assets),
            "code": self.code,
            "packages": package_versions(),
            "settings": dict(self.settings),
        }

    def identity(self) -> dict[str, str]:
        """Flatten the provenance and the seed, for the header of the journal."""
        named = {key: _plain(value) for key, value in self.provenance().items()}
        # By digest alone: the same weights under another path are the same run.
        return {**named, "models": ", ".join(model.digest for model in self.models), "seed": str(self.seed)}


def audit(plan: Plan, folder: Path, *, rows: int | None, progress: Progress, engines: Engines = local_engine) -> Report:
    """Run a plan and return its report; the journal in `folder` is continued where there is one.

    Parameters
    ----------
    plan : Plan
    folder : pathlib.Path
        Of this run; there already.
    rows : int or None
        Samples a batch; None leaves it to the model.
    progress : callable
        Told ``model: task``, the samples done and the samples in all.
    engines : callable
        Where the models run; figures do not depend on it.

    Raises
    ------
    ConfigError
        The gate names a metric that no task of the suite gives, or the journal is of another plan.
    """
    check_gate(plan.gate, plan.tasks)
    started = _now()
    early = _early_gate(plan)
    records: list[Record] = []
    by_model: dict[str, list[Record]] = {}
    results, values = [], []
    with Journal(folder / JOURNAL, plan.identity()) as journal:
        for part in folder.glob(".*.part"):  # of a run that was killed while it wrote its report or its values
            part.unlink(missing_ok=True)
        for model in plan.models:
            with engines(plan, model, rows) as engine:
                result, figures, made = _audit_model(plan, model, journal, engine, progress, early)
            results.append(result)
            by_model[model.name] = made
            values.append(model_values(model.name, model.digest, figures))
            records += made
    write_values(folder / FILE, plan.identity(), values)
    results = early.results(results) if early else results
    outcome, sentence, checks = _verdict(plan, results, values, early, folder)
    fixes = [corrected(result.metrics, plan.judged) for result in results]
    results = [replace(one, metrics=(*one.metrics, *more)) for one, (more, _) in zip(results, fixes, strict=True)]
    refused = dict.fromkeys(note for _, notes in fixes for note in notes)
    prices = {model.name: model.price for model in plan.models if model.price is not None}
    times = {
        "started": started,
        "finished": _now(),
        "machine": machine(),
        **_speeds(records),
        **cost_sentence(by_model, prices),
        "by model": latency(by_model, prices=prices),
    }
    return Report(
        suite=plan.suite.name,
        seed=plan.seed,
        outcome=outcome,
        sentence=sentence,
        checks=checks,
        models=tuple(results),
        notes=(
            *plan.notes,
            *refused,
            *_early_notes(plan, records),
            *_failure_notes(records),
            *_missing_notes(records),
        ),
        provenance=plan.provenance(),
        times={**times, "batch rows": rows or "auto"},
    )


def _early_gate(plan: Plan) -> EarlyGate | None:
    return (
        EarlyGate(plan.gate, plan.tasks, [model.name for model in plan.models], seed=plan.seed) if plan.early else None
    )


def _verdict(
    plan: Plan,
    results: Sequence[ModelResult],
    values: Sequence[ModelValues],
    early: EarlyGate | None,
    folder: Path,
) -> tuple[Outcome, str, tuple[Check, ...]]:
    checks = plan.gate.checks(results)
    found = verdict(early.checks(checks, plan.gate.limits) if early else checks)
    drops = plan.baseline.checks(values, plan.identity(), folder=folder) if plan.baseline else ()
    return joined(found, drops)


def _early_notes(plan: Plan, records: Sequence[Record]) -> list[str]:
    """Say how much of the suite a run that stops early has made."""
    if not plan.early:
        return []
    n_all = len(plan.models) * sum(len(planned.task.samples(plan.seed)) for planned in plan.tasks)
    return [
        f"Stopped early where the gate was decided: {len(records)} of {n_all} samples were made. Intervals of the"
        " metrics with a limit hold however often one looks; those of the others are for a fixed number of samples."
    ]


def check_gate(gate: Gate, tasks: Sequence[PlannedTask]) -> None:
    """Refuse a gate that the tasks cannot answer.

    Raises
    ------
    ConfigError
        A limit on a metric, arm or group that no task gives.
    """
    gate.require_metrics([name for planned in tasks for name in planned.metric_names])
    gate.require_slices(
        {planned.task.name: planned.task.arms for planned in tasks},
        {planned.task.name: planned.groups for planned in tasks},
    )


def _audit_model(
    plan: Plan,
    audited: AuditedModel,
    journal: Journal,
    engine: Engine,
    progress: Progress,
    early: EarlyGate | None,
) -> tuple[ModelResult, Figures, list[Record]]:
    figures, records = Figures(), []
    for planned in plan.tasks:
        task = planned.task
        made = run_task(
            task,
            engine,
            model=audited.digest,
            seed=plan.seed,
            journal=journal,
            progress=lambda name, done, n: progress(f"{audited.name}: {name}", done, n),
            decided=early.watch(audited.name, planned) if early else None,
        )
        figures.add(task.figures(made))
        records += made
    result = ModelResult(
        name=audited.name,
        digest=audited.digest,
        metrics=tuple(figures.metrics),
        comparisons=tuple(figures.comparisons),
        histograms=tuple(figures.histograms),
        examples=tuple(figures.examples),
    )
    return result, figures, records


def _missing_notes(records: Sequence[Record]) -> list[str]:
    """Say how many outputs could not be had, and why."""
    missing = [
        made.missing for record in records for arm, made in record.arms.items() if arm == "unguarded" and made.missing
    ]
    if not missing:
        return []
    kinds = Counter(reason.partition(":")[0] for reason in missing)
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    note = (
        f"{len(missing)} of {len(records)} outputs could not be had ({counted}) and are unscored; --resume asks again."
    )
    if kinds["content_filter"]:
        note += " What a content filter of the endpoint stopped is likely the worst: figures of harm look too good."
    return [note]


def _failure_notes(records: Sequence[Record]) -> list[str]:
    """Say how many samples the guard could not judge."""
    made = [generation for record in records for arm, generation in record.arms.items() if arm != "unguarded"]
    verdicts = [[one.prompt_verdict, one.output_verdict] for one in made]
    failed = sum(any(v is not None and v.error is not None for v in pair) for pair in verdicts)
    if not failed:
        return []
    return [
        f"A filter failed on {failed} of {len(made)} samples. The policy's on_error decided what was released; they are"
        " unscored here, since an outage of the guard is not a success of the guard."
    ]


def _speeds(records: Sequence[Record]) -> dict[str, object]:
    """Add up what the journal says, over all the attempts that the run took."""
    generated = [record for record in records if record.output is not None]
    generate_s, filter_s = (_seconds(generated, key) for key in ("generate_ms", "filter_ms"))
    tokens = sum(record.times.get("tokens", 0.0) for record in generated)
    share = filter_s / (filter_s + generate_s) if generate_s else None
    return {
        "latency": _latency(generate_s, filter_s, generated),
        "samples": len(records),
        "seconds": round(_seconds(records, "wall_ms"), 1),
        "tokens generated": round(tokens),
        "tokens a second": round(tokens / generate_s, 1) if generate_s else None,
        "generation ms a sample": _per_sample(generate_s, generated),
        "guard ms a sample": _per_sample(filter_s, generated),
        "guard share of time": None if share is None else round(share, 4),
    }


def _latency(generate_s: float, filter_s: float, generated: Sequence[Record]) -> str:
    """Say in one sentence what the guard costs in time."""
    if not generated or not generate_s:
        return "nothing was generated, so the guard's cost in time was not measured."
    return (
        f"generating took {1000 * generate_s / len(generated):.1f} ms a sample and the guard's filters"
        f" {1000 * filter_s / len(generated):.1f} ms, {filter_s / generate_s:.1%} on top, over {len(generated)} samples"
        " in batches; filters score each distinct text once."
    )


def _seconds(records: Sequence[Record], key: str) -> float:
    return sum(record.times.get(key, 0.0) for record in records) / 1000


def _per_sample(seconds: float, records: Sequence[Record]) -> float | None:
    return round(1000 * seconds / len(records), 2) if records else None


def _thresholds(policy: Policy) -> dict[str, dict[str, float]]:
    """Return the thresholds by stage and category, which the report draws on its curves."""
    found: dict[str, dict[str, float]] = {}
    for (stage, category), rule in sorted(policy.thresholds.items()):
        found.setdefault(stage, {})[category] = rule[0]
    return found


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
