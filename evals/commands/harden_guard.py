"""``assay harden guard``: attacker and defender answer each other for some rounds, with what is left to exploit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from evals.commands.options import POSITIVE
from evals.console import table
from evals.progress import show_progress

__all__ = ["guard"]


@click.command()
@click.option("--filter", "filter_name", default="encoder", show_default=True, help="encoder, or encoder:FOLDER.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Labelled texts: CSV, JSONL or Parquet.")
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@click.option("--label-column", default="label", show_default=True, help="1 or 0, or see --positive.")
@click.option("--positive", help="The label of a harmful text, where labels are not 0 and 1.")
@click.option("--category", default="toxicity", show_default=True)
@click.option("--policy", default="standard", show_default=True, help="Whose threshold decides.")
@click.option("--attack", "attacks", multiple=True, help="Recipe that attackers may choose. Repeat for several.")
@click.option("--rounds", type=POSITIVE, default=3, show_default=True)
@click.option("--epochs", type=POSITIVE, default=1, show_default=True, help="Of each round's training.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Most time of each round's training.")
@click.option("--slips/--no-slips", default=True, show_default=True, help="Read text with slips as it is meant too.")
@click.option("--held-out", type=POSITIVE, default=150, show_default=True, help="Harmful texts measured on, at most.")
@click.option("--raided", type=POSITIVE, default=400, show_default=True, help="Rows that attackers change to train on.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; new or empty.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def guard(filter_name: str, out: Path, as_json: bool, **options: Any) -> None:
    """Let attackers and a filter answer each other; every attacker stays in the pool, every defender is kept.

    Exit codes: 0 less is left to exploit, every past attacker is beaten and clean text pays little, 1 not so, 3 not
    enough evidence.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading"):
            from evals.harden_filter.request import weights_folder
            from evals.harden_filter.rows import Table
            from evals.harden_guard.files import write_game
            from evals.harden_guard.hardening import STRATEGIES, GameRequest, GameSizes, harden_guard
            from guard.harden.filter_training import HardenSettings

            request = GameRequest(
                Table(options["data"], options["column"], options["label_column"], options["positive"]),
                out,
                category=options["category"],
                policy=options["policy"],
                weights=weights_folder(filter_name),
                strategies=options["attacks"] or STRATEGIES,
                rounds=options["rounds"],
                slips=options["slips"],
                seed=options["seed"],
                training=HardenSettings(epochs=options["epochs"], minutes=options["minutes"]),
                sizes=GameSizes(held_out=options["held_out"], raided=options["raided"]),
            )
        result = harden_guard(request, tell=bars.show)
        written = write_game(result)
    if as_json:
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        _show(result)
        click.echo(f"\n{result.sentence}")
        for path in written:
            click.echo(f"Report: {path}")
    sys.exit(int(result.outcome))


def _show(result: Any) -> None:
    from evals.report.hardened import figure_text

    rows = [
        [one.title, *(figure_text(side.value, side.interval) for side in (one.before, one.after)), str(one.n_paired)]
        for one in result.changes
    ]
    table(["", "before", "after", "n"], rows, whole=(1, 2, 3))
    turns = [
        [
            "before" if one.round == 0 else f"round {one.round}",
            one.best_response,
            figure_text(one.success.value, one.success.interval),
            "no data" if one.exploitability is None else f"{one.exploitability:.3f}",
        ]
        for one in result.standings
    ]
    table(["defender", "best response", "its success", "left to exploit"], turns, whole=range(4))
