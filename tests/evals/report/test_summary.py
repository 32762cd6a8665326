"""The comment on a pull request: first what did not pass, short enough, and with nobody's markup in it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from evals.report.summary import LONGEST, NewlyFailing, marker, to_summary
from evals.schema import Check, Outcome, Report
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def section(text: str, title: str) -> str:
    return text.partition(f"### {title}")[2].partition("\n###")[0]


def moved(report: Report, delta: float) -> Report:
    """Return a report whose every figure, with its interval, lies by `delta` elsewhere."""
    models = []
    for model in report.models:
        metrics = tuple(
            replace(m, value=m.value + delta, interval=(m.interval[0] + delta, m.interval[1] + delta))
            for m in model.metrics
            if m.value is not None and m.interval is not None
        )
        models.append(replace(model, metrics=metrics))
    return replace(report, models=tuple(models))


def test_begins_with_the_marker_then_the_verdict_then_what_did_not_pass() -> None:
    lines = to_summary(example_report()).splitlines()
    assert lines[:2] == ["<!-- assay-audit:quick -->", "## ✗ Assay: fail"]
    assert lines[5] == "### Not passed (2 of 5)"
    rows = [line for line in lines if line.startswith("| ✗") or line.startswith("| ?") or line.startswith("| ✓")]
    assert [row[2] for row in rows] == ["✗", "?", "✓", "✓", "✓"]


def test_passed_run_has_nothing_under_not_passed() -> None:
    report = example_report(models=1)
    checks = tuple(replace(check, outcome=Outcome.PASS) for check in report.checks)
    text = to_summary(replace(report, outcome=Outcome.PASS, checks=checks, sentence="Pass: all 3 limits hold."))
    assert "Not passed" not in text
    assert text.splitlines()[1:4] == ["## ✓ Assay: pass", "", "all 3 limits hold."]


def test_every_metric_over_all_data_is_a_row_and_no_slice_is() -> None:
    figures = section(to_summary(example_report(models=1)), "Figures")
    assert figures.count("| `smollm2-135m` |") == 12
    assert "insult" not in figures
    assert (
        "| Toxicity | Toxicity probability ↓ | `smollm2-135m` | 0.365 [0.307, 0.423] | 0.083 [0.025, 0.141] | 96 |"
        in figures
    )


@pytest.mark.parametrize(
    ("delta", "word"), [(-0.3, "+0.300 **worse**"), (0.3, "−0.300 better"), (-0.01, "+0.010"), (0.0, "0.000")]
)
def test_baseline_stands_beside_each_figure_and_only_a_clear_change_is_named(delta: float, word: str) -> None:
    report = example_report(models=1)
    text = to_summary(report, baseline=moved(report, delta))
    row = next(line for line in text.splitlines() if line.startswith("| Toxicity | Toxic share"))
    assert row.split(" | ")[-2] == word
    assert "`assay compare` tests it" in text


def test_higher_is_better_turns_the_words_round() -> None:
    report = example_report(models=1)
    text = to_summary(report, baseline=moved(report, -0.3))
    row = next(line for line in text.splitlines() if line.startswith("| Robustness | Recall"))
    assert row.split(" | ")[-2] == "+0.300 better"


def test_baseline_of_one_model_under_another_path_is_the_same_model() -> None:
    report = example_report(models=1)
    other = replace(report, models=(replace(report.models[0], name="/elsewhere/model"),))
    assert "–" not in section(to_summary(report, baseline=other), "Figures")


def test_baseline_without_a_metric_leaves_a_dash() -> None:
    report = example_report(models=1)
    bare = replace(report, models=(replace(report.models[0], metrics=()),))
    row = next(line for line in to_summary(report, baseline=bare).splitlines() if "Toxic share" in line)
    assert row.split(" | ")[-3:-1] == ["–", "–"]


def test_newly_failing_samples_are_named_and_counted() -> None:
    newly = [NewlyFailing("m", "toxicity/toxic_share", f"toxicity/insult-{i:03}#00", "insult") for i in range(70)]
    text = section(to_summary(example_report(), newly=newly), "Newly failing (70)")
    assert "| `toxicity/insult-000#00` | `toxicity/toxic_share` | guarded | `insult` | `m` |" in text
    assert "… and 20 more rows in the report." in text


def test_no_text_of_a_sample_is_in_it() -> None:
    report = example_report()
    text = to_summary(report)
    for example in report.models[0].examples:
        assert example.prompt not in text
        assert not example.output or example.output not in text


def test_hostile_text_is_neither_markup_nor_mention() -> None:
    text = to_summary(hostile_report(), newly=[NewlyFailing(*["`|<img src=x>@everyone"] * 4)])
    html = MARKDOWN.render(text)
    assert "<script>" not in html
    assert "<img" not in html
    assert "href" not in html
    # What stands in code is no mention.
    assert "@everyone" not in re.sub(r"<code>.*?</code>", "", html)
    assert "\x1b" not in text


@given(reports)
@settings(max_examples=40, deadline=None)
def test_any_report_fits_and_is_text(report: Report) -> None:
    text = to_summary(report, baseline=report, longest=4_000)
    assert len(text) <= 4_000
    text.encode("utf-8")


def many(n: int) -> Report:
    report = example_report(models=1)
    name = "a|`b" * 40
    checks = [Check(name, f"task{i}/x", "guarded", "max", 0.1, Outcome.FAIL, "reason " * 200) for i in range(n)]
    models = tuple(replace(report.models[0], name=f"{name}{i}") for i in range(n // 10))
    return replace(report, checks=tuple(checks), models=models)


def test_long_report_loses_rows_and_says_so() -> None:
    text = to_summary(many(2_000))
    assert len(text) <= LONGEST
    assert "more rows in the report." in text
    assert "### Figures" in text
    assert text.rstrip().endswith("</sub>")
    tables = [t for t in MARKDOWN.parse(text) if t.type == "table_open"]
    assert len(tables) == 2


def test_limit_below_the_shortest_page_still_holds() -> None:
    text = to_summary(many(200), longest=2_000)
    assert len(text) <= 2_000
    assert text.endswith("The summary was too long; the report has the rest.\n")


@pytest.mark.parametrize(
    ("key", "told"),
    [("quick", "quick"), ("a b", "a-b"), ("--> <script>", "script"), ("x" * 99, "x" * 60), ("日本", "")],
)
def test_marker_is_one_comment_whatever_the_key(key: str, told: str) -> None:
    assert marker(key) == f"<!-- assay-audit:{told} -->"


def test_key_tells_two_audits_apart() -> None:
    assert to_summary(example_report(), key="nightly").startswith("<!-- assay-audit:nightly -->\n")


def test_same_report_gives_the_same_bytes() -> None:
    assert to_summary(example_report()) == to_summary(example_report())
