"""The commands as a user types them: what they print, how they exit, and that nothing is left half-written."""

from __future__ import annotations

import csv
import json
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main


def _assay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def _says(result: Result, code: int, *parts: str) -> None:
    """The one line that every refusal is."""
    assert result.exit_code == code, result.output
    assert all(part in result.stderr for part in parts), result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("assay:")]) <= 1
    assert "Traceback" not in result.output


def test_version_is_that_of_the_distribution() -> None:
    assert _assay("--version").output == f"assay, version {version('assay')}\n"


@pytest.mark.parametrize("command", [[], ["audit"], ["score"], ["report"], ["assets"], ["assets", "pull"]])
def test_help_of_every_command(command: list[str]) -> None:
    result = _assay(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_exit_codes_are_in_the_help() -> None:
    text = " ".join(_assay("--help").output.split())
    assert "0 pass, 1 fail, 2 usage or configuration error, 3 inconclusive" in text


@pytest.mark.parametrize(
    ("option", "content", "says"),
    [
        ("--policy", "[input.toxicity]\nthreshold = -0.1\naction = 'block'", "-0.1"),
        ("--policy", "[input.toxicity\n", "TOML"),
        ("--policy", "on_eror = 'block'", "on_error"),
        ("--gate", "[[limit]]\nmetric = 'toxicity/x'\narm = 'guarded'\nmax = 'many'", "max"),
        ("--gate", "", "limit"),
        ("--suite", "[toxicity]\nprompts = 0", "at least 1"),
        ("--prompts", "", "no prompts"),
    ],
)
def test_bad_file_is_refused_before_anything_is_loaded(tmp_path: Path, option: str, content: str, says: str) -> None:
    file = tmp_path / ("file.txt" if option == "--prompts" else "file.toml")
    file.write_text(content, encoding="utf-8")
    out = tmp_path / "out"
    _says(_assay("audit", option, file, "--out", out), 2, "assay:", says)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "no/such-model"], "unknown model 'no/such-model'"),
        (["--model", "smolm2-135m"], "unknown model"),
        (["--filter", "encodr"], "did you mean 'encoder'"),
        (["--suite", "quik"], "give one of quick"),
        (["--policy", "missing.toml"], "missing.toml"),
        (["--gate", "missing.toml"], "missing.toml"),
        (["--prompts", "missing.csv"], "missing.csv"),
        (["--batch-size", "0"], "neither 'auto' nor a number"),
        (["--limit", "0"], "--limit"),
        (["--seed", "-1"], "--seed"),
        (["--device", "tpu"], "--device"),
        (["--model", "a", "--model", "a"], "named twice"),
    ],
)
def test_bad_option_is_one_line_and_exit_two(
    tmp_path: Path, tiny_llama: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments if "--model" in arguments else ["--model", str(tiny_llama), *arguments]
    _says(_assay("audit", *given), 2, says)
    assert list(tmp_path.iterdir()) == []


def test_broken_gguf_is_exit_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 40)
    _says(_assay("audit", "--model", file), 2, "assay:", "model.gguf")
    assert list(tmp_path.iterdir()) == [file]


def test_report_of_nothing_is_exit_two(tmp_path: Path) -> None:
    _says(_assay("report", tmp_path), 2, "no report")
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    _says(_assay("report", tmp_path), 2, "report.json")


def test_report_renders_again_from_its_json(tmp_path: Path) -> None:
    from evals.report import write
    from tests.evals.report.example import example_report

    write(example_report(), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.md").write_text("old", encoding="utf-8")
    result = _assay("report", tmp_path)
    assert result.exit_code == 0
    assert "report.html" in result.output
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert "\x1b[" not in result.output
    assert json.loads(_assay("report", tmp_path, "--json").output)["schema"] == "assay.report/1"


def test_assets_are_listed_with_licences() -> None:
    rows = json.loads(_assay("assets", "list", "--json").output)
    assert {"smollm2-135m", "minilm", "rtp-prompts"} <= {row["name"] for row in rows}
    assert all(row["licence"] and row["wheels"] for row in rows)
    assert "smollm2-135m" in _assay("assets", "list").output


def test_unknown_asset_names_the_nearest() -> None:
    _says(_assay("assets", "pull", "minilmm"), 2, "minilm")


def test_score_gives_rows_back_with_scores(tmp_path: Path) -> None:
    words = tmp_path / "words.toml"
    words.write_text('[[term]]\ntext = "darn"\ncategory = "rude"\nscore = 0.5\n', encoding="utf-8")
    table = tmp_path / "in.csv"
    table.write_text('id,text\n007,"oh, d\u200barn"\n008,fine\n', encoding="utf-8")
    out = tmp_path / "scores.csv"
    result = _assay("score", table, "--filter", f"lexical:{words}", "--out", out)
    assert result.exit_code == 0, result.output
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["id"], float(row["rude"])) for row in rows] == [("007", 0.5), ("008", 0.0)]
    _says(_assay("score", table, "--column", "txt", "--filter", f"lexical:{words}", "--out", out), 2, "txt", "text")
    _says(_assay("score", tmp_path / "no.csv", "--filter", f"lexical:{words}", "--out", out), 2, "no.csv")


def test_crash_never_looks_like_a_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def crash(_request: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("evals.composition.plan_audit", crash)
    result = _assay("audit", "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert "ZeroDivisionError: a bug" in result.stderr


@pytest.mark.parametrize(
    "option", ["--policy", "--gate", "--suite", "--model", "--batch-size", "--prompts", "--filter"]
)
def test_endless_argument_is_exit_two(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = _assay("audit", option, "9" * 5000)
    assert result.exit_code in (2, 4)
    assert "Traceback" not in result.output


def test_report_under_another_name_is_not_written_over(tmp_path: Path) -> None:
    from evals.report import write
    from tests.evals.report.example import example_report

    write(example_report(), tmp_path)
    (tmp_path / "report.json").rename(tmp_path / "old.json")
    _says(_assay("report", tmp_path / "old.json"), 2, "is not called report.json")
