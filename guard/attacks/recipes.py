"""Attacks by their published names: one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from guard.attacks.constraints.modifiable import LongWords, NotStopWords, NotTwice
from guard.attacks.constraints.overlap import AtMostWordsPerturbed, EditDistance
from guard.attacks.goals import InputReduction, Untargeted
from guard.attacks.neural_recipes import NEURAL_RECIPES, Parts
from guard.attacks.search.beam import Beam
from guard.attacks.search.few_queries import FewQueries
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.search.reduce_few import ReduceFewQueries
from guard.attacks.space import Attack
from guard.attacks.transformations.characters import (
    DeleteCharacter,
    InsertCharacter,
    SubstituteCharacter,
    SwapNeighbours,
)
from guard.attacks.transformations.contractions import Contract, WriteOut
from guard.attacks.transformations.deletion import DeleteWord
from guard.attacks.transformations.keys import PressKeyBeside
from guard.attacks.transformations.numbers import ChangeNumber
from guard.attacks.transformations.whole_text import InFrame
from guard.attacks.transformations.wordnet import SwapSynonym
from guard.errors import ConfigError

__all__ = ["FEW_QUERIES", "RECIPES", "Recipe", "few_queries", "recipe"]

FEW_QUERIES = (
    "It is not the recipe as published: its changes, constraints and goal are, but words are ranked by a gradient in"
    " the place of queries, and the first success ends the search. More words may be changed."
)
"""What :func:`few_queries` does otherwise than published, in words for whoever reads its figures."""

Recipe = Callable[[float | None], Attack]
"""A threshold, or None for the most probable label, to the attack."""


def _deepwordbug(threshold: float | None) -> Attack:
    """Gao et al. 2018, "Black-box Generation of Adversarial Text Sequences to Evade Deep Learning Classifiers"."""
    return Attack(
        "deepwordbug",
        Untargeted(threshold),
        (SwapNeighbours(), SubstituteCharacter(), DeleteCharacter(), InsertCharacter()),
        GreedyByImportance("unknown"),
        (NotTwice(), NotStopWords.english()),
        (EditDistance(30),),
    )


def _pruthi(threshold: float | None) -> Attack:
    """Pruthi et al. 2019, "Combating Adversarial Misspellings with Robust Word Recognition"; one typing error."""
    return Attack(
        "pruthi",
        Untargeted(threshold),
        tuple(edit(False, True, True) for edit in (SwapNeighbours, DeleteCharacter, InsertCharacter, PressKeyBeside)),
        Beam(1),
        (LongWords(4), NotStopWords.english(), NotTwice()),
        (AtMostWordsPerturbed(number=1),),
    )


def _input_reduction(threshold: float | None) -> Attack:
    """Feng et al. 2018, "Pathologies of Neural Models Make Interpretations Difficult"."""
    return Attack(
        "input-reduction",
        InputReduction(threshold),
        (DeleteWord(),),
        GreedyByImportance("delete"),
        (NotTwice(), NotStopWords.english()),
    )


def _pwws(threshold: float | None) -> Attack:
    """Ren et al. 2019, "Natural Language Adversarial Examples through Probability Weighted Word Saliency"."""
    return Attack(
        "pwws",
        Untargeted(threshold),
        (SwapSynonym(),),
        GreedyByImportance("saliency"),
        (NotTwice(), NotStopWords.english()),
    )


def _checklist(threshold: float | None) -> Attack:
    """Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList"; no names and places.

    Changing names and places needs lists of them and a model that finds them, neither of which is at hand.
    """
    return Attack("checklist", Untargeted(threshold), (WriteOut(), Contract(), ChangeNumber()), Beam(1), (NotTwice(),))


def _love(threshold: float | None) -> Attack:
    """Gröndahl et al. 2018, "All You Need is 'Love': Evading Hate-speech Detection"; no typing errors."""
    return Attack("love", Untargeted(threshold), (InFrame(),), Beam(1), (NotTwice(),))


def _with_models(name: str) -> Recipe:
    """Return a recipe that makes do with the models that come as assets."""
    return lambda threshold: NEURAL_RECIPES[name](threshold, Parts())


_PLAIN: Mapping[str, Recipe] = {
    **{"checklist": _checklist, "deepwordbug": _deepwordbug, "input-reduction": _input_reduction},
    "love": _love,
    **{"pruthi": _pruthi, "pwws": _pwws},
}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {name: _PLAIN[name] if name in _PLAIN else _with_models(name) for name in sorted([*_PLAIN, *NEURAL_RECIPES])}
)
"""Every recipe by its name. Settings are those of TextAttack 0.3.11 where it has the recipe; where one differs,
``guard.attacks.neural_recipes.DIFFERS`` says how."""


def recipe(name: str, *, threshold: float | None = None, parts: Parts | None = None) -> Attack:
    """Return an attack by its published name.

    Parameters
    ----------
    name : str
        A key of `RECIPES`; case and underscores do not matter.
    threshold : float or None
        Of label 1, for a victim with two labels that decides by one; None is the most probable label.
    parts : Parts, optional
        The victim, for recipes that follow its gradients, and models that a recipe needs beside it.

    Raises
    ------
    ConfigError
        There is no such recipe, or the data that it needs are not there: the message says what to install.
    """
    known = name.lower().replace("_", "-")
    if known not in RECIPES:
        raise ConfigError(f"no recipe is called {name!r}; known: {', '.join(RECIPES)}")
    if known in NEURAL_RECIPES:
        return NEURAL_RECIPES[known](threshold, parts or Parts())
    return RECIPES[known](threshold)


def few_queries(attack: Attack) -> Attack:
    """Return the attack with a search that asks a white box as little as it can.

    Parameters
    ----------
    attack : Attack
        That puts single words for single words, greedily or in one pass, or one that leaves words out without end.

    Returns
    -------
    Attack
        With the same goal, changes and constraints, under a name that says so.

    Raises
    ------
    ConfigError
        There is no such search for it.
    """
    kinds = {part.kind for part in attack.transformations}
    plain = isinstance(attack.search, GreedyByImportance) or attack.search == Beam(1)
    contracts = any(isinstance(part, Contract) for part in attack.transformations)
    name = f"{attack.name}+few-queries"
    if plain and kinds == {"delete"} and attack.goal.endless:
        return dataclasses.replace(attack, name=name, search=ReduceFewQueries())
    if plain and kinds == {"swap"} and not contracts and not attack.goal.endless:
        return dataclasses.replace(attack, name=name, search=FewQueries())
    raise ConfigError(
        f"recipe {attack.name} has no search with few queries: there is one for recipes that put a word for a word,"
        " greedily or all at once, and for input-reduction; run it as published"
    )
