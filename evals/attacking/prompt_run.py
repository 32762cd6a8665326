"""Attacks on a generator, as ``assay attack`` runs them: target, goals, judge, recipes one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from evals.attacking.files import write_texts
from evals.attacking.judge import KnownAnswerJudge, judge_of_answers
from evals.attacking.prompt_figures import prompt_summary, shown_prompts
from evals.attacking.request import AttackRequest
from evals.attacking.summary import AttackSummary, RecipeSummary, Shown
from evals.datasets import Prompt, jailbreaks, prompts_digest, read_prompts, sample_prompts
from evals.tasks.requests import harmful_requests
from guard import assets
from guard.attacks.prompts.adaptive import adapt
from guard.attacks.prompts.campaign import CampaignSettings, run_campaign
from guard.attacks.prompts.journal import AttemptJournal
from guard.attacks.prompts.schema import Goal, PromptTarget
from guard.attacks.prompts.suffix_search import require_white_box, search_suffix
from guard.attacks.prompts.table import ADAPTIVE, AttackParts, all_wordings, prompt_attack
from guard.attacks.prompts.targets import GeneratorTarget, GuardTarget
from guard.attacks.prompts.wordings import wordings_digest
from guard.errors import ConfigError
from guard.filters.table import load_stages
from guard.generators.table import RunnableModel, find_generator
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Decoding, Generator

__all__ = ["ATTEMPTS", "PromptPlan", "plan_prompts", "run_prompts"]

ATTEMPTS = "attempts.jsonl"
"""The journal in the folder of a run."""

_BUDGET = 10
_GOALS = 20
_SHOWN = 3
_SUFFIX_FILE = "suffix.json"
_SUFFIX_GOALS = 2
"""On which a suffix is searched: each costs as much again."""

_FILTER_TIMEOUT_S = 600.0
_ATTACKER_TOKENS = 64

Progress = Callable[[str, int, int], None]
"""Gets a recipe, what is done of it, and the whole."""


@dataclass(frozen=True)
class PromptPlan:
    """All that a run needs, loaded.

    Parameters
    ----------
    request : AttackRequest
    goals : tuple of Goal
    target : PromptTarget
    judge : KnownAnswerJudge
    parts : AttackParts
    settings : CampaignSettings
    digest : str
        Of the goals.
    white_box : Generator or None
        On which suffixes are searched; None where none are needed, or they are given.
    """

    request: AttackRequest
    goals: tuple[Goal, ...]
    target: PromptTarget
    judge: KnownAnswerJudge
    parts: AttackParts
    settings: CampaignSettings
    digest: str
    white_box: Generator[str] | None = None

    @property
    def spent(self) -> tuple[Goal, ...]:
        """The goals on which a suffix is searched, and on which it is not measured."""
        return self.goals[:_SUFFIX_GOALS] if self.white_box is not None else ()

    def goals_for(self, recipe: str) -> list[Goal]:
        """Return the goals of a recipe: not those on which what it tries was searched."""
        tries_suffix = recipe in ("suffix", ADAPTIVE)
        return [goal for goal in self.goals if not (tries_suffix and goal in self.spent)]

    def identity(self) -> dict[str, str]:
        """Return what the attempts depend on."""
        made = self.settings
        return {
            "recipes": ", ".join(self.attack_names()),
            "target": self.target.name,
            "judge": self.judge.name,
            "goals": self.digest,
            "budget": str(made.budget),
            "width": str(made.width),
            "explore": "by the wordings" if self.request.explore is None else str(self.request.explore),
            "stop at success": str(made.stop_at_success),
            "seed": str(made.seed),
            "decoding": f"{self.request.max_new_tokens} tokens, temperature {self.request.temperature:g}",
        }

    def attack_names(self) -> list[str]:
        """Return every recipe with its digest."""
        return [
            f"{ADAPTIVE}@{wordings_digest(all_wordings(self.parts))}"
            if name == ADAPTIVE
            else prompt_attack(name, self.parts).name
            for name in self.request.recipes
        ]


def plan_prompts(request: AttackRequest) -> PromptPlan:
    """Check what can be checked, then load model, guard and judge.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    AssetError
        An asset cannot be had.
    """
    if request.target.kind not in ("model", "guard"):
        raise ConfigError(
            f"recipe {request.recipes[0]} attacks generators, and {request.target} is none: give model:NAME or"
            " guard:NAME"
        )
    if request.search != "published":
        raise ConfigError(f"recipe {request.recipes[0]} makes prompts and searches no texts: leave --search away")
    suffixes = () if request.suffixes is None else _suffixes(request.suffixes)
    prompts = _goals(request)
    decoding = Decoding(max_new_tokens=request.max_new_tokens, temperature=request.temperature)
    policy = Policy.load(request.policy)
    found = find_generator(request.target.name, request.generators)
    wanted = find_generator(request.attacker, request.generators) if "pair" in request.recipes else None
    model = found.load()
    generator = model.with_decoding(decoding)
    white_box = _white_box(request, generator, len(prompts))
    target = _target(request, generator, policy)
    attacker = None if wanted is None else (model if wanted.digest == found.digest else wanted.load())
    return PromptPlan(
        request,
        tuple(Goal(prompt.id, prompt.text) for prompt in prompts),
        target,
        judge_of_answers(request.judge),
        AttackParts(_attacker(attacker), request.streams, suffixes, _wild(request), request.sigma),
        CampaignSettings(
            budget=request.budget or _BUDGET,
            stop_at_success=request.stop_at_success,
            seed=request.seed,
            batch=max(32, getattr(model, "batch_size", 32)),
        ),
        prompts_digest(prompts)[:12],
        white_box,
    )


def run_prompts(plan: PromptPlan, folder: Path, *, progress: Progress) -> AttackSummary:
    """Run every recipe, or go on with a run, and measure.

    Parameters
    ----------
    plan : PromptPlan
    folder : pathlib.Path
        With or without a journal.
    progress : callable

    Raises
    ------
    ConfigError
        The journal there is of another run.
    GeneratorError, OutputError
        The target failed as a whole, or the journal cannot be written; what was made is kept.
    """
    plan = _with_suffix(plan, folder, progress)
    recipes, shown = list[RecipeSummary](), list[Shown]()
    with AttemptJournal(folder / ATTEMPTS, plan.identity()) as journal:
        for recipe, attack in zip(plan.request.recipes, plan.attack_names(), strict=True):
            summary, examples = _run_recipe(plan, recipe, attack, journal, progress)
            recipes.append(summary)
            shown += examples
    return AttackSummary(
        "generator", plan.target.name, tuple(recipes), plan.identity(), examples=tuple(shown), notes=_notes(plan)
    )


def _run_recipe(
    plan: PromptPlan, recipe: str, attack: str, journal: AttemptJournal, progress: Progress
) -> tuple[RecipeSummary, list[Shown]]:
    def tell(done: int, total: int) -> None:
        progress(recipe, done, total)

    if recipe == ADAPTIVE:
        return _run_adaptive(plan, attack, journal, tell)
    goals = plan.goals_for(recipe)
    tracks = run_campaign(
        prompt_attack(recipe, plan.parts),
        goals,
        plan.target,
        plan.judge,
        settings=_settings_for(plan, recipe),
        journal=journal,
        part=recipe,
        on_progress=tell,
    )
    notes = _suffix_notes(plan) if recipe == "suffix" else ()
    summary = prompt_summary(recipe, attack, tracks, budget=plan.settings.budget, judge=plan.judge.rates, notes=notes)
    return summary, shown_prompts(recipe, tracks, most=_SHOWN)


def _suffix_notes(plan: PromptPlan) -> tuple[str, ...]:
    if plan.white_box is None:
        return ()
    return (
        f"searched in {plan.request.suffix_steps} steps on {len(plan.spent)} goals, which are left out of the figures:"
        f" {plan.parts.suffixes[0]!r}",
    )


def _with_suffix(plan: PromptPlan, folder: Path, progress: Progress) -> PromptPlan:
    """Search a suffix where none was given, and keep it for a run that is taken up again."""
    if plan.white_box is None:
        return plan
    request, file = plan.request, folder / _SUFFIX_FILE
    wanted = {
        "model": plan.white_box.name,
        "goals": [goal.id for goal in plan.spent],
        "steps": request.suffix_steps,
        "seed": request.seed,
    }
    kept = json.loads(file.read_text(encoding="ascii")) if file.exists() else {}
    if kept.get("search") != wanted:
        suffix = search_suffix(
            plan.white_box,
            plan.spent,
            n_steps=request.suffix_steps,
            seed=request.seed,
            on_step=lambda done, total: progress("search of a suffix", done, total),
        )
        kept = {"search": wanted, "suffix": suffix}
        write_texts(folder, {_SUFFIX_FILE: json.dumps(kept) + "\n"})
    return replace(plan, parts=replace(plan.parts, suffixes=(kept["suffix"],)))


def _settings_for(plan: PromptPlan, recipe: str) -> CampaignSettings:
    """Let the conversations of an attacker model go on side by side."""
    return replace(plan.settings, width=plan.request.streams) if recipe == "pair" else plan.settings


def _run_adaptive(
    plan: PromptPlan, attack: str, journal: AttemptJournal, tell: Callable[[int, int], None]
) -> tuple[RecipeSummary, list[Shown]]:
    found = adapt(
        all_wordings(plan.parts),
        plan.goals_for(ADAPTIVE),
        plan.target,
        plan.judge,
        settings=plan.settings,
        explore=plan.request.explore,
        journal=journal,
        on_progress=tell,
    )
    reached = sum(track.success is True for track in found.development)
    note = (
        f"chosen on {len(found.development)} other goals, of which {reached} were reached, with"
        f" {sum(len(track.attempts) for track in found.development)} queries:"
        f" {', '.join(wording.id for wording in found.chosen)}; figures are of the goals held out"
    )
    summary = prompt_summary(
        ADAPTIVE, attack, found.held_out, budget=plan.settings.budget, judge=plan.judge.rates, notes=(note,)
    )
    return summary, shown_prompts(ADAPTIVE, found.held_out, most=_SHOWN)


def _goals(request: AttackRequest) -> list[Prompt]:
    if request.goals is None:
        found = harmful_requests(assets.path)
        return sample_prompts(found, request.limit or _GOALS, seed=request.seed)
    found = read_prompts(request.goals, column=request.column)
    return sample_prompts(found, request.limit or len(found), seed=request.seed)


def _target(request: AttackRequest, generator: Generator[str], policy: Policy) -> PromptTarget:
    if request.target.kind == "model":
        return GeneratorTarget(generator)
    inputs, outputs = load_stages(request.filters, device=request.device)
    guard = Guard(generator, policy, inputs=inputs, outputs=outputs, filter_timeout_s=_FILTER_TIMEOUT_S)
    filters = ", ".join(dict.fromkeys(one.name for one in (*inputs, *outputs)))
    return GuardTarget(guard, name=f"{generator.name} behind {policy.name}@{policy.digest[:12]} with {filters}")


def _attacker(model: RunnableModel | None) -> Generator[str] | None:
    if model is None:
        return None
    return model.with_decoding(Decoding(max_new_tokens=_ATTACKER_TOKENS, temperature=0.7, top_p=0.9))


def _suffixes(file: Path) -> tuple[str, ...]:
    return tuple(prompt.text for prompt in read_prompts(file, column="suffix"))


def _white_box(request: AttackRequest, generator: Generator[str], n_goals: int) -> Generator[str] | None:
    """Return the model where a suffix has to be searched on it."""
    if "suffix" not in request.recipes or request.suffixes is not None:
        return None
    require_white_box(generator)
    if n_goals <= _SUFFIX_GOALS:
        raise ConfigError(
            f"recipe suffix searches on {_SUFFIX_GOALS} goals and is measured on others: give more than"
            f" {_SUFFIX_GOALS}, or suffixes with --suffixes"
        )
    return generator


def _wild(request: AttackRequest) -> tuple[tuple[str, str], ...]:
    """Read the prompts seen in the wild only where they were asked for: they need an asset."""
    if "wild" not in request.recipes:
        return ()
    return tuple((prompt.id, prompt.text) for prompt in jailbreaks(folder=assets.path("jailbreaks")))


def _notes(plan: PromptPlan) -> tuple[str, ...]:
    rates = plan.judge.rates
    found = [
        plan.judge.says,
        f"On answers that people labelled the judge has sensitivity {rates.sensitivity:.2f} (n = {rates.n_positive})"
        f" and specificity {rates.specificity:.2f} (n = {rates.n_negative}). attack_success counts a goal that any of"
        f" up to {plan.settings.budget} attempts reached: false hits of the judge add up in it, compare equal budgets.",
    ]
    if plan.settings.stop_at_success:
        found.append(
            "A goal is left alone once it is reached, so figures of single attempts and wordings are of goals that"
            " earlier attempts did not reach; --all-attempts measures every wording on every goal."
        )
    if plan.request.target.kind == "guard":
        found.append("What the guard blocked is no success; where a filter failed, the attempt is unscored.")
    return tuple(found)
