"""``assay import``: a log of another tool in, its figures with intervals, a report and the gate's verdict out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evals.console import tell

__all__ = ["import_log"]


@click.command(name="import")
@click.argument("source", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--gate", "gate_source", metavar="FILE", help="Limits to hold the figures against: a TOML file.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for the report, and for the values that assay compare reads. Nothing is written without it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of tables.")
def import_log(source: Path, gate_source: str | None, out: Path | None, as_json: bool) -> None:
    """Give the figures in a LOG of Inspect, lm-eval or garak their intervals, and hold them against a gate.

    LOG is an .eval or .json log of Inspect, a results_*.json (with its samples beside it) or samples_*.jsonl of
    lm-evaluation-harness, a .report.jsonl of garak, or a folder that holds one of these; its content says which, not
    its name. Every metric is in the arm "unguarded", and a gate names it as TASK/METRIC.

    Exits with the outcome of the gate (0 pass, 1 fail, 3 inconclusive), and with 0 where none was given.
    """
    from evals.gate import Gate
    from evals.imports.folder import check_free, write_import
    from evals.imports.reporting import to_report
    from evals.imports.table import read_log
    from evals.report import render, to_json

    gate = None if gate_source is None else Gate.load(gate_source)
    if out is not None:
        check_free(out)
    log = read_log(source)
    report = to_report(log, gate=gate)
    written = [] if out is None else write_import(log, report, out)
    if as_json:
        click.echo(to_json(report), nl=False)
    else:
        from rich.console import Console

        render(report, Console())
    for note in report.notes:
        tell(note)
    if written and not as_json:
        click.echo(f"Report: {written[0].parent / 'report.html'}")
    sys.exit(int(report.outcome) if gate is not None else 0)
