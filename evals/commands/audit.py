"""``assay audit`` runs an audit; ``assay report`` renders one again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import (
    DEVICE,
    DTYPE,
    POSITIVE,
    batch_size,
    endpoint_options,
    generator_options,
    own_options,
    own_settings,
)
from evals.commands.options import filters as filters_option
from evals.console import one_line
from evals.formats import Formats, Inputs, format_options, own_file
from evals.progress import show_progress
from guard.errors import AssayError, DataError
from guard.filters.table import DEFAULT_FILTERS

if TYPE_CHECKING:
    from evals.audit import Plan

__all__ = ["audit", "report"]


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("smollm2-135m",),
    show_default=True,
    metavar="ID_OR_PATH",
    help="An asset, a local Transformers folder, a GGUF file, a hub id; endpoint:URL#MODEL, openai:MODEL, vllm:MODEL,"
    " python:MODULE:FUNCTION. Repeat to audit several side by side.",
)
@click.option("--suite", default="quick", show_default=True, help="A shipped suite or a TOML file.")
@click.option("--policy", default="standard", show_default=True, help="A shipped policy or a TOML file.")
@click.option("--gate", default="default", show_default=True, help="The shipped gate or a TOML file.")
@filters_option(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option(
    "--scorer", default="linear", show_default=True, help="Judge of toxicity: linear, or the name of a filter."
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="Your own prompts for the toxicity task: CSV, JSONL, Parquet, or text with a prompt a line.",
)
@click.option("--column", default="prompt", show_default=True, help="Column of --prompts.")
@click.option("--limit", type=POSITIVE, help="At most this many prompts of each kind in every task.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
@click.option(
    "--batch-size",
    default="auto",
    callback=batch_size,
    show_default=True,
    help="Rows that run together: auto, or a number. Halves when memory runs out.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder of runs; each run gets a folder of its own in it.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[RUN]",
    help="Go on with a run that was stopped: the newest of the same options in --out, or the one named.",
)
@click.option("--early", is_flag=True, help="End a task as soon as the gate's limits on it are decided.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="An earlier run: its folder, or a TOML file that names it and the allowed drops.",
)
@click.option(
    "--max-drop",
    "max_drops",
    multiple=True,
    metavar="METRIC[@ARM]=DROP",
    help="How much worse than the baseline a metric may be. Repeat for several.",
)
@click.option(
    "--data", metavar="FILE|hub:NAME", help="Your own data set, as one more task: CSV, JSONL, Parquet, or on the hub."
)
@own_options
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--workers", type=POSITIVE, default=2, show_default=True, help="Processes of --engine ray.")
@endpoint_options
@format_options
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of tables.")
def audit(
    out: Path, resume: str | None, engine: str, workers: int, data: str | None, as_json: bool, **options: Any
) -> None:
    """Audit models, unguarded and guarded, and hold the figures against the gate."""
    formats = Formats.taken_from(options)
    formats.require_usable()
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals import report as reports
            from evals.audit import audit as run_audit
            from evals.composition import Request, engines_of, plan_audit
            from evals.report.formats import write_formats
            from evals.runs import discard_unbegun, new_run, resumable_run

            generators, own = generator_options(options), own_settings(data, options)
            request = Request(**options, generators=generators, own=own)
            engines = engines_of(engine, workers, request)
            plan = plan_audit(request)
            begun = None if resume is None else resumable_run(out, plan.identity(), named=resume or None)
            if resume is not None and begun is None:
                click.echo(f"assay: no run in {one_line(str(out))} has these options; starting one", err=True)
            folder = begun or new_run(out, suite=plan.suite.name, models=[model.name for model in plan.models])
        try:
            report = run_audit(plan, folder, rows=options["batch_size"], progress=bars.show, engines=engines)
        except AssayError:
            if begun is None:
                discard_unbegun(folder)
            raise
        reports.write(report, folder)
        files = Inputs(folder, own_file(options["gate"]), own_file(options["policy"]))
        if plan.baseline is not None and formats.summary is not None:
            with bars.busy("comparing with the baseline"):
                files = _with_baseline(files, plan, folder)
        written = write_formats(report, formats, files)
    _show(report, folder, written, as_json=as_json)
    sys.exit(int(report.outcome))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@format_options
@click.option("--gate", default="default", help="The gate of the run, for the lines in --sarif.")
@click.option("--policy", default="standard", help="The policy of the run, for the lines in --sarif.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the names of the files.")
def report(run: Path, gate: str, policy: str, as_json: bool, **options: Any) -> None:
    """Render a run again from its report.json. RUN is its folder, or that file.

    Exits 0 when it could; the verdict is in the report, and its exit code is that of the audit.
    """
    from evals import report as reports
    from evals.report.formats import write_formats

    formats = Formats.taken_from(options)
    formats.require_usable()
    found = reports.read(run)
    if not run.is_dir() and run.name != "report.json":
        raise DataError(f"{run} is not called report.json; give the folder of a run, or its report.json")
    folder = run if run.is_dir() else run.parent
    written = [
        *reports.write(found, folder),
        *write_formats(found, formats, Inputs(folder, own_file(gate), own_file(policy))),
    ]
    if as_json:
        click.echo(reports.to_json(found), nl=False)
    else:
        click.echo("\n".join(map(str, written)))


def _with_baseline(files: Inputs, plan: Plan, folder: Path) -> Inputs:
    """Add the earlier figures and the samples that newly fail."""
    from evals.against import earlier_report, newly_failing

    assert plan.baseline is not None
    earlier = earlier_report(plan.baseline, [model.name for model in plan.models])
    if earlier is None:
        where = one_line(str(plan.baseline.folder))
        click.echo(
            f"assay: no report.json that can be read in {where}; the summary lists no changes of figures", err=True
        )
    return replace(files, baseline=earlier, newly=newly_failing(plan.baseline, folder, plan.identity()))


def _show(found: Any, folder: Path, written: Sequence[Path], *, as_json: bool) -> None:
    from rich.console import Console

    from evals import report as reports

    if as_json:
        click.echo(reports.to_json(found), nl=False)
        return
    reports.render(found, Console())
    for path in (folder / "report.html", *written):
        click.echo(f"Report: {path}")
