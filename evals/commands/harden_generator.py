"""``assay harden generator``: low-rank training against jailbreaks, with before, after and a verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from evals.commands.options import DEVICE, DTYPE, POSITIVE
from evals.console import table
from evals.progress import show_progress

__all__ = ["generator"]


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True, help="Asset, folder, GGUF file or hub id.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; new or empty.")
@click.option(
    "--goals", type=click.Path(path_type=Path), help="Harmful requests to train on. Default: AdvBench and ours."
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=40.0, show_default=True, help="In all.")
@click.option("--steps", type=POSITIVE, default=600, show_default=True, help="Most steps of training.")
@click.option("--measure-goals", type=click.IntRange(min=2), default=60, show_default=True, help="Goals measured on.")
@click.option("--measure-benign", type=POSITIVE, default=200, show_default=True, help="Benign requests measured on.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def generator(out: Path, as_json: bool, **options: Any) -> None:
    """Train a chat model to refuse attacked requests and to keep its other answers; write the model and its card.

    A run that was killed goes on where it was when the same command is given again. Exit codes: 0 attack success is
    halved at little cost, 1 it is not, 3 not enough evidence.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading"):
            from evals.harden_generator.data import Sizes
            from evals.harden_generator.hardening import HardenRequest, harden
            from evals.harden_generator.page import write_pages
            from evals.harden_generator.result import figure_rows
            from guard.harden.generator.training import TrainingSettings

            n, benign = options["measure_goals"], options["measure_benign"]
            request = HardenRequest(
                options["model"],
                out,
                options["goals"],
                options["minutes"],
                options["seed"],
                options["device"],
                options["dtype"],
                sizes=Sizes(goals=n, adaptive_goals=n, harmless=benign),
                training=TrainingSettings(steps=options["steps"]),
            )
        result = harden(request, tell=bars.show)
        write_pages(result)
    if as_json:
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        table(["", "before", "after", "difference", "n", "unscored"], figure_rows(result))
        click.echo(f"\n{result.sentence}\nWrote {result.out}: model, adapter, report.html and report.md.")
    sys.exit(int(result.outcome))
