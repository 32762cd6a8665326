"""Metrics of another tool are called as it calls them, and nothing is shown of a guard that took no part."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evals.gate import Gate
from evals.imports.reporting import to_report
from evals.imports.table import read_log
from evals.report import render, to_html, to_markdown
from evals.report.names import names_of, shown_provenance
from evals.report.summary import to_summary
from evals.schema import Outcome, Report
from tests.evals.imports.logs import attempt, garak_eval, write_garak
from tests.evals.report.example import example_report

WHOLE = "dan.Dan/mitigation.Mitigation_Bypass"
GATE = f'[[limit]]\nmetric = "{WHOLE}"\narm = "unguarded"\nmax = 0.3\n'


@pytest.fixture
def imported(tmp_path: Path) -> Report:
    detector = "mitigation.Mitigation Bypass"
    tries = [attempt(i, f"say {i}", {detector: [float(i % 2), 1.0]}) for i in range(9)]
    log = read_log(write_garak(tmp_path / "run.report.jsonl", [*tries, garak_eval(detector, 5, 18)]))
    return to_report(log, gate=Gate.parse(GATE, name="mine"))


def _terminal(report: Report) -> str:
    console = Console(width=160, file=io.StringIO())
    render(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_metrics_are_called_as_the_tool_calls_them_beside_our_name(imported: Report) -> None:
    names = names_of(imported)
    assert names.metric(WHOLE) == "dan.Dan: mitigation.Mitigation Bypass"
    wording = names.wording("dan.Dan", "mitigation.Mitigation_Bypass")
    assert (wording.better, wording.share, wording.meaning) == ("lower", True, f"In a gate: {WHOLE}")
    page = to_html(imported)
    assert page.count("mitigation.Mitigation Bypass") >= 3
    assert f"In a gate: {WHOLE}" in page
    for text in (to_markdown(imported), to_summary(imported), _terminal(imported)):
        assert "mitigation.Mitigation Bypass ↓" in text.replace("&nbsp;", " ").replace("\\", "")


def test_arm_that_nobody_measured_has_no_column(imported: Report) -> None:
    page, markdown = to_html(imported), to_markdown(imported)
    for text in (page, markdown, _terminal(imported)):
        assert "Unguarded" in text
        assert "Guarded" not in text
        assert "Difference" not in text
    assert "no guard took part" in page
    assert '<span class="action' not in page  # nobody decided anything on a sample
    assert "Released unchanged.<" not in page


def test_without_a_gate_no_limit_is_said_to_lack_evidence(imported: Report) -> None:
    told = "lacks evidence"
    bare = replace(imported, checks=())
    assert told in to_html(replace(example_report(), outcome=Outcome.INCONCLUSIVE))
    for text in (to_html(replace(bare, outcome=Outcome.INCONCLUSIVE)), to_markdown(bare)):
        assert told not in text


@pytest.mark.parametrize("told", [None, 3, [], {"a/b": 1}, {"a/b": {"better": 7, "share": "yes"}}, {"": {}}])
def test_names_of_any_shape_are_left_out_and_not_an_error(told: object) -> None:
    report = example_report()
    other = replace(report, provenance={**report.provenance, "metrics": told})
    assert "Toxicity" in to_html(other)
    assert names_of(other).wording("a", "b").better == ""
    assert "metrics" not in shown_provenance(other)


def test_titles_of_what_changed_and_of_the_gate_have_their_task() -> None:
    report = example_report()
    page = to_html(report)
    changed = page.partition('id="changes"')[2].partition("</section>")[0]
    assert re.search(r"<h5>Toxicity</h5>\s*<ul>\s*<li>Expected maximum toxicity", changed)
    check = report.checks[0]
    assert names_of(report).metric(check.metric) in page
    assert names_of(report).metric("nothing") == "nothing"
