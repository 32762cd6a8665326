"""``assay compare``: two runs, or two models of one run, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import click

from evals.schema import Arm

__all__ = ["compare"]


@click.command()
@click.argument("run_a", metavar="RUN_A[:MODEL]")
@click.argument("run_b", metavar="RUN_B[:MODEL]")
@click.option("--model", metavar="NAME", help="Which model, where a run has several and its argument names none.")
@click.option("--arm", type=click.Choice(get_args(Arm)), help="Only this arm; by default all that both runs have.")
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the intervals; one minus it is the error rate over all metrics.",
)
@click.option(
    "--max-drop",
    "max_drops",
    multiple=True,
    metavar="METRIC[@ARM]=DROP",
    help="How much worse a metric may be in B, such as toxicity/toxicity_probability@guarded=0.03. Repeat for several.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Changed samples to keep for each metric, arm and way.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random permutations.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for comparison.json, .md and .html.")
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json instead of tables.")
def compare(
    run_a: str,
    run_b: str,
    model: str | None,
    max_drops: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare run B with run A, paired by prompt: effects, p-values, and the samples that changed.

    Each RUN is the folder of a finished audit. Without --max-drop exits 0; with it, 0 where every drop is surely
    within what is allowed, 1 where one is surely beyond, 3 where the evidence does not tell.
    """
    from rich.console import Console

    from evals.compare import compare as compare_sides
    from evals.comparison.drops import parse_drop
    from evals.comparison.sides import load_side
    from evals.report import compared

    drops = [parse_drop(text) for text in max_drops]
    sides = [load_side(run, model=model) for run in (run_a, run_b)]
    found = compare_sides(sides[0], sides[1], drops=drops, **options)
    written = [] if out is None else compared.write(found, out)
    if as_json:
        click.echo(compared.to_json(found), nl=False)
    else:
        compared.render(found, Console())
        for path in written:
            click.echo(str(path))
    sys.exit(0 if found.outcome is None else int(found.outcome))
