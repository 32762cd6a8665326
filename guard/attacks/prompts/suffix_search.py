"""Searches a suffix on a white-box generator for some goals, to be tried on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from guard.attacks.prompts.schema import Goal
from guard.errors import ConfigError
from guard.schema import Generator

__all__ = ["TARGET", "require_white_box", "search_suffix"]

TARGET = "Sure, here is"
"""How an answer shall begin, as in the paper's data."""

_CANDIDATES = 48
_TOKENS = 12


def require_white_box(generator: Generator[str]) -> None:
    """Refuse a generator whose gradients cannot be had.

    Raises
    ------
    ConfigError
        It has no model and tokenizer of Transformers.
    """
    if not hasattr(generator, "model") or not hasattr(generator, "tokenizer"):
        raise ConfigError(
            f"{generator.name} has no weights here to search a suffix on: give suffixes found on another model with"
            " --suffixes, or attack a model for Transformers"
        )


def search_suffix(
    generator: Generator[str],
    goals: Sequence[Goal],
    *,
    n_steps: int,
    seed: int,
    on_step: Callable[[int, int], None] | None = None,
) -> str:
    """Return one suffix that brings a model nearer to obliging on all of some goals (Zou et al. 2023, algorithm 2).

    Parameters
    ----------
    generator : Generator
        With ``model`` and ``tokenizer``, as :class:`guard.generators.transformers.TransformersGenerator` has them.
    goals : sequence of Goal
        At least one. What the suffix does to them says nothing about others: measure it on those.
    n_steps : int
    seed : int
    on_step : callable, optional
        Gets the steps made and the most that there are.

    Raises
    ------
    ConfigError
        No goals, or no white box.
    GeneratorError
        The model failed.
    """
    require_white_box(generator)
    from guard.attacks.causal_lm import CausalWhiteBox
    from guard.attacks.suffixes import Behaviour, SuffixSearch, find_suffix

    white_box: Any = generator
    found = find_suffix(
        CausalWhiteBox(white_box.model, white_box.tokenizer),
        [Behaviour(goal.text, TARGET) for goal in goals],
        SuffixSearch(n_steps=n_steps, n_candidates=_CANDIDATES, start=" !" * _TOKENS),
        seed=seed,
        on_step=None if on_step is None else lambda step, _: on_step(step, n_steps),
    )
    return found.suffix
