"""A recipe of :mod:`guard.attacks` against a model in training, for the hook that stores adversarial texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.attacks.engine import run_attack
from guard.attacks.schema import Example, Probabilities
from guard.attacks.space import Attack
from guard.harden.batch import Trainable
from guard.harden.validation import all_logits

__all__ = ["RecipeAttack", "TrainableVictim"]


class TrainableVictim:
    """One category of a model in training, as it is now.

    Parameters
    ----------
    model : Trainable
    column : int
        Of the category.
    """

    def __init__(self, model: Trainable, column: int) -> None:
        self._model, self._column = model, column

    @property
    def name(self) -> str:
        """Of no digest: its answers are for one call alone, and nothing is kept of them."""
        return f"training@{id(self._model):x}"

    @property
    def labels(self) -> tuple[str, str]:
        """``not CATEGORY`` and ``CATEGORY``."""
        category = self._model.categories[self._column]
        return (f"not {category}", category)

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text; float64, shape (len(texts), 2)."""
        chance = 1 / (1 + np.exp(-all_logits(self._model, texts)[:, self._column].clip(-60, 60)))
        return np.stack((1 - chance, chance), axis=1)


class RecipeAttack:
    """Attacks some of the texts that it is given: an :data:`guard.harden.recipe_hook.AttackTexts`.

    Parameters
    ----------
    attack : Attack
        With the goal that a text crosses the most probable label.
    column : int
        Of the category.
    rows : int
        Texts of a call that are attacked, chosen at random among those with a known label.
    budget : int
        Most queries a text.
    seed : int
    """

    def __init__(self, attack: Attack, *, column: int, rows: int = 4, budget: int = 80, seed: int = 0) -> None:
        self._attack, self._column, self._rows, self._budget, self._seed = attack, column, rows, budget, seed
        self._random = random.Random(f"recipe/{seed}")  # noqa: S311 - no secret

    def __call__(self, texts: Sequence[str], labels: npt.NDArray[np.float32], model: Trainable) -> list[str | None]:
        """Return the text of each attack that met its goal."""
        known = [row for row in range(len(texts)) if labels[row, self._column] >= 0]
        chosen = sorted(self._random.sample(known, min(self._rows, len(known))))
        examples = [Example(str(row), texts[row], int(labels[row, self._column] > 0.5)) for row in chosen]
        victim = TrainableVictim(model, self._column)
        found: list[str | None] = [None] * len(texts)
        for attempt in run_attack(self._attack, victim, examples, seed=self._seed, budget=self._budget):
            if attempt.status == "succeeded":
                found[int(attempt.example_id)] = attempt.perturbed
        return found
