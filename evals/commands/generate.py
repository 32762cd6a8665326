"""``assay generate``: guarded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.commands.options import DEVICE, DTYPE, POSITIVE
from evals.commands.options import filters as filters_option
from guard.filters.table import DEFAULT_FILTERS

__all__ = ["generate"]


@click.command()
@click.argument("prompt", metavar="[PROMPT | FILE | -]")
@click.option("--model", default="smollm2-135m", show_default=True, metavar="ID_OR_PATH")
@click.option("--policy", default="standard", show_default=True, help="A shipped policy or a TOML file.")
@filters_option(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option("--stream", is_flag=True, help="Print each piece once it has passed.")
@click.option("--steer", is_flag=True, help="Check while the model writes; take back what the policy would stop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; with --stream, events.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON Lines file for the answers to a FILE.")
@click.option("--column", default="prompt", show_default=True, help="Where the prompts of a FILE are.")
@click.option("--batch-rows", type=POSITIVE, default=32, show_default=True, help="Answered together.")
@click.option("--max-new-tokens", type=POSITIVE, default=256, show_default=True)
@click.option("--temperature", type=click.FloatRange(min=0), default=0.7, show_default=True, help="0 is greedy.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--chat/--no-chat", default=True, show_default=True, help="Use the model's chat template.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
@click.option("--audit-log", type=click.Path(path_type=Path), help="Append a record of every decision to this file.")
def generate(prompt: str, stream: bool, as_json: bool, out: Path | None, **options: Any) -> None:
    """Write guarded answers.

    PROMPT is the prompt itself, FILE the name of a .txt (a prompt a line), .csv, .jsonl or .parquet file, and - reads
    one prompt from standard input. What the policy did is told on the error stream. Exits 0 also where it blocked.
    """
    from evals.answering import answer

    answer(prompt, stream=stream, as_json=as_json, out=out, options=options)
