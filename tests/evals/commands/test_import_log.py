"""``assay import`` from the command line: exit codes, what is written, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from evals.commands.compare import compare
from evals.commands.import_log import import_log
from evals.console import Commands
from evals.values import read_values
from tests.evals.imports.logs import attempt, inspect_header, inspect_sample, write_garak, write_inspect


@click.group(cls=Commands)
def main() -> None:
    """Stands for the whole command line."""


main.add_command(import_log)
main.add_command(compare)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """30 prompts, of which none was hit."""
    return write_garak(tmp_path / "x.report.jsonl", [attempt(i, f"p{i}", {"a.B": [0.1]}) for i in range(30)])


def limits(tmp_path: Path, most: float, *, arm: str = "unguarded") -> Path:
    path = tmp_path / f"gate-{most}-{arm}.toml"
    path.write_text(f'[[limit]]\nmetric = "dan.Dan/a.B"\narm = "{arm}"\nmax = {most}\n')
    return path


@pytest.mark.parametrize(("most", "code"), [(0.12, 0), (0.1, 3)])
def test_the_exit_code_is_the_verdict(report: Path, tmp_path: Path, most: float, code: int) -> None:
    """The figure alone, 0 of 30, would pass any limit: its interval ends at 0.116."""
    done = call("import", report, "--gate", limits(tmp_path, most))
    assert done.exit_code == code
    assert "[0.000, 0.116]" in done.stdout


def test_a_broken_limit_is_a_failure(tmp_path: Path) -> None:
    path = write_garak(tmp_path / "x.jsonl", [attempt(i, f"p{i}", {"a.B": [0.9]}) for i in range(30)])
    assert call("import", path, "--gate", limits(tmp_path, 0.5)).exit_code == 1


def test_without_a_gate_it_exits_0_and_decides_nothing(report: Path) -> None:
    done = call("import", report)
    assert done.exit_code == 0
    assert "No gate was given" in done.stdout
    assert "assay: The report does not say from which score on" in done.stderr


def test_json_is_only_json(report: Path, tmp_path: Path) -> None:
    done = call("import", report, "--json", "--out", tmp_path / "out")
    assert json.loads(done.stdout)["suite"] == "imported from garak"
    assert (tmp_path / "out" / "report.json").read_text(encoding="utf-8") == done.stdout


def test_an_imported_run_is_one_that_can_be_compared(tmp_path: Path) -> None:
    for name, n_right in (("old", 60), ("new", 40)):
        samples = [inspect_sample(i, match="C" if i < n_right else "I") for i in range(80)]
        log = write_inspect(tmp_path / f"{name}.eval", inspect_header(n_samples=80), samples)
        assert call("import", log, "--out", tmp_path / name).exit_code == 0
    assert len(read_values(tmp_path / "old").models[0].series[0].values) == 80
    done = call("compare", tmp_path / "old", tmp_path / "new", "--json")
    assert done.exit_code == 0, done.output
    (effect,) = json.loads(done.stdout)["effects"]
    assert (effect["metric"], effect["value"], effect["n_prompts"]) == ("match", -0.25, 80)
    assert effect["p_corrected"] < 1e-4


def test_the_folder_of_an_audit_is_not_written_over(report: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_text("{}\n")
    done = call("import", report, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "name another with --out" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["journal.jsonl"]


def test_errors_are_one_line_and_exit_2(report: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.eval").write_bytes(b"PK\x03\x04\x00")
    for arguments in (
        ("import", tmp_path / "none"),
        ("import", tmp_path / "torn.eval"),
        ("import", report, "--gate", limits(tmp_path, 0.1, arm="guarded")),
        ("import", report, "--gate", tmp_path / "none.toml"),
        ("import", report, "--out", report),
    ):
        done = call(*arguments)
        assert done.exit_code == 2, done.output
        assert done.stderr.startswith("assay: ")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
