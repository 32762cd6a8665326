from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from cli import main


def test_help_says_what_comes_of_it() -> None:
    shown = CliRunner().invoke(main, ["harden", "generator", "--help"])
    assert shown.exit_code == 0
    assert "Exit codes" in shown.output
    assert "--minutes" in shown.output


def test_a_folder_that_is_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = CliRunner().invoke(main, ["harden", "generator", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "is there already" in done.output
    assert (tmp_path / "mine").exists()


def test_numbers_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    for wrong in (["--minutes", "0"], ["--seed", "-1"], ["--measure-goals", "1"]):
        done = CliRunner().invoke(main, ["harden", "generator", "--out", str(tmp_path / "new"), *wrong])
        assert done.exit_code == 2
    assert not (tmp_path / "new").exists()
