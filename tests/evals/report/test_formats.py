"""All formats of a run at once: each whole or not there, and targets refused before they cost anything."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from evals.audit import audit
from evals.gate import Gate
from evals.report.formats import Formats, Inputs, format_options, own_file, write_formats
from evals.report.summary import NewlyFailing
from guard.errors import ConfigError, DataError, OutputError
from tests.evals import small_audit
from tests.evals.report.example import example_report

ROOT = Path(__file__).parents[3]


def targets(folder: Path) -> Formats:
    return Formats(
        junit=folder / "j.xml",
        sarif=folder / "deep" / "s.sarif",
        summary=folder / "m.md",
        samples=folder / "s.csv",
        model_card=folder / "card.md",
    )


def test_every_format_of_a_real_run_is_written_and_nothing_else(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    gate = run / "gate.toml"
    plan = small_audit.plan(folder=run)
    gate.write_text(gate.read_text(encoding="utf-8").replace("0.5", "0.0"), encoding="utf-8")  # so that it is open
    report = audit(replace(plan, gate=Gate.load(gate)), run, rows=4, progress=lambda *_: None)
    wanted = targets(out)
    written = write_formats(report, wanted, Inputs(run=run, gate=gate, baseline=report, key="nightly"))
    assert sorted(written) == sorted(path for path in out.rglob("*") if path.is_file())
    assert ElementTree.parse(out / "j.xml").getroot().tag == "testsuites"
    result = json.loads((out / "deep" / "s.sarif").read_text(encoding="utf-8"))["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "gate.toml"
    assert place["region"]["startLine"] == 2
    assert (out / "m.md").read_text(encoding="utf-8").startswith("<!-- assay-audit:nightly -->\n")
    assert "| Baseline | Change |" in (out / "m.md").read_text(encoding="utf-8")
    with (out / "s.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["model"] for row in csv.DictReader(stream)} == {"scripted"}


def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    assert write_formats(example_report(), Formats(junit=tmp_path / "j.xml")) == [tmp_path / "j.xml"]
    assert [path.name for path in tmp_path.iterdir()] == ["j.xml"]
    assert write_formats(example_report(), Formats()) == []


def test_newly_failing_samples_reach_the_summary(tmp_path: Path) -> None:
    newly = [NewlyFailing("m", "toxicity/toxic_share", "toxicity/x#1")]
    write_formats(example_report(), Formats(summary=tmp_path / "m.md"), Inputs(newly=newly))
    assert "`toxicity/x#1`" in (tmp_path / "m.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_failure_leaves_the_file_of_before_and_no_part(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("of before", encoding="utf-8")
    (tmp_path / "journal.jsonl").write_text('{"schema": "assay.journal/2"}\n{"model": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        write_formats(example_report(), Formats(samples=tmp_path / name), Inputs(run=tmp_path))
    assert (tmp_path / name).read_text(encoding="utf-8") == "of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["journal.jsonl", name])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_a_tool_failure(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match=r"j\.xml could not be written: Permission denied"):
            write_formats(example_report(), Formats(junit=tmp_path / "j.xml"))
    finally:
        tmp_path.chmod(0o700)


def test_name_that_is_too_long_is_a_tool_failure(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written: File name too long"):
        write_formats(example_report(), Formats(junit=tmp_path / ("x" * 300)))


def test_samples_need_a_journal(tmp_path: Path) -> None:
    for inputs in (None, Inputs(run=tmp_path)):
        with pytest.raises(DataError, match=r"no journal\.jsonl beside the report"):
            write_formats(example_report(), Formats(samples=tmp_path / "s.csv"), inputs)


def test_unusable_targets_are_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases: list[tuple[Formats, type[Exception], str]] = [
        (Formats(junit=tmp_path), ConfigError, "--junit .* is a folder"),
        (Formats(sarif=tmp_path / "file" / "x"), ConfigError, "--sarif .* lies under a file"),
        (Formats(junit=tmp_path / "x", model_card=tmp_path / "x"), ConfigError, "--junit and --model-card both name"),
        (Formats(samples=tmp_path / "x.json"), DataError, r"neither \.csv nor \.parquet"),
    ]
    for formats, kind, message in cases:
        with pytest.raises(kind, match=message):
            formats.require_usable()
    targets(tmp_path).require_usable()


def test_options_name_each_format() -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @format_options
    @click.option("--other")
    def command(**options: Any) -> None:
        seen["formats"], seen["left"] = Formats.taken_from(options), options

    done = CliRunner().invoke(command, ["--junit", "a.xml", "--model-card", "c.md", "--other", "x"])
    assert done.exit_code == 0, done.output
    assert seen["formats"] == Formats(junit=Path("a.xml"), model_card=Path("c.md"))
    assert seen["left"] == {"other": "x"}
    help_text = CliRunner().invoke(command, ["--help"]).output
    places = [help_text.index(f"--{name} FILE") for name in ("junit", "sarif", "summary", "samples", "model-card")]
    assert places == sorted(places)


def test_options_load_nothing_that_writes() -> None:
    program = "import sys, evals.formats; print(*sorted({'numpy', 'pyarrow', 'scipy', 'yaml'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_own_file_is_a_toml_file_that_is_there(tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.touch()
    assert own_file(str(gate)) == gate
    assert own_file("default") is None
    assert own_file(tmp_path / "gone.toml") is None
