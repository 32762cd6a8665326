from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from guard.policy import Policy

WORDS = '[[term]]\ntext = "moron"\ncategory = "toxicity"\nscore = 0.8\n'


def _arguments(folder: Path, n: int, *more: str) -> list[str]:
    (folder / "words.toml").write_text(WORDS, encoding="utf-8")
    (folder / "policy.toml").write_text('[output.toxicity]\nthreshold = 0.5\naction = "block"\n', encoding="utf-8")
    rows = ["text,label", *["you total moron,1"] * n, *["a fine day,0"] * n]
    (folder / "labelled.csv").write_text("\n".join(rows), encoding="utf-8")
    paths = ["--data", str(folder / "labelled.csv"), "--policy", str(folder / "policy.toml")]
    paths += ["--filter", f"lexical:{folder / 'words.toml'}", "--out", str(folder / "out.toml")]
    return ["calibrate", *paths, "--category", "toxicity", "--max-miss", "0.05", *more]


def test_threshold_and_its_certificate_are_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, _arguments(tmp_path, 100, "--json"))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    policy = Policy.load(tmp_path / "out.toml")
    assert policy.thresholds["output", "toxicity"][0] == found["threshold"] == 0.8
    assert policy.certificates["output", "toxicity"].n == 100
    shown = CliRunner().invoke(main, _arguments(tmp_path, 100))
    assert "with 95% confidence" in shown.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "needs at least 80 harmful texts for a bound of 5% at 95% confidence: found 20"),
        (["--max-false-alarm", "0.1"], "give one of --max-miss and --max-false-alarm"),
        (["--column", "txt"], "has no column 'txt'"),
        (["--category", "tox"], "no filter gives 'tox'"),
    ],
)
def test_what_cannot_be_promised_is_refused_and_nothing_is_written(tmp_path: Path, more: list[str], words: str) -> None:
    done = CliRunner().invoke(main, _arguments(tmp_path, 20, *more))
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "out.toml").exists()
