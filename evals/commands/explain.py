"""``assay explain``: which words a score or an answer came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evals.commands.options import DEVICE, POSITIVE, batch_size, endpoint_options, generator_options
from evals.progress import show_progress

__all__ = ["explain"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--model", metavar="ID_OR_PATH", help="Explain an answer of this model to --prompt.")
@click.option("--prompt", help="What the model was asked.")
@click.option("--output", help="The answer to explain. Default: what the model writes.")
@click.option("--against", help="Explain why the answer and not this one.")
@click.option("--method", help="How. For models: leave-one-out, gradient-x-input, integrated-gradients.")
@click.option("--max-new-tokens", type=POSITIVE, default=64, show_default=True, help="Of an answer.")
@click.option("--chat/--no-chat", default=True, show_default=True, help="Use the model's chat template.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@click.option(
    "--dtype",
    type=click.Choice(["auto", "bfloat16", "float16", "float32"]),
    default="float32",
    show_default=True,
    help="Of the model; gradients are coarse in the shorter ones.",
)
@click.option("--batch-size", default="auto", callback=batch_size, show_default=True, help="Rows that run together.")
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(as_json: bool, **options: Any) -> None:
    """Say which words of a prompt an answer came from."""
    if options["model"] is None or options["prompt"] is None:
        raise click.UsageError("give --model and --prompt")
    with show_progress(quiet=as_json) as bars, bars.busy("explaining"):
        from evals.explaining.explained import document
        from evals.explaining.models import ModelRequest, explain_prompts
        from guard.generators.table import find_generator

        found = find_generator(options["model"], generator_options(options))
        request = ModelRequest(
            (options["prompt"],),
            **{name: options[name] for name in ("output", "against", "method", "seed", "max_new_tokens", "chat")},
        )
        explained = explain_prompts(found, request)
    if as_json:
        click.echo(json.dumps(document(explained), ensure_ascii=True))
        return
    from rich.console import Console

    from evals.explaining.terminal import show_explained

    show_explained(explained, Console())
