"""The one table from the names of hooks, as people write them, to the hooks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from guard.errors import ConfigError
from guard.harden.batch import Hook
from guard.harden.freelb import FreeLBHook
from guard.harden.random_hook import RandomHook
from guard.harden.recipe_hook import RecipeHook
from guard.harden.searched_hook import SearchedHook
from guard.harden.smart import SmartHook
from guard.harden.virtual import VirtualHook

__all__ = ["HOOKS", "known_moves", "make_hooks"]


@dataclass(frozen=True)
class _Order:
    """What hooks are made with: the part of the name after the colon, a seed, the column, and unlabelled texts."""

    argument: str
    seed: int
    column: int
    unlabelled: Sequence[str]


def _recipe(order: _Order) -> Hook:
    from guard.attacks.recipes import recipe
    from guard.harden.recipe_attack import RecipeAttack

    if not order.argument:
        raise ConfigError("hook recipe needs the name of an attack: give recipe:deepwordbug, for example")
    return RecipeHook(RecipeAttack(recipe(order.argument), column=order.column, seed=order.seed))


HOOKS: Mapping[str, Callable[[_Order], Hook]] = MappingProxyType(
    {
        "a2t": lambda order: SearchedHook(seed=order.seed, rows=5, most_words=3),
        "freelb": lambda order: FreeLBHook(seed=order.seed),
        "random": lambda order: RandomHook(seed=order.seed, least=0.2, replace=0.7),
        "recipe": _recipe,
        "smart": lambda order: SmartHook(seed=order.seed),
        "virtual": lambda order: VirtualHook(order.unlabelled, seed=order.seed),
    }
)
"""Every hook by its name; ``recipe`` takes that of an attack behind a colon."""

_LETTER_MOVES = frozenset({"deepwordbug", "pruthi", "textbugger"})
"""Attacks whose moves, or most of them, are letters of single words: what ``random`` and ``a2t`` train on."""


def make_hooks(names: Sequence[str], *, seed: int, column: int, unlabelled: Sequence[str] = ()) -> list[Hook]:
    """Make hooks by name.

    Parameters
    ----------
    names : sequence of str
        Keys of `HOOKS`, or ``recipe:ATTACK``.
    seed : int
        Each hook draws from a stream of its own.
    column : int
        Of the category that is hardened.
    unlabelled : sequence of str
        Texts for ``virtual``.

    Raises
    ------
    ConfigError
        An unknown name, of which the nearest is said; an attack that cannot run; an argument where none belongs.
    """
    found = []
    for number, name in enumerate(names):
        kind, _, argument = name.partition(":")
        if kind not in HOOKS:
            near = difflib.get_close_matches(kind, HOOKS, n=1, cutoff=0.0)[0]
            raise ConfigError(f"unknown hook {name!r}; did you mean {near!r}? (known: {', '.join(HOOKS)})")
        if argument and kind != "recipe":
            raise ConfigError(f"hook {name!r}: {kind} takes no argument; only recipe:ATTACK does")
        found.append(HOOKS[kind](_Order(argument, seed * 1000 + number, column, unlabelled)))
    return found


def known_moves(names: Sequence[str]) -> frozenset[str]:
    """Return the attacks whose moves hooks of these names train on."""
    recipes = {name.partition(":")[2] for name in names if name.startswith("recipe:")}
    return frozenset(recipes) | (_LETTER_MOVES if {"random", "a2t"} & {*names} else frozenset())
