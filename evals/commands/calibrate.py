"""``assay calibrate``: a threshold with a bounded error rate, from labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from evals.commands.options import DEVICE
from evals.commands.options import filters as filters_option
from evals.progress import show_progress
from guard.filters.table import DEFAULT_FILTERS

__all__ = ["calibrate"]


@click.command()
@click.option(
    "--data",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="Labelled texts: CSV, JSONL or Parquet.",
)
@click.option("--category", required=True, help="Category of the threshold, such as toxicity.")
@click.option("--stage", type=click.Choice(["input", "output"]), default="output", show_default=True)
@click.option("--max-miss", type=float, help="Largest share of harmful texts that may pass, such as 0.05.")
@click.option("--max-false-alarm", type=float, help="Largest share of harmless texts that may be stopped.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="How sure the bound shall be.")
@click.option(
    "--on-average",
    is_flag=True,
    help="Bound the average over calibrations instead: fewer texts, and about half of the calibrations exceed it.",
)
@click.option(
    "--next",
    "future_n",
    type=click.IntRange(min=0),
    help="Size of a later set that shall keep the bound too; 0 for none. Default: as many as there are here.",
)
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@click.option("--label-column", default="label", show_default=True, help="Where the labels are: 1 harmful, 0 harmless.")
@click.option("--positive", metavar="VALUE", help="The label of a harmful text, where labels are not 0 and 1.")
@click.option("--group-column", help="Rows with the same value count as one observation.")
@click.option("--policy", default="standard", show_default=True, help="The policy to change: shipped, or a TOML file.")
@click.option(
    "--action",
    type=click.Choice(["allow", "review", "redact", "regenerate", "block"]),
    default="block",
    show_default=True,
    help="What the rule does, where the policy has none for the category.",
)
@filters_option(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Policy to write, a TOML file.")
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def calibrate(
    source: Path,
    out: Path,
    category: str,
    stage: Any,
    max_miss: float | None,
    max_false_alarm: float | None,
    on_average: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Set a threshold from labelled texts so that its error rate is bounded; write the policy with its certificate."""
    levels = [("miss", max_miss), ("false_alarm", max_false_alarm)]
    asked = [(risk, level) for risk, level in levels if level is not None]
    if len(asked) != 1:
        raise click.UsageError("give one of --max-miss and --max-false-alarm")
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading filters"):
            from evals.calibration import Columns, Promise, calibrate_policy, describe, to_json
            from guard.filters.table import load_filter
            from guard.schema import Action

            loaded = [load_filter(name, device=options["device"]) for name in options["filters"]]
        result = calibrate_policy(
            source,
            out,
            stage=stage,
            category=category,
            promise=Promise(
                cast(Any, asked[0][0]),
                asked[0][1],
                options["confidence"],
                "conformal-risk-control" if on_average else "clopper-pearson",
                options["future_n"],
            ),
            filters=loaded,
            columns=Columns(options["column"], options["label_column"], options["group_column"], options["positive"]),
            policy=options["policy"],
            action=Action[options["action"].upper()],
            on_progress=lambda rows: bars.show("texts", rows, 0),
        )
    click.echo(to_json(result) if as_json else "\n".join([*describe(result), f"Policy: {result.out}"]))
