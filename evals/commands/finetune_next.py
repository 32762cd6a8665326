"""``assay finetune next``: the rows that a person should label next."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import DEVICE, POSITIVE
from evals.console import one_line
from evals.progress import show_progress

if TYPE_CHECKING:
    from evals.curves import Share
    from evals.finetune_filter.next_rows import NextResult

__all__ = ["next_"]

_PATH = click.Path(path_type=Path)
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command(name="next")
@click.option("--data", "pool", type=_PATH, required=True, help="Texts without labels: CSV, JSONL or Parquet.")
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@click.option("--filter", "filter_name", default="encoder", show_default=True, help="Filter, as NAME or NAME:ARGUMENT.")
@click.option("--category", help="Of the filter; default: its last, which fine-tuning added.")
@click.option("--n", type=POSITIVE, default=100, show_default=True, help="Rows to pick.")
@click.option("--labelled", type=_PATH, help="Rows with labels: not picked again. Earlier output tells the error rate.")
@click.option(
    "--strategy",
    type=click.Choice(["badge", "k-center", "random", "uncertain"]),
    default="badge",
    show_default=True,
    help="badge: uncertain and unlike each other; k-center: unlike all others.",
)
@click.option("--control", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Share drawn at random.")
@click.option("--threshold", type=_SHARE, default=0.5, show_default=True, help="Where the filter is uncertain.")
@click.option("--out", type=_PATH, required=True, help="CSV or JSONL to write, with a column label to fill in.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def next_(as_json: bool, **options: Any) -> None:
    """Pick the rows that a person should label next, each with its reason, and some at random.

    The random ones give an honest error rate: fill in `label`, and hand the file back with --labelled.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals.finetune_filter.next_rows import NextRequest, next_rows

            request = NextRequest(**options)
        result = next_rows(request, progress=bars.show)
    if as_json:
        click.echo(json.dumps(_document(result), ensure_ascii=False))
    else:
        _show(result)


def _document(result: NextResult) -> dict[str, Any]:
    return {
        "filter": result.filter,
        "category": result.category,
        "out": str(result.request.out),
        "pool": result.n_pool,
        "left_out": asdict(result.counts),
        "picked": {kind: sum(pick.kind == kind for pick in result.picks) for kind in ("active", "control")},
        "estimate": None if result.estimate is None else asdict(result.estimate),
    }


def _show(result: NextResult) -> None:
    """Print what was picked, and what earlier control rows tell."""
    kinds = [pick.kind for pick in result.picks]
    left = result.counts.sentence()
    click.echo(
        f"{kinds.count('active')} rows by {result.request.strategy} and {kinds.count('control')} at random, of"
        f" {result.n_pool:,} for the category {result.category}" + (f"; {left}" if left else "")
    )
    if result.estimate is not None:
        waiting = f"; {result.estimate.n_unlabelled} control rows wait for a label" * bool(result.estimate.n_unlabelled)
        click.echo(
            f"The filter that picked the labelled rows: error rate {_share(result.estimate.error)},"
            f" missed {_share(result.estimate.missed)}, false alarms {_share(result.estimate.false_alarm)}{waiting}"
        )
    click.echo(f"Written: {one_line(str(result.request.out))}; fill in the column label.")


def _share(share: Share) -> str:
    if share.value is None:
        return "no data"
    return f"{share.value:.3f} ({share.interval[0]:.3f} to {share.interval[1]:.3f}, n = {share.trials})"
