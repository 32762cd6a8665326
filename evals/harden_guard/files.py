"""What is kept of a game beside its defenders: ``game.json``, ``game.md`` and ``game.html``."""

from __future__ import annotations

import json
from pathlib import Path

from evals.attacking.files import write_texts
from evals.harden_guard.result import GameResult
from evals.report.hardened import Hardened, Turn, hardened_markdown
from evals.report.hardened_html import hardened_html

__all__ = ["game_page", "write_game"]


def write_game(result: GameResult) -> list[Path]:
    """Write the three files into the folder of the game, each in one step, and return their paths.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    page = game_page(result)
    texts = {
        "game.json": json.dumps(result.to_dict(), indent=2) + "\n",
        "game.md": hardened_markdown(page),
        "game.html": hardened_html(page),
    }
    write_texts(result.out, texts)
    return [result.out / name for name in texts]


def game_page(result: GameResult) -> Hardened:
    """Return the game as a page."""
    train, validation, test = result.n_rows
    return Hardened(
        title=f"{result.category} of {result.filter} against attackers that adapt",
        outcome=result.outcome,
        sentence=result.sentence,
        checks=result.checks,
        changes=result.changes,
        notes=(
            "Each round the attacker takes the strategy that does best against the newest defender; the defender trains"
            " on what the whole pool made of its rows. Neither learns from the rows that are measured.",
            "Left to exploit: success of the best response less the value of the game of the pool, each side mixing as"
            " it likes.",
        ),
        facts=(
            ("Filter", result.filter),
            ("Category and threshold", f"{result.category}, {result.threshold:g}"),
            ("Rows to train on, choose by, measure on", f"{train}, {validation}, {test}"),
            ("Seed", str(result.seed)),
        ),
        turns=[
            Turn(
                "before" if one.round == 0 else f"round {one.round}",
                one.best_response,
                one.success,
                one.caught,
                one.exploitability,
            )
            for one in result.standings
        ],
        strategies=result.strategies,
        payoffs=result.payoffs,
    )
