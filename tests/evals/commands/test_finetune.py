from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cli import main
from evals.commands.finetune import DefaultGroup


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ([], ["say"]),
        (["--loud"], ["say", "--loud"]),
        (["say", "--loud"], ["say", "--loud"]),
        (["other"], ["other"]),
        (["mistyped"], ["mistyped"]),
        (["--help"], ["--help"]),
    ],
)
def test_the_default_command_is_filled_in_where_none_is_named(given: list[str], parsed: list[str]) -> None:
    group = DefaultGroup("group", default="say")
    group.add_command(click.Command("say"))
    group.add_command(click.Command("other"))
    assert group.with_default(given) == parsed


def test_finetune_without_a_command_trains_a_generator() -> None:
    done = CliRunner().invoke(main, ["finetune"])
    assert done.exit_code == 2
    assert "--data" in done.output
    shown = CliRunner().invoke(main, ["finetune", "--help"])
    assert shown.exit_code == 0
    assert "generator" in shown.output
    assert CliRunner().invoke(main, ["finetune", "generatr"]).exit_code == 2
