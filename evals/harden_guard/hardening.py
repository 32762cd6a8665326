"""One game from end to end: rows apart, attackers and filter loaded, rounds played, figures taken, defenders kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evals.harden_filter.rows import Parts, Table, read_parts
from evals.harden_guard.figures import Limits, clean_changes, game_changes, game_checks, standings
from evals.harden_guard.result import GameResult
from evals.verdict import verdict
from guard import assets
from guard.attacks.recipes import recipe
from guard.attacks.schema import Example
from guard.errors import ConfigError, OutputError
from guard.filters.encoder import SHIPPED_WEIGHTS
from guard.harden.filter_arena import ArenaRows, FilterArena, FilterDefender
from guard.harden.filter_training import HardenSettings, LabelledText
from guard.harden.game import Game, play
from guard.harden.validation import Validation
from guard.policy import Policy

__all__ = ["STRATEGIES", "GameRequest", "GameSizes", "harden_guard"]

STRATEGIES = ("deepwordbug", "pruthi", "textbugger")
"""What attackers may choose from unless told otherwise: recipes that follow no gradient and need no model of words."""

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class GameSizes:
    """How many rows each part of the game takes, at most.

    Parameters
    ----------
    search, held_out : int
        Harmful texts on which attackers choose, and on which both sides are measured.
    raided : int
        Rows of the training that attackers work on, harmful and harmless in turns.
    budget : int
        Most queries an example.
    """

    search: int = 60
    held_out: int = 150
    raided: int = 400
    budget: int = 300


@dataclass(frozen=True)
class GameRequest:
    """What to play.

    Parameters
    ----------
    table : Table
    out : pathlib.Path
        New or empty.
    category : str
    policy : str
        Whose threshold on the category decides.
    weights : pathlib.Path or None
        Folder of the encoder filter to start from; None is the one that ships.
    base : pathlib.Path or None
        Folder of the frozen encoder; None is the asset ``minilm``.
    strategies : tuple of str
    rounds, seed : int
    training : HardenSettings
        Of each round.
    sizes : GameSizes
    limits : Limits
    slips : bool
        Let defenders read text with slips in its ordinary spelling too, from the first round on.
    """

    table: Table
    out: Path
    category: str = "toxicity"
    policy: str = "standard"
    weights: Path | None = None
    base: Path | None = None
    strategies: tuple[str, ...] = STRATEGIES
    rounds: int = 3
    seed: int = 0
    training: HardenSettings = field(default_factory=HardenSettings)
    sizes: GameSizes = field(default_factory=GameSizes)
    limits: Limits = field(default_factory=Limits)
    slips: bool = True


def harden_guard(request: GameRequest, *, tell: Told = lambda what, done, total: None) -> GameResult:
    """Play the game, keep every defender under `out`, and take the figures.

    Raises
    ------
    ConfigError, DataError
        Something that was named is not there or makes no sense.
    FilterError
        The filter cannot be loaded or trained.
    OutputError
        `out` is there and not empty, or cannot be written.
    """
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise OutputError(f"{request.out} is there and not empty; name a new folder")
    threshold = Policy.load(request.policy).threshold_on(request.category)
    attacks = {name: recipe(name, threshold=threshold) for name in dict.fromkeys(request.strategies)}
    parts = read_parts(request.table, seed=request.seed)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=request.out.parent, prefix=f".{request.out.name}.") as scratch:
        place = _arena(request, parts, attacks, threshold, Path(scratch))
        first = place.defender(request.weights or SHIPPED_WEIGHTS)
        game = play(place, first, rounds=request.rounds, seed=request.seed, progress=tell)
        result = _result(request, parts, game, threshold)
        request.out.mkdir(exist_ok=True)
        for defender in dict.fromkeys(turn.defender for turn in game.rounds):
            if defender is not first:
                defender.weights.replace(request.out / defender.weights.name)
    return result


def _arena(request: GameRequest, parts: Parts, attacks: dict[str, Any], threshold: float, out: Path) -> FilterArena:
    categories = _categories(request)
    column = categories.index(request.category)
    harmful = [one.text for one in parts.test if one.label == 1]
    search = [one.text for one in parts.validation if one.label == 1][: request.sizes.search]
    labelled = [_labelled(one, column, len(categories)) for one in _in_turns(parts.train)]
    return FilterArena(
        base=request.base or assets.path("minilm"),
        out=out,
        category=request.category,
        threshold=threshold,
        attacks=attacks,
        rows=ArenaRows(labelled, search, harmful[: request.sizes.held_out], raided=request.sizes.raided),
        validation=Validation(
            [one.text for one in parts.validation],
            [one.label == 1 for one in parts.validation],
            column=column,
            threshold=threshold,
            seed=request.seed,
        ),
        settings=request.training,
        budget=request.sizes.budget,
        slips=request.slips,
    )


def _categories(request: GameRequest) -> tuple[str, ...]:
    from guard.filters.encoder import EncoderFilter

    categories = EncoderFilter.load(base=request.base, weights=request.weights).categories
    if request.category not in categories:
        raise ConfigError(f"the encoder filter does not score {request.category!r}; it has {', '.join(categories)}")
    return categories


def _in_turns(rows: Sequence[Example]) -> list[Example]:
    """Order rows harmful and harmless in turns, so that any beginning of them has both."""
    sides = [[one for one in rows if one.label == label] for label in (1, 0)]
    n = min(map(len, sides))
    turns = [one for pair in zip(*sides, strict=False) for one in pair]
    return [*turns, *sides[0][n:], *sides[1][n:]]


def _labelled(one: Example, column: int, n: int) -> LabelledText:
    return LabelledText(one.id, one.text, tuple(float(one.label) if at == column else -1.0 for at in range(n)))


def _result(request: GameRequest, parts: Parts, game: Game[FilterDefender], threshold: float) -> GameResult:
    """Take the figures of a game that was played."""
    column = game.first.filter.categories.index(request.category)
    texts = [one.text for one in parts.test]
    scores = [
        np.asarray(defender.filter.score_batch(texts)[:, column], dtype=np.float64)
        for defender in (game.first, game.defenders[-1])
    ]
    harmful = [one.label == 1 for one in parts.test]
    changes = [*game_changes(game), *clean_changes(scores[0], scores[1], harmful, threshold=threshold)]
    outcome, sentence, checks = verdict(game_checks(changes, request.limits, model=game.first.name))
    return GameResult(
        filter=game.first.name,
        category=request.category,
        threshold=threshold,
        out=request.out,
        seed=request.seed,
        strategies=game.strategies,
        payoffs=tuple(tuple(float(rate) for rate in row) for row in game.payoffs),
        standings=tuple(standings(game)),
        weights=tuple(turn.weights for turn in game.rounds),
        changes=tuple(changes),
        outcome=outcome,
        sentence=sentence,
        checks=checks,
        n_rows=(len(parts.train), len(parts.validation), len(parts.test)),
    )
