"""``assay score``: a table back with one column a category."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from evals.commands.options import DEVICE, POSITIVE
from evals.commands.options import filters as filters_option
from evals.progress import show_progress

__all__ = ["score"]


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@filters_option("encoder")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV, JSONL or Parquet file to write.")
@DEVICE
@click.option("--batch-rows", type=POSITIVE, default=256, show_default=True, help="Rows held in memory at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def score(
    source: Path, column: str, filters: tuple[str, ...], out: Path, device: str, batch_rows: int, as_json: bool
) -> None:
    """Score a table: the rows of FILE back with one column a category."""
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading filters"):
            from evals.tables import score_table
            from guard.filters.table import load_filter

            loaded = [load_filter(name, device=device) for name in filters]
        tell: Callable[[int], None] = lambda rows: bars.show("rows", rows, 0)  # noqa: E731
        found = score_table(source, out, column=column, filters=loaded, batch_rows=batch_rows, on_progress=tell)
    if as_json:
        click.echo(json.dumps({"rows": found.n_rows, "unscored": found.n_unscored, "columns": list(found.categories)}))
    else:
        unscored = f", {found.n_unscored} without text" if found.n_unscored else ""
        click.echo(f"{found.n_rows} rows{unscored}: {', '.join(found.categories)} in {out}")
