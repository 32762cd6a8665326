"""JUnit XML: valid, unambiguous, and never green where the run was not."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
import xmlschema
from hypothesis import given, settings

from evals.report.junit import to_junit
from evals.schema import Check, Outcome, Report
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parent / "schemas" / "junit.xsd"))


def parsed(report: Report) -> ElementTree.Element:
    text = to_junit(report)
    SCHEMA.validate(ElementTree.fromstring(text.encode("utf-8")))
    return ElementTree.fromstring(text.encode("utf-8"))


def case(root: ElementTree.Element, classname: str, name: str) -> ElementTree.Element:
    (found,) = (c for c in root.iter("testcase") if (c.get("classname"), c.get("name")) == (classname, name))
    return found


def with_check(outcome: Outcome, **changes: object) -> Report:
    report = example_report(models=1)
    check = replace(report.checks[0], outcome=outcome, **changes)  # type: ignore[arg-type]
    return replace(report, outcome=outcome, checks=(check,))


def test_example_is_valid_and_counts_what_it_holds() -> None:
    root = parsed(example_report())
    assert [suite.get("name") for suite in root] == ["smollm2-135m", "gemma3-270m"]
    for node in (root, *root):
        assert int(node.attrib["tests"]) == len(list(node.iter("testcase")))
        assert int(node.attrib["failures"]) == len(list(node.iter("failure"))) == (1 if node is not root[1] else 0)
        assert int(node.attrib["errors"]) == len(list(node.iter("error"))) == (1 if node is not root[1] else 0)


def test_hostile_report_is_valid_and_spells_out_what_xml_forbids() -> None:
    text = to_junit(hostile_report())
    SCHEMA.validate(text)
    assert "‹U+0000›" in text
    assert "‹U+D800›" in text
    assert "\x1b" not in text
    assert "<script>" not in text


@given(reports)
@settings(max_examples=60, deadline=None)
def test_any_report_is_valid_and_red_only_where_the_run_was_not_passed(report: Report) -> None:
    root = parsed(report)
    if report.outcome is not Outcome.PASS:
        assert int(root.attrib["failures"]) + int(root.attrib["errors"]) > 0


@pytest.mark.parametrize(
    ("outcome", "tag", "kind"), [(Outcome.FAIL, "failure", "limit"), (Outcome.INCONCLUSIVE, "error", "inconclusive")]
)
def test_check_that_did_not_pass_says_why_in_message_and_text(outcome: Outcome, tag: str, kind: str) -> None:
    root = parsed(with_check(outcome, reason="0.2 is over 0.1"))
    fault = case(root, "smollm2-135m.toxicity", "toxicity_probability guarded at most the limit").find(tag)
    assert fault is not None
    assert (fault.get("message"), fault.get("type")) == ("0.2 is over 0.1", kind)
    assert str(fault.text).startswith("0.2 is over 0.1\nvalue: 0.083 [0.025, 0.141]\nlimit: ≤ 0.150")


def test_metric_with_a_limit_is_not_shown_again_without_it() -> None:
    root = parsed(with_check(Outcome.FAIL))
    names = [c.get("name") for c in root.iter("testcase") if c.get("classname") == "smollm2-135m.toxicity"]
    assert "toxicity_probability guarded without a limit" not in names
    assert "toxicity_probability unguarded without a limit" in names
    assert "toxicity_probability guarded without a limit (insult)" in names


def test_metric_without_data_is_skipped_and_one_with_data_tells_its_figure() -> None:
    report = example_report(models=1)
    first, *rest = report.models[0].metrics
    model = replace(report.models[0], metrics=(replace(first, value=None, interval=None), *rest))
    root = parsed(replace(report, models=(model,)))
    unscored = case(root, "smollm2-135m.toxicity", f"{first.name} {first.arm} without a limit")
    assert unscored.find("skipped") is not None
    scored = case(root, "smollm2-135m.quality", "distinct_1 guarded without a limit")
    assert str(scored.findtext("system-out")).startswith("value: 0.738 [0.726, 0.750] (96 prompts")


def test_names_stay_when_figures_and_limits_move() -> None:
    before = example_report(models=1)
    checks = tuple(replace(check, limit=0.7, value=0.9, reason="other") for check in before.checks)
    metrics = tuple(replace(metric, value=0.123, n_prompts=7) for metric in before.models[0].metrics)
    after = replace(before, checks=checks, models=(replace(before.models[0], metrics=metrics),))
    names = [[(c.get("classname"), c.get("name")) for c in parsed(r).iter("testcase")] for r in (before, after)]
    assert names[0] == names[1]


def test_two_checks_that_read_alike_keep_names_of_their_own() -> None:
    report = with_check(Outcome.FAIL)
    twin = replace(report.checks[0], context={"group": "all", "kind": "baseline"}, reason="fell against the baseline")
    root = parsed(replace(report, checks=(*report.checks, twin)))
    names = [c.get("name") for c in root.iter("testcase") if c.find("failure") is not None]
    assert names == [
        "toxicity_probability guarded at most the limit",
        "toxicity_probability guarded at most the limit #2",
    ]


def test_run_that_checked_nothing_is_not_green() -> None:
    bare = replace(
        example_report(), outcome=Outcome.INCONCLUSIVE, checks=(), models=(), sentence="no model was audited"
    )
    root = parsed(bare)
    assert root.attrib["errors"] == "1"
    fault = case(root, "assay", "verdict").find("error")
    assert fault is not None
    assert fault.get("message") == "no model was audited"


def test_check_of_a_model_without_figures_is_kept() -> None:
    stray = Check("gone", "toxicity/toxic_share", "guarded", "max", 0.1, Outcome.FAIL, "gone is gone")
    root = parsed(replace(example_report(models=1), checks=(stray,)))
    assert case(root, "gone.toxicity", "toxic_share guarded at most the limit").find("failure") is not None


def test_same_report_gives_the_same_bytes() -> None:
    assert to_junit(example_report()) == to_junit(example_report())


@pytest.mark.parametrize(
    ("started", "kept"), [("2026-11-24T22:00:17+00:00", True), ("yesterday", False), (None, False)]
)
def test_start_is_told_only_where_it_is_a_time(started: object, kept: bool) -> None:
    report = example_report(models=1)
    root = parsed(replace(report, times={"started": started, "seconds": "long"}))
    assert ("timestamp" in root[0].attrib) is kept
    assert "time" not in root.attrib


def test_schema_refuses_what_readers_cannot_take() -> None:
    good = to_junit(example_report(models=1))
    assert SCHEMA.is_valid(good)
    assert not SCHEMA.is_valid(good.replace('type="inconclusive"', ""))
    assert not SCHEMA.is_valid(good.replace('tests="', 'tests="-', 1))
    assert not SCHEMA.is_valid(good.replace("error>", "flaky>").replace("<error", "<flaky"))
