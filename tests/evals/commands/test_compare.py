"""``assay compare`` from the command line: exit codes, output, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from evals.commands.compare import compare
from evals.console import Commands
from evals.values import FILE, ModelValues, write_values
from tests.evals.two_runs import IDENTITY, MISSED, binary, series


@click.group(cls=Commands)
def main() -> None:
    """Stands for the whole command line."""


main.add_command(compare)


def _run(folder: Path, hits: str, name: str) -> Path:
    folder.mkdir()
    write_values(folder / FILE, IDENTITY, [ModelValues(name, f"scripted@{name}", (series(binary(hits)),))])
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    old = _run(tmp_path / "old", "0" * 200, "old")
    return str(old), str(_run(tmp_path / "new", "1" * 20 + "0" * 180, "new"))


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


def test_without_drops_a_comparison_is_no_verdict(runs: tuple[str, str]) -> None:
    done = _call(*runs)
    assert done.exit_code == 0
    assert "worse +0.100" in done.stdout


@pytest.mark.parametrize(("drop", "code"), [("0.5", 0), ("0.01", 1), ("0.1", 3)])
def test_the_exit_code_is_the_verdict(runs: tuple[str, str], drop: str, code: int) -> None:
    assert _call(*runs, "--max-drop", f"{MISSED}={drop}").exit_code == code


def test_json_is_only_json(runs: tuple[str, str], tmp_path: Path) -> None:
    done = _call(*runs, "--json", "--out", str(tmp_path / "out"), "--examples", "3", "--level", "0.9")
    document = json.loads(done.stdout)
    assert (document["level"], document["effects"][0]["newly_failing"], len(document["flips"])) == (0.9, 20, 3)
    assert (tmp_path / "out" / "comparison.json").read_text(encoding="utf-8") == done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "nowhere"], "no run at nowhere"),
        (["{old}", "{new}", "--max-drop", "a/b"], "METRIC=DROP"),
        (["{old}", "{new}", "--max-drop", "a/b=1"], "no metric a/b to compare"),
        (["{old}:gpt", "{new}"], "no model 'gpt'"),
        (["{old}", "{new}", "--arm", "clean"], "no metric in both runs in arm clean"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(runs: tuple[str, str], arguments: list[str], message: str) -> None:
    done = _call(*(argument.format(old=runs[0], new=runs[1]) for argument in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("level", ["0", "1", "2", "x"])
def test_a_level_out_of_range_is_a_usage_error(runs: tuple[str, str], level: str) -> None:
    assert _call(*runs, "--level", level).exit_code == 2
