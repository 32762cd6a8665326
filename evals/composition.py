"""From what a user asks for to a plan of an audit: models found, filters and scorers loaded, prompts read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.audit import AuditedModel, Plan, check_gate
from evals.datasets import Prompt, read_prompts
from evals.gate import Gate
from evals.planned import PlannedTask, independence_notes, plan_tasks
from evals.schema import Scorer
from evals.scorers.linear import LinearJudge
from evals.suite import Suite
from guard import assets
from guard.errors import ConfigError
from guard.filters.table import load_filter, load_stages
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Filter

if TYPE_CHECKING:
    from guard.generators.source import ModelSource

__all__ = ["Request", "plan_audit"]


@dataclass(frozen=True)
class Request:
    """What a user asks to have audited.

    Parameters
    ----------
    models : tuple of str
        Assets, folders, GGUF files or hub ids.
    suite, policy, gate : str
        Shipped names or TOML files.
    filters : tuple of str
        Names for :func:`guard.filters.table.load_filter`, for prompts and outputs alike.
    scorer : str
        Judge of toxicity: ``linear`` or the name of a filter.
    prompts : Path or None
        The user's own, for the toxicity task.
    column : str
        Where they are.
    limit : int or None
    seed : int
    device, dtype : str
    batch_size : int or None
    """

    models: tuple[str, ...]
    suite: str
    policy: str
    gate: str
    filters: tuple[str, ...]
    scorer: str
    prompts: Path | None
    column: str
    limit: int | None
    seed: int
    device: str
    dtype: str
    batch_size: int | None


def plan_audit(request: Request) -> Plan:
    """Check everything that can be checked before the first generation, and load what is shared by all models.

    Raises
    ------
    UsageError
        Something that the user named is not there or makes no sense.
    AssetError
        An asset cannot be had.
    """
    # The cheap checks first: a typo in a file should not cost a download.
    suite = Suite.load(request.suite).limited(request.limit)
    policy, gate = Policy.load(request.policy), Gate.load(request.gate)
    own = read_prompts(request.prompts, column=request.column) if request.prompts else None
    sources = _sources({*_distinct(request.models), *([suite.quality.reference] if suite.quality else [])})
    models = [_model(sources[name], request) for name in request.models]
    inputs, outputs = load_stages(request.filters, device=request.device)
    judge = LinearJudge.load()
    tasks = _tasks(suite, request, own, judge, sources)
    check_gate(gate, tasks)
    Guard(None, policy, inputs=inputs, outputs=outputs)  # refuses a threshold that no filter can reach
    settings = _settings(request)
    return Plan(
        models=models,
        suite=suite,
        tasks=tasks,
        policy=policy,
        gate=gate,
        inputs=inputs,
        outputs=outputs,
        seed=request.seed,
        assets=_assets(suite, tasks, request),
        settings=settings,
        notes=_notes(suite, tasks, inputs, models, request, judge, settings),
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ConfigError(f"a model is named twice: {', '.join(names)}; name each once")
    return tuple(names)


def _sources(names: Iterable[str]) -> dict[str, ModelSource]:
    """Find and hash every model once, also one that is audited and reference at the same time."""
    from guard.generators.source import resolve

    return {name: resolve(name) for name in sorted(names)}


def _loader(source: ModelSource, request: Request, *, batch_size: int | None = None) -> Callable[[], Any]:
    from guard.generators.transformers import TransformersGenerator

    return partial(
        TransformersGenerator.load,
        source.folder,
        device=request.device,
        dtype=request.dtype,
        batch_size=batch_size,
        digest=source.digest,
    )


def _model(source: ModelSource, request: Request) -> AuditedModel:
    load = _loader(source, request, batch_size=request.batch_size)
    return AuditedModel(source.name, f"transformers@{source.digest[:12]}", load)


def _tasks(
    suite: Suite,
    request: Request,
    own: list[Prompt] | None,
    judge: LinearJudge,
    sources: Mapping[str, ModelSource],
) -> list[PlannedTask]:
    def toxicity() -> Filter[str]:
        return judge if request.scorer == "linear" else load_filter(request.scorer, device=request.device)

    def perplexity(reference: str) -> Scorer:
        from evals.scorers.perplexity import PerplexityScorer

        return PerplexityScorer(_loader(sources[reference], request)())

    return plan_tasks(
        suite,
        asset=assets.path,
        toxicity=toxicity,
        refusal=lambda: judge,
        perplexity=perplexity,
        own_prompts=own,
    )


def _settings(request: Request) -> dict[str, str]:
    import torch

    from guard.generators.transformers import pick_device, pick_dtype

    device = pick_device(request.device)
    return {
        "device": device.type,
        "dtype": str(pick_dtype(request.dtype, device)).removeprefix("torch."),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "MKL_CBWR": os.environ.get("MKL_CBWR", "unset"),
    }


def _assets(suite: Suite, tasks: Sequence[PlannedTask], request: Request) -> dict[str, str]:
    """Name every asset that went into the run, with its digest."""
    used = {name for planned in tasks for name in planned.assets}
    used |= {*request.models, suite.quality.reference if suite.quality else ""}
    used |= {_FILTER_ASSETS[name] for name in request.filters if name in _FILTER_ASSETS}
    known = {asset.name for asset in assets.catalogue()}
    return {name: assets.digest(name)[:12] for name in sorted(used & known)}


_FILTER_ASSETS = {"encoder": "minilm", "lexical": "profanity"}


def _notes(
    suite: Suite,
    tasks: Sequence[PlannedTask],
    filters: Sequence[Filter[str]],
    models: Sequence[AuditedModel],
    request: Request,
    judge: LinearJudge,
    settings: Mapping[str, str],
) -> tuple[str, ...]:
    notes = independence_notes(tasks, filters)
    if suite.toxicity and request.scorer == "linear":
        notes.append(_judge_note(judge, "toxicity"))
    if suite.refusal:
        notes.append(_judge_note(judge, "refusal"))
    if suite.quality:
        notes += _quality_notes(suite.quality.reference, tasks, models)
    if settings["device"] != "cpu":
        notes.append(
            "On this device sums may round differently with the batch, so another batch size can change single tokens."
        )
    return tuple(notes)


def _quality_notes(reference: str, tasks: Sequence[PlannedTask], models: Sequence[AuditedModel]) -> list[str]:
    notes = [
        f"Task quality: perplexity is measured under {reference}, in bits per character.",
        "Task quality: what the guard blocked has no quality and is left out, so its difference is over released texts"
        " only; what blocking costs shows as over-refusals and as samples not scored.",
    ]
    scorers = {scorer for planned in tasks for scorer in planned.scorers}
    for model in models:
        if any(model.digest in scorer for scorer in scorers):
            notes.append(
                f"Task quality: the reference has the same weights as the audited {model.name}, so its perplexity is"
                " its own opinion of itself: compare the arms, not the models."
            )
    return notes


def _judge_note(judge: LinearJudge, category: str) -> str:
    """Say how often the judge itself is wrong."""
    rates = judge.rates[category]
    return (
        f"The judge of {category} at {rates.threshold:g}, on texts it was not trained on: sensitivity"
        f" {rates.sensitivity:.2f} (n = {rates.n_positive}), specificity {rates.specificity:.2f}"
        f" (n = {rates.n_negative}); the figures are as it sees them, not corrected for its errors."
    )
