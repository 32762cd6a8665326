"""Searches for changes of texts by which a guard of prompts lets them pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from evals.schema import Sample
from guard.attacks.engine import run_attack
from guard.attacks.readings import Readings
from guard.attacks.recipes import recipe
from guard.attacks.schema import Attempt, Example
from guard.attacks.victims import VerdictVictim
from guard.guard import Guard
from guard.schema import Action

__all__ = ["searched"]

_STOPPED = 1


def searched(guard: Guard, samples: Sequence[Sample]) -> list[Attempt]:
    """Attack the prompt of each sample with the recipe that its group names, within its budget.

    Parameters
    ----------
    guard : Guard
        One whose policy blocks no prompt has nothing to evade: its texts come back as they are.
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
    rules = guard.policy.thresholds.items()
    blocking = {name: at for (stage, name), (at, action) in rules if stage == "input" and action == Action.BLOCK}
    judge = partial(guard.check, stage="input")
    readings = Readings(VerdictVictim(judge, name=guard.policy.name, thresholds=blocking))
    found: dict[str, Attempt] = {}
    for name, budget in dict.fromkeys((sample.group, sample.budget) for sample in samples):
        # The sample's own seed is in the id, by which the engine seeds the search of an example.
        examples = [
            Example(f"{one.id}/{one.seed}", one.prompt, _STOPPED)
            for one in samples
            if (one.group, one.budget) == (name, budget)
        ]
        for attempt in run_attack(recipe(name), readings, examples, budget=budget or None):
            found[attempt.example_id] = attempt
    return [found[f"{one.id}/{one.seed}"] for one in samples]
