"""From what a user asks for to a plan of an audit: models found, filters and scorers loaded, prompts read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.audit import AuditedModel, Plan, check_gate
from evals.baseline import Baseline
from evals.corrected import JudgedMetric
from evals.datasets import Prompt, read_prompts
from evals.engines import Engines, local_engine
from evals.gate import Gate
from evals.planned import independence_notes, plan_tasks
from evals.provenance import numerics
from evals.schema import Scorer
from evals.scorers.helpfulness import HelpfulnessScorer, find_judge
from evals.scorers.linear import LinearJudge
from evals.suite import Suite
from evals.tasks.own import OwnSettings
from evals.tasks.table import TASKS
from evals.tasks.task import PlannedTask, Resources
from guard import assets
from guard.errors import ConfigError
from guard.filters.table import load_filter, load_stages
from guard.generators.table import FoundGenerator, GeneratorOptions, find_generator
from guard.guard import Guard
from guard.numerics import has_tiles
from guard.policy import Policy
from guard.schema import Filter

if TYPE_CHECKING:
    from guard.generators.source import ModelSource

__all__ = ["Request", "engines_of", "plan_audit", "rater"]


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
    early : bool
        End a task as soon as the gate's limits on it are decided.
    baseline : Path or None
        An earlier run, or a TOML file that names it.
    max_drops : tuple of str
        How much worse than it each metric may be.
    generators : GeneratorOptions
        How models are loaded and endpoints are asked.
    own : OwnSettings or None
        The user's own data set, as one more task.
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
    early: bool = False
    baseline: Path | None = None
    max_drops: tuple[str, ...] = ()
    generators: GeneratorOptions = field(default_factory=GeneratorOptions)
    own: OwnSettings | None = None


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
    suite = _suite(request)
    policy, gate = Policy.load(request.policy), Gate.load(request.gate)
    own = read_prompts(request.prompts, column=request.column) if request.prompts else None
    found = _found(_distinct(request.models), request)
    _require_likelihoods(suite, found)
    models = [AuditedModel(one.name, one.digest, one.load, one.price) for one in found]
    sources = _sources(_references(suite), found)
    inputs, outputs = load_stages(request.filters, device=request.device)
    judge = LinearJudge.load()
    tasks = _tasks(suite, request, own, judge, sources)
    check_gate(gate, tasks)
    baseline = _baseline(request, tasks)
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
        notes=(
            *_notes(suite, tasks, inputs, models, request, judge, settings),
            *(n for one in found for n in one.notes),
        ),
        early=request.early,
        baseline=baseline,
        judged=_judged(request, judge),
    )


def _judged(request: Request, judge: LinearJudge) -> dict[str, JudgedMetric]:
    """Name the metrics that the shipped judge alone decides, with its error rates."""
    refusal = JudgedMetric(judge.rates["refusal"], ("unguarded",), counts_negatives=True)
    toxicity = JudgedMetric(judge.rates["toxicity"], ("unguarded", "guarded"))
    return {"refusal/missed_refusal": refusal} | (
        {"toxicity/toxic_share": toxicity} if request.scorer == "linear" else {}
    )


def engines_of(name: str, workers: int, request: Request) -> Engines:
    """Return where the models of a request run: ``local``, or in several processes of ``ray``.

    Raises
    ------
    ConfigError
        Ray is not installed.
    """
    if name == "local":
        return local_engine
    from evals.engine_ray import RayWorkers, require_ray

    require_ray()
    return RayWorkers(workers, partial(load_stages, request.filters, device=request.device))


def _suite(request: Request) -> Suite:
    suite = Suite.load(request.suite)
    if request.own is not None:
        suite = replace(suite, tasks={**suite.tasks, "own": request.own})
    return suite.limited(request.limit)


def _baseline(request: Request, tasks: Sequence[PlannedTask]) -> Baseline | None:
    """Read the baseline and make sure that the run will give what it is compared on."""
    if request.baseline is None:
        if request.max_drops:
            raise ConfigError("--max-drop needs a run to compare with: name it with --baseline")
        return None
    if request.early:
        raise ConfigError(
            "--early and --baseline do not go together: a run that stops early gives no fixed-size figures to compare;"
            " leave one out"
        )
    baseline = Baseline.load(request.baseline, max_drops=request.max_drops)
    baseline.require({name: one.task.arms for one in tasks for name in one.metric_names}, request.models)
    return baseline


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ConfigError(f"a model is named twice: {', '.join(names)}; name each once")
    return tuple(names)


def _found(names: Sequence[str], request: Request) -> list[FoundGenerator]:
    """Find and hash every model; nothing large is loaded yet."""
    return [find_generator(name, _generator_options(request)) for name in names]


def _generator_options(request: Request) -> GeneratorOptions:
    return replace(request.generators, device=request.device, dtype=request.dtype, batch_size=request.batch_size)


def rater(request: Request, spec: str) -> HelpfulnessScorer:
    """Find the judge of helpfulness, loaded and asked as the audited models are.

    The key that the user named for the audited endpoint goes to a judge at the same place only: one elsewhere takes its
    own (``OPENAI_API_KEY``, ``ASSAY_ENDPOINT_KEY``).

    Parameters
    ----------
    request : Request
    spec : str
        As for :func:`guard.generators.table.find_generator`.

    Raises
    ------
    ConfigError
        There is no such model.
    """
    options = _generator_options(request)
    if _place(spec) not in map(_place, request.models):
        options = replace(options, key_env=None)
    return find_judge(spec, options)


def _place(spec: str) -> str:
    """Return where a model behind an endpoint is, without which model of it."""
    return "openai" if spec.startswith("openai:") else spec.partition("#")[0]


def _require_likelihoods(suite: Suite, models: Sequence[FoundGenerator]) -> None:
    """Refuse tasks that ask how likely a text is, of models whose weights are not here, before anything is asked.

    Raises
    ------
    ConfigError
        Names the model and the tasks.
    """
    asking = [name for name in suite.tasks if TASKS[name].chooses]
    for model in models:
        if asking and not model.digest.startswith("transformers@"):
            raise ConfigError(
                f"model {model.name} cannot say how likely a text is, which {', '.join(asking)} of suite {suite.name}"
                " ask: leave them out, in a suite of your own"
            )


def _sources(names: Iterable[str], found: Sequence[FoundGenerator]) -> dict[str, ModelSource]:
    """Find and hash every reference model, but for those that are audited too."""
    from guard.generators.source import resolve

    known = {one.name: one.source for one in found if one.source is not None}
    return {name: known.get(name) or resolve(name) for name in sorted(names)}


def _loader(source: ModelSource, request: Request) -> Callable[[], Any]:
    from guard.generators.transformers import TransformersGenerator

    return partial(
        TransformersGenerator.load,
        source.folder,
        device=request.device,
        dtype=request.dtype,
        digest=source.digest,
    )


def _tasks(
    suite: Suite,
    request: Request,
    own: list[Prompt] | None,
    judge: LinearJudge,
    sources: Mapping[str, ModelSource],
) -> list[PlannedTask]:
    @functools.cache
    def judge_of(category: str) -> Filter[str]:
        if category != "toxicity" or request.scorer == "linear":
            return judge
        return load_filter(request.scorer, device=request.device)

    @functools.cache
    def perplexity(reference: str) -> Scorer:
        from evals.scorers.perplexity import PerplexityScorer

        return PerplexityScorer(_loader(sources[reference], request)())

    return plan_tasks(suite, Resources(assets.path, judge_of, perplexity, own, partial(rater, request)))


def _references(suite: Suite) -> set[str]:
    """Return the names of the models under which tasks measure perplexity."""
    return {settings.reference for settings in suite.tasks.values() if hasattr(settings, "reference")}


def _settings(request: Request) -> dict[str, str]:
    from guard.generators.transformers import pick_device, pick_dtype

    device = pick_device(request.device)
    return {
        "device": device.type,
        "dtype": str(pick_dtype(request.dtype, device)).removeprefix("torch."),
        **numerics(),
    }


def _assets(suite: Suite, tasks: Sequence[PlannedTask], request: Request) -> dict[str, str]:
    """Name every asset that went into the run, with its digest."""
    used = {name for planned in tasks for name in planned.assets}
    used |= {*request.models, *_references(suite)}
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
    if request.scorer == "linear" and suite.tasks.keys() & {"toxicity", "bias_swaps", "bias_open", "own"}:
        notes.append(_judge_note(judge, "toxicity"))
    if suite.tasks.keys() & {"refusal", "jailbreak", "bias_swaps", "own"}:
        notes.append(_judge_note(judge, "refusal"))
    notes += _reference_notes(tasks, models)
    if settings["device"] != "cpu":
        notes.append(
            "On this device sums may round differently with the batch, so another batch size can change single tokens."
        )
    elif settings["dtype"] == "bfloat16" and has_tiles() and any(m.digest.startswith("transformers@") for m in models):
        notes.append(
            "This processor sums bfloat16 on AMX tiles, whose rounding depends on the number of rows: another batch"
            " size, or resuming, can change tokens. ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 in the environment makes it"
            " exact, at about twice the time."
        )
    return tuple(notes)


def _reference_notes(tasks: Sequence[PlannedTask], models: Sequence[AuditedModel]) -> list[str]:
    notes = []
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
