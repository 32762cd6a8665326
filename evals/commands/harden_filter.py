"""``assay harden filter``: the encoder filter trained on with hooks, with before, after and a verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import DEVICE, POSITIVE
from evals.console import one_line, table
from evals.progress import show_progress

if TYPE_CHECKING:
    from evals.harden_filter.hardening import HardenResult

__all__ = ["filter_"]

_PATH = click.Path(path_type=Path)
_SHARE = click.FloatRange(0, 1, max_open=True)


@click.command(name="filter")
@click.option("--filter", "filter_name", default="encoder", show_default=True, help="encoder, or encoder:FOLDER.")
@click.option("--data", "source", type=_PATH, required=True, help="Labelled texts: CSV, JSONL or Parquet.")
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@click.option("--label-column", default="label", show_default=True, help="Where the labels are: 1 harmful, 0 harmless.")
@click.option("--positive", metavar="VALUE", help="The label of a harmful text, where labels are not 0 and 1.")
@click.option("--category", default="toxicity", show_default=True, help="Category that is hardened.")
@click.option("--policy", default="standard", show_default=True, help="Gives the threshold: shipped, or a TOML file.")
@click.option("--stage", type=click.Choice(["input", "output"]), default="output", show_default=True)
@click.option(
    "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="In place of the policy's."
)
@click.option(
    "--hook",
    "hooks",
    multiple=True,
    default=("random",),
    show_default=True,
    help="random, a2t, freelb, smart, virtual, recipe:ATTACK or none. Repeat for several.",
)
@click.option("--slips/--no-slips", default=True, show_default=True, help="Read text with slips as it is meant too.")
@click.option("--unlabelled", type=_PATH, help="Texts without labels for virtual; same column.")
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    default=("deepwordbug", "pruthi"),
    show_default=True,
    help="Recipe to measure with. Repeat for several.",
)
@click.option("--attacked", type=POSITIVE, default=100, show_default=True, help="Most harmful texts to attack.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True, help="Training."
)
@click.option("--epochs", type=POSITIVE, default=1, show_default=True, help="Most epochs.")
@click.option("--max-auroc-drop", type=_SHARE, default=0.01, show_default=True)
@click.option("--max-false-alarm-rise", type=_SHARE, default=0.02, show_default=True)
@click.option("--min-fall", type=_SHARE, default=0.0, show_default=True, help="Share by which attacks must fall.")
@click.option("--out", type=_PATH, required=True, help="Folder to write, new or empty; then a filter encoder:FOLDER.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print harden.json instead of a table.")
def filter_(as_json: bool, **options: Any) -> None:
    """Train a filter against attacks on your own labelled texts, and show what that changed.

    A quarter of the texts only measure. The folder gets the weights, harden.html, harden.json and harden.md. Exit
    codes: 0 attack success falls and clean text loses nothing over the limits, 1 it does not, 3 not enough evidence.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals.attacking.files import write_texts
            from evals.harden_filter.hardening import harden_filter
            from evals.harden_filter.page import page_of
            from evals.harden_filter.report import to_json, to_markdown
            from evals.report.hardened_html import hardened_html

            request = _request(options)
        result = harden_filter(request, progress=bars.show)
        document = to_json(result)
        page = hardened_html(page_of(result))
        write_texts(request.out, {"harden.json": document, "harden.md": to_markdown(result), "harden.html": page})
    if as_json:
        click.echo(document, nl=False)
    else:
        _show(result)
    sys.exit(int(result.outcome))


def _request(options: dict[str, Any]) -> Any:
    """Turn the options into a request."""
    from evals.harden_filter.request import HardenRequest, Limits
    from evals.harden_filter.rows import Table

    columns = (options.pop("source"), options.pop("column"), options.pop("label_column"), options.pop("positive"))
    limits = Limits(options.pop("max_auroc_drop"), options.pop("max_false_alarm_rise"), options.pop("min_fall"))
    hooks = tuple(name for name in options.pop("hooks") if name != "none")
    return HardenRequest(table=Table(*columns), limits=limits, hooks=hooks, **options)


def _show(result: HardenResult) -> None:
    """Print the figures, the limits and where the files are."""
    from evals.harden_filter.report import short_head_and_rows

    table(*short_head_and_rows(result))
    for ruling in result.rulings:
        click.echo(f"{ruling.outcome.name}: {one_line(ruling.reason)}")
    click.echo(f"{result.outcome.name}. Written: {one_line(str(result.request.out))}; use it as encoder:FOLDER.")
