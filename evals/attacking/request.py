"""What a user asks of ``assay attack``, and what is wrong with it, told before anything is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from guard.attacks.prompts.table import prompt_attack_names
from guard.errors import ConfigError
from guard.generators.table import GeneratorOptions

__all__ = ["AttackRequest", "SearchName", "Target", "TargetKind", "kind_of", "parse_target"]

TargetKind = Literal["filter", "transformer", "guard", "model"]

SearchName = Literal["published", "few-queries"]

_KINDS: tuple[TargetKind, ...] = ("filter", "transformer", "guard", "model")


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Parameters
    ----------
    kind : TargetKind
    name : str
        Of the filter, classifier or model.
    """

    kind: TargetKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class AttackRequest:
    """What a user asks for.

    Parameters
    ----------
    recipes : tuple of str
        Of one kind.
    target : Target
    data : Path or None
        Labelled texts, for recipes that change texts.
    column, label_column : str
        Where they are; without labels every text is a harmful one.
    positive : str or None
        The label of a harmful text, where labels are not 0 and 1.
    category : str
        Of the filter.
    masked_lm : str or None
        Folder or hub id of a masked language model, for the recipes that need one.
    threshold : float or None
        None takes the policy's.
    policy : str
    filters : tuple of str
        Of a guard.
    search : {"published", "few-queries"}
        Of recipes that change texts: the recipe's own, or one that follows gradients and asks less.
    budget : int or None
        Queries an example or goal; None takes the recipe's own, or 10.
    limit : int or None
        Examples or goals.
    seed : int
    explore : int or None
        Queries a goal on which ``adaptive`` chooses; None lets it see every wording about twice.
    goals : Path or None
        Requests that should be turned down; None takes those of the audit.
    attacker : str
        Model that rewrites prompts, for ``pair``.
    streams : int
        Conversations of it a goal.
    suffixes : Path or None
        A text file with a suffix a line; None searches some on the model.
    suffix_steps : int
        Steps of that search.
    sigma : float
        Strength of ``best-of-n``.
    stop_at_success : bool
    max_new_tokens : int
    temperature : float
    judge : {"trained", "words"}
        Of the answers of a generator.
    max_success : float or None
        Limit of the gate.
    device, dtype : str
    batch_size : int or None
    generators : GeneratorOptions
    """

    recipes: tuple[str, ...]
    target: Target
    data: Path | None = None
    column: str = "text"
    label_column: str = ""
    positive: str | None = None
    category: str = "toxicity"
    masked_lm: str | None = None
    threshold: float | None = None
    policy: str = "standard"
    filters: tuple[str, ...] = ()
    search: SearchName = "published"
    budget: int | None = None
    limit: int | None = None
    seed: int = 0
    explore: int | None = None
    goals: Path | None = None
    attacker: str = "smollm2-135m"
    streams: int = 2
    suffixes: Path | None = None
    suffix_steps: int = 20
    sigma: float = 0.4
    stop_at_success: bool = True
    max_new_tokens: int = 64
    temperature: float = 0.0
    judge: Literal["trained", "words"] = "trained"
    max_success: float | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    generators: GeneratorOptions = field(default_factory=GeneratorOptions)


def parse_target(text: str) -> Target:
    """Read ``filter:NAME``, ``transformer:ID``, ``guard:MODEL`` or ``model:MODEL``.

    Raises
    ------
    ConfigError
        None of them, or no name.
    """
    kind, _, name = text.partition(":")
    for known in _KINDS:
        if kind == known and name:
            return Target(known, name)
    forms = ", ".join(f"{known}:NAME" for known in _KINDS)
    raise ConfigError(f"target {text!r} is none of {forms}; for example filter:encoder or guard:smollm2-135m")


def kind_of(recipes: Sequence[str], text_recipes: Sequence[str]) -> Literal["text", "generator"]:
    """Return whether recipes change texts or make prompts for a generator.

    Parameters
    ----------
    recipes : sequence of str
        At least one.
    text_recipes : sequence of str
        Names of all that change texts.

    Raises
    ------
    ConfigError
        An unknown name (the nearest is named), one twice, or recipes of both kinds.
    """
    known = [*text_recipes, *prompt_attack_names()]
    for name in recipes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ConfigError(
                f"unknown recipe {name!r}; did you mean {near[0]!r}? (of texts: {', '.join(sorted(text_recipes))};"
                f" of generators: {', '.join(prompt_attack_names())})"
            )
    if len(set(recipes)) < len(recipes):
        raise ConfigError(f"a recipe is named twice: {', '.join(recipes)}; name each once")
    kinds = {"text" if name in text_recipes else "generator" for name in recipes}
    if len(kinds) != 1:
        raise ConfigError(f"recipes {', '.join(recipes)}: some change texts, others make prompts; run them apart")
    return "text" if kinds == {"text"} else "generator"
