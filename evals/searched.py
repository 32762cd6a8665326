"""Searches for changes of texts by which a guard of prompts lets them pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.schema import Sample
from guard.attacks.engine import run_attack
from guard.attacks.recipes import recipe
from guard.attacks.schema import Attempt, Example
from guard.attacks.victims import VerdictVictim
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Verdict

__all__ = ["input_victim", "searched"]

_STOPPED = 1


def input_victim(guard: Guard, *, name: str) -> VerdictVictim:
    """Return the input side of a guard as a victim with the labels ``allowed`` and ``blocked``.

    Parameters
    ----------
    guard : Guard
    name : str
        Of its policy and filters, with their digests.
    """

    def judged(texts: Sequence[str]) -> list[Verdict]:
        """Nobody can write a prompt again: what asks for that blocks."""
        found = guard.check(texts, stage="input")
        return [replace(one, action=Action.BLOCK) if one.action == Action.REGENERATE else one for one in found]

    return VerdictVictim(judged, name=name, thresholds=_blocking(guard.policy))


def searched(guard: Guard, samples: Sequence[Sample]) -> list[Attempt]:
    """Attack the prompt of each sample with the recipe that its group names, within its budget.

    Parameters
    ----------
    guard : Guard
    samples : sequence of Sample

    Returns
    -------
    list of Attempt
        One a sample, in their order; a function of the sample and the guard, whatever else is among them.

    Raises
    ------
    ConfigError
        The recipe is unknown, or what it needs is not installed.
    """
    victim = input_victim(guard, name=guard.policy.name)
    found: dict[str, Attempt] = {}
    for name, budget in dict.fromkeys((sample.group, sample.budget) for sample in samples):
        # The sample's own seed is in the id, by which the engine seeds the search of an example.
        examples = [
            Example(f"{one.id}/{one.seed}", one.prompt, _STOPPED)
            for one in samples
            if (one.group, one.budget) == (name, budget)
        ]
        for attempt in run_attack(recipe(name), victim, examples, budget=budget or None):
            found[attempt.example_id] = attempt
    return [found[f"{one.id}/{one.seed}"] for one in samples]


def _blocking(policy: Policy) -> dict[str, float]:
    """Return the thresholds on prompts whose rules block."""
    return {
        category: threshold
        for (stage, category), (threshold, action) in policy.thresholds.items()
        if stage == "input" and action in (Action.BLOCK, Action.REGENERATE)
    }
