"""Attacks that change texts until a classifier errs, as ``assay attack`` runs them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.attacking.files import write_texts
from evals.attacking.labelled import LabelledTexts, read_labelled
from evals.attacking.request import AttackRequest
from evals.attacking.summary import AttackSummary, RecipeSummary, Shown
from evals.attacking.text_figures import shown_texts, text_summary
from guard.attacks.engine import run_attack
from guard.attacks.neural_recipes import DIFFERS, Parts
from guard.attacks.readings import Readings
from guard.attacks.recipes import FEW_QUERIES, few_queries
from guard.attacks.recipes import recipe as find_recipe
from guard.attacks.schema import Attempt, Victim, WhiteBox
from guard.attacks.space import Attack
from guard.attacks.victims import FilterVictim, VerdictVictim
from guard.errors import ConfigError
from guard.filters.table import load_filter, load_stages
from guard.generators.table import find_generator
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Decoding, Generator

__all__ = ["ATTEMPTS", "TextPlan", "plan_texts", "run_texts"]

ATTEMPTS = "attempts.jsonl"
"""All attempts of a run, in the order of the data; written when it is over."""

_SHOWN = 3
_REWRITTEN_TOKENS = 96
_FOLLOW_GRADIENTS = frozenset({"hotflip"})
_FILTER_TIMEOUT_S = 600.0
_AT_ONCE = 256
"""A search that asks about one text at a time fills the target's batches only among many."""

Progress = Callable[[str, int, int], None]
"""Gets a recipe, what is done of it, and the whole."""


@dataclass(frozen=True)
class TextPlan:
    """All that a run needs, loaded.

    Parameters
    ----------
    request : AttackRequest
    texts : LabelledTexts
    victim : Victim
    threshold : float or None
        Of label 1; None is the most probable label.
    attacks : dict of str to Attack
        By recipe.
    guard : Guard or None
        That the successes must get through as a whole.
    notes : tuple of str
    """

    request: AttackRequest
    texts: LabelledTexts
    victim: Victim
    threshold: float | None
    attacks: dict[str, Attack]
    guard: Guard | None = None
    notes: tuple[str, ...] = ()

    def settings(self) -> dict[str, str]:
        """Return what the attempts depend on besides the texts."""
        return {
            "target": self.victim.name,
            "threshold": "most probable label" if self.threshold is None else f"{self.threshold:g}",
            "search": self.request.search,
            "budget": "none" if self.request.budget is None else str(self.request.budget),
            "seed": str(self.request.seed),
            "examples": str(len(self.texts.examples)),
        }


@dataclass(frozen=True)
class _Aim:
    """A target, loaded."""

    victim: Victim
    threshold: float | None
    guard: Guard | None = None
    evasion: bool = True


def plan_texts(request: AttackRequest) -> TextPlan:
    """Check what can be checked, then load the target and read the texts.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense, or a recipe cannot run here.
    AssetError
        An asset cannot be had.
    """
    if request.data is None:
        raise ConfigError(f"recipe {request.recipes[0]} changes texts: give them with --data FILE")
    if request.target.kind == "model":
        raise ConfigError(
            f"recipe {request.recipes[0]} changes texts until a classifier errs, and {request.target} is none: give"
            " filter:NAME, transformer:ID or guard:MODEL"
        )
    aim = _AIMS[request.target.kind](request)
    texts = read_labelled(
        request.data,
        column=request.column,
        label_column=request.label_column or None,
        labels=aim.victim.labels,
        positive=request.positive,
    )
    harmful = texts.only(1) if aim.evasion else texts
    if not harmful.examples:
        raise ConfigError(f"{request.data} has no text that is labelled {aim.victim.labels[1]}: nothing to attack")
    parts = Parts(aim.victim, request.masked_lm, device=request.device, paraphraser=_paraphraser(request))
    attacks = {name: _attack(request, name, aim, parts) for name in request.recipes}
    drawn = harmful.drawn(request.limit, seed=request.seed)
    notes = _notes(texts, harmful, aim)
    return TextPlan(request, drawn, aim.victim, aim.threshold, attacks, aim.guard, notes)


def _attack(request: AttackRequest, name: str, aim: _Aim, parts: Parts) -> Attack:
    """Return a recipe with the search that is asked for."""
    found = find_recipe(name, threshold=aim.threshold, parts=parts)
    if request.search == "published":
        return found
    if not isinstance(aim.victim, WhiteBox):
        raise ConfigError(
            f"a search with few queries follows the victim's gradients, and {request.target} has none: attack the"
            " encoder filter or a Hugging Face classifier, or leave --search away"
        )
    return few_queries(found)


def _paraphraser(request: AttackRequest) -> Generator[str] | None:
    """Load the model that rewrites, where a recipe wants one."""
    if "paraphrase" not in request.recipes:
        return None
    decoding = Decoding(max_new_tokens=_REWRITTEN_TOKENS, temperature=0.8, top_p=0.95)
    return find_generator(request.attacker, request.generators).load().with_decoding(decoding)


def run_texts(plan: TextPlan, folder: Path, *, progress: Progress) -> AttackSummary:
    """Run every recipe, or go on with a run, and measure.

    Each recipe has a journal of its own; all attempts are written in the order of the data once it is over.

    Raises
    ------
    ConfigError
        A journal there is of another run, or the target lacks what a recipe needs.
    FilterError, OutputError
        The target failed, or a journal cannot be written; what was made is kept.
    """
    readings = Readings(plan.victim)
    recipes, shown, lines = list[RecipeSummary](), list[Shown](), list[str]()
    for name, attack in plan.attacks.items():
        attempts = _attempts(plan, name, attack, readings, folder, progress)
        released = _released(plan, attempts)
        notes = tuple(DIFFERS[one] for one in (name,) if one in DIFFERS)
        if plan.request.search == "few-queries":
            notes = (FEW_QUERIES, *notes)
        recipes.append(text_summary(name, attack.name, attempts, released=released, notes=notes))
        shown += shown_texts(name, attempts, most=_SHOWN)
        lines += [json.dumps({"recipe": name, **dataclasses.asdict(one)}) + "\n" for one in attempts]
    write_texts(folder, {ATTEMPTS: "".join(lines)})
    return AttackSummary(
        "text", plan.victim.name, tuple(recipes), plan.settings(), examples=tuple(shown), notes=plan.notes
    )


def _attempts(
    plan: TextPlan, name: str, attack: Attack, readings: Readings, folder: Path, progress: Progress
) -> list[Attempt]:
    """Return the attempts in the order of the data, whichever ended first."""
    examples = plan.texts.examples
    progress(name, 0, len(examples))
    found = {}
    for attempt in run_attack(
        attack,
        readings,
        examples,
        seed=plan.request.seed,
        budget=plan.request.budget,
        at_once=_AT_ONCE,
        journal=folder / f"journal-{name}.jsonl",
    ):
        found[attempt.example_id] = attempt
        progress(name, len(found), len(examples))
    return [found[example.id] for example in examples]


def _released(plan: TextPlan, attempts: Sequence[Attempt]) -> dict[str, float | None] | None:
    """Send the successes through the whole guard, and return of each whether an answer was released."""
    if plan.guard is None:
        return None
    through = [attempt for attempt in attempts if attempt.status == "succeeded"]
    responses = plan.guard.generate([one.perturbed for one in through], seed=plan.request.seed)
    found: dict[str, float | None] = {}
    for attempt, response in zip(through, responses, strict=True):
        verdicts = (response.prompt_verdict, response.output_verdict)
        failed = any(verdict is not None and verdict.error is not None for verdict in verdicts)
        found[attempt.example_id] = None if failed else float(response.action != Action.BLOCK)
    return found


def _filter(request: AttackRequest) -> _Aim:
    threshold = request.threshold
    if threshold is None:
        threshold = Policy.load(request.policy).threshold_on(request.category)
    if request.search == "published" and not _FOLLOW_GRADIENTS.intersection(request.recipes):
        return _Aim(FilterVictim(load_filter(request.target.name, device=request.device), request.category), threshold)
    return _Aim(_white_box(request), threshold)


def _white_box(request: AttackRequest) -> Victim:
    """Return the filter as it is used, with the gradients of a copy in float32: half precision ranks too coarsely."""
    from guard.attacks.whitebox import WhiteBoxVictim
    from guard.filters.differentiable import Differentiable
    from guard.filters.encoder import EncoderFilter

    kind, _, folder = request.target.name.partition(":")
    filter_ = model = load_filter(request.target.name, device=request.device)
    if isinstance(filter_, EncoderFilter) and filter_.dtype != "float32":
        weights = Path(folder) if kind == "encoder" and folder else None
        model = EncoderFilter.load(weights=weights, device=request.device, dtype="float32")
    victim = FilterVictim(filter_, request.category)
    if not isinstance(model, Differentiable):
        return victim  # the recipe says what it needs
    column = filter_.categories.index(victim.category)
    return WhiteBoxVictim(victim, model, [(column, -1), (column, 1)])


def _transformer(request: AttackRequest) -> _Aim:
    from guard.attacks.classifier import ClassifierVictim

    victim = ClassifierVictim.load(request.target.name, device=request.device)
    return _Aim(victim, request.threshold, evasion=False)


def _guard(request: AttackRequest) -> _Aim:
    policy = Policy.load(request.policy)
    found = find_generator(request.target.name, request.generators)
    inputs, outputs = load_stages(request.filters, device=request.device)
    decoding = Decoding(max_new_tokens=request.max_new_tokens, temperature=request.temperature)
    generator = found.load().with_decoding(decoding)
    guard = Guard(generator, policy, inputs=inputs, outputs=outputs, filter_timeout_s=_FILTER_TIMEOUT_S)
    name = f"guard:{policy.name}@{policy.digest[:12]} with {', '.join(one.name for one in inputs)}"
    victim = VerdictVictim.of_guard(guard, name=name)
    return _Aim(victim, None, guard)


_AIMS: dict[str, Callable[[AttackRequest], _Aim]] = {"filter": _filter, "guard": _guard, "transformer": _transformer}


def _notes(texts: LabelledTexts, harmful: LabelledTexts, aim: _Aim) -> tuple[str, ...]:
    notes = [
        "A text that the target gets wrong before anything is changed is skipped, and counts against its accuracy."
    ]
    if left := len(texts.examples) - len(harmful.examples):
        notes.append(
            f"{left} texts that are not labelled {aim.victim.labels[1]} were left out: an attacker has no use"
            " for a false alarm."
        )
    if texts.n_empty or texts.n_repeated:
        notes.append(f"{texts.n_empty} rows without a text and {texts.n_repeated} that repeat one were left out.")
    if aim.guard is not None:
        notes.append(
            "The search looks at the guard of prompts only; each success then went through the whole guard, its"
            " model and the filters of outputs: see the rate released."
        )
    return tuple(notes)
