"""The one table from the names of attacks on generators, as people write them, to attacks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from guard.attacks.prompts.best_of_n import BestOfN
from guard.attacks.prompts.encodings import encoded_wordings
from guard.attacks.prompts.many_shot import shot_wordings
from guard.attacks.prompts.pair import Pair
from guard.attacks.prompts.schema import PromptAttack, Wording
from guard.attacks.prompts.suffix import suffix_wordings
from guard.attacks.prompts.templates import PLAIN, injection_templates, shipped_templates, wild_templates
from guard.attacks.prompts.wordings import WordingAttack
from guard.errors import ConfigError
from guard.schema import Generator

__all__ = ["ADAPTIVE", "AttackParts", "all_wordings", "prompt_attack", "prompt_attack_names"]

ADAPTIVE = "adaptive"
"""Run by :func:`guard.attacks.prompts.adaptive.adapt`: it needs the goals in two halves."""


@dataclass(frozen=True)
class AttackParts:
    """What some attacks are made of and cannot be had by name.

    Parameters
    ----------
    attacker : Generator or None
        Rewrites prompts, for ``pair``.
    streams : int
        Conversations of the attacker a goal.
    suffixes : sequence of str
        For ``suffix``.
    wild : sequence of (str, str)
        Id and text of prompts seen in the wild, for ``wild``.
    sigma : float
        How strong ``best-of-n`` scrambles.
    """

    attacker: Generator[str] | None = None
    streams: int = 2
    suffixes: Sequence[str] = ()
    wild: Sequence[tuple[str, str]] = ()
    sigma: float = 0.4


def _pair(parts: AttackParts) -> PromptAttack:
    if parts.attacker is None:
        raise ConfigError("attack pair needs an attacker model that rewrites prompts: name one")
    return Pair(parts.attacker, streams=parts.streams)


_WORDINGS: Mapping[str, Callable[[AttackParts], Sequence[Wording]]] = MappingProxyType(
    {
        "templates": lambda _: shipped_templates(),
        "wild": lambda parts: wild_templates(parts.wild),
        "encodings": lambda _: encoded_wordings(),
        "injection": lambda _: injection_templates(),
        "many-shot": lambda _: shot_wordings(),
        "suffix": lambda parts: suffix_wordings(parts.suffixes),
    }
)
_OTHERS: Mapping[str, Callable[[AttackParts], PromptAttack]] = MappingProxyType(
    {
        "direct": lambda _: WordingAttack("direct", [PLAIN]),
        "best-of-n": lambda parts: BestOfN(parts.sigma),
        "pair": _pair,
    }
)


def prompt_attack_names() -> tuple[str, ...]:
    """Return the names that are known, :data:`ADAPTIVE` included."""
    return tuple(sorted({*_WORDINGS, *_OTHERS, ADAPTIVE}))


def prompt_attack(name: str, parts: AttackParts | None = None) -> PromptAttack:
    """Return an attack by its name.

    Parameters
    ----------
    name : str
        One of :func:`prompt_attack_names`, but :data:`ADAPTIVE`.
    parts : AttackParts, optional

    Raises
    ------
    ConfigError
        No such attack (the nearest is named), or one that lacks a part.
    """
    parts = parts or AttackParts()
    if name in _WORDINGS:
        return WordingAttack(name, _WORDINGS[name](parts))
    if name in _OTHERS:
        return _OTHERS[name](parts)
    near = difflib.get_close_matches(name, prompt_attack_names(), n=1, cutoff=0.0)
    raise ConfigError(
        f"unknown attack on generators {name!r}; did you mean {near[0]!r}? (known: {', '.join(prompt_attack_names())})"
    )


def all_wordings(parts: AttackParts | None = None) -> list[Wording]:
    """Return every wording that the parts allow, for an attack that adapts."""
    parts = parts or AttackParts()
    return [wording for make in _WORDINGS.values() for wording in make(parts)]
