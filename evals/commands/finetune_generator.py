"""``assay finetune generator``: train a causal language model on rows of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evals.commands.options import DEVICE, DTYPE

__all__ = ["generator"]


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True, help="Asset, folder, GGUF file or hub id.")
@click.option("--data", required=True, metavar="FILE", help="CSV, JSON Lines, Parquet, plain text, or hub:NAME.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; new or empty. Default: under runs/.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
def generator(data: str, **options: Any) -> None:
    """Train a causal language model on the rows of a data set."""
    raise click.ClickException(f"cannot train on {data} yet")
