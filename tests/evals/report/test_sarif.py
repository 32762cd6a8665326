"""SARIF: valid against the schema of OASIS, at the right line, with an identity that outlives figures and lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from evals.report.sarif import to_sarif
from evals.report.source_lines import limit_line, rule_line
from evals.schema import Check, Outcome, Report
from evals.taxonomy import taxonomy
from guard.errors import DataError
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports

SCHEMA = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
)

GATE = '''
# [[limit]] in a comment is none
note = """
[[limit]]
metric = "toxicity/toxic_share"
"""

[[limit]]
metric = "toxicity/toxic_share"
arm = "guarded"
max = 0.2

  [[ "limit" ]]  # spelt otherwise
arm = "guarded"
min = 0.1
metric = "toxicity/toxic_share"

[[limit]]
metric = "toxicity/toxic_share"
arm = "guarded"
max = 0.3
group = "insult"
'''


def check(**changes: Any) -> Check:
    made = Check("m", "toxicity/toxic_share", "guarded", "max", 0.2, Outcome.FAIL, "is 0.4", 0.4, (0.3, 0.5))
    return replace(made, **changes)


def of_checks(*checks: Check) -> Report:
    return replace(example_report(models=1), checks=checks, outcome=Outcome.FAIL)


def run_of(report: Report, **options: Any) -> dict[str, Any]:
    document = json.loads(to_sarif(report, **options))
    SCHEMA.validate(document)
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def prints(report: Report) -> list[dict[str, str]]:
    return [result["partialFingerprints"] for result in run_of(report)["results"]]


def test_example_is_valid_and_has_one_result_a_check_that_did_not_pass() -> None:
    run = run_of(example_report())
    found = [(r["ruleId"], r["level"], r["properties"]["outcome"]) for r in run["results"]]
    assert found == [
        ("refusal/missed_refusal", "warning", "inconclusive"),
        ("robustness/false_alarm", "error", "fail"),
    ]
    assert [run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] for r in run["results"]] == [f[0] for f in found]


def test_passed_run_has_rules_and_no_results() -> None:
    report = of_checks(check(outcome=Outcome.PASS))
    run = run_of(replace(report, outcome=Outcome.PASS))
    assert run["results"] == []
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["toxicity/toxic_share"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 0, "exitCodeDescription": "pass"}]


def test_run_that_checked_nothing_is_no_success() -> None:
    invocation = run_of(replace(example_report(), checks=(), outcome=Outcome.INCONCLUSIVE, sentence="no model"))[
        "invocations"
    ]
    assert invocation[0]["executionSuccessful"] is False
    assert invocation[0]["toolExecutionNotifications"][0]["message"]["text"] == "no model"


@given(reports)
@settings(max_examples=40, deadline=None)
def test_any_report_is_valid(report: Report) -> None:
    open_checks = [c for c in report.checks if c.outcome is not Outcome.PASS]
    assert len(run_of(report)["results"]) == len(open_checks)


def test_hostile_text_makes_no_link_and_no_placeholder() -> None:
    reason = "[click](1) {0} \x1b[31m {{7*7}}"
    text = run_of(of_checks(check(reason=reason)))["results"][0]["message"]["text"]
    assert text == "m: [click] (1) {{0}} ‹U+001B›[31m {{{{7*7}}}}"
    run_of(hostile_report())


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (check(), 8),
        (check(bound="min"), 13),
        (check(context={"group": "insult"}), 18),
        (check(context={"group": "threat"}), None),
        (check(arm="unguarded"), None),
        (check(metric="toxicity/toxicity_probability"), None),
    ],
)
def test_limit_is_found_by_metric_arm_group_and_side(found: Check, line: int | None) -> None:
    assert limit_line(GATE, found) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('x = 1\nlimit = [{metric = "toxicity/toxic_share", arm = "guarded", max = 0.2}]', 2),
        ("not toml [[", None),
        ("limit = 3", None),
        ("", None),
    ],
)
def test_limit_in_other_spellings(text: str, line: int | None) -> None:
    assert limit_line(text, check()) == line


def test_shipped_gate_points_at_each_of_its_limits() -> None:
    path = Path(__file__).parents[3] / "evals" / "gates" / "default.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    report = example_report()
    for result in run_of(replace(report, provenance={"gate": "default@f00d2b61"}))["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "evals/gates/default.toml", "uriBaseId": "%SRCROOT%"}
        if result["ruleId"] == "refusal/missed_refusal":
            line = place["region"]["startLine"]
            assert lines[line - 1] == "[[limit]]"
            assert lines[line] == 'metric = "refusal/missed_refusal"'


def test_own_gate_that_is_not_at_hand_is_named_without_a_line_of_another() -> None:
    place = run_of(example_report())["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("quick.toml", 1)


def test_own_gate_is_named_relative_to_the_repository(tmp_path: Path) -> None:
    gate = tmp_path / "ci" / "my gate.toml"
    gate.parent.mkdir()
    gate.write_text(GATE, encoding="utf-8")
    place = run_of(of_checks(check(bound="min")), gate_file=gate, root=tmp_path)["results"][0]["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "ci/my%20gate.toml"
    assert place["physicalLocation"]["region"] == {"startLine": 13}
    outside = run_of(of_checks(check()), gate_file=gate, root=tmp_path / "other")["results"][0]["locations"][0]
    assert outside["physicalLocation"]["artifactLocation"]["uri"] == "my%20gate.toml"


def test_limit_that_is_not_in_the_gate_points_at_its_head(tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.write_text(GATE, encoding="utf-8")
    found = run_of(of_checks(check(metric="bias/gap")), gate_file=gate, root=tmp_path)["results"][0]
    assert found["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}


def test_gate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.toml cannot be read"):
        to_sarif(example_report(), gate_file=tmp_path / "gone.toml")


POLICY = '[input.toxicity]\nthreshold = 0.9\n\n[output.harmful]\n\n[output."toxicity"]\nthreshold = 0.5\n'


def test_policy_rule_of_the_same_category_is_related(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    first, second = run_of(of_checks(check(), check(arm="unguarded")), policy_file=policy, root=tmp_path)["results"]
    place = first["relatedLocations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("policy.toml", 6)
    assert "relatedLocations" not in second


@pytest.mark.parametrize(
    ("stage", "category", "line"), [("input", "toxicity", 1), ("output", "harmful", 4), ("output", "spam", None)]
)
def test_rule_line(stage: str, category: str, line: int | None) -> None:
    assert rule_line(POLICY, stage, category) == line


def test_fingerprint_stays_when_figures_reasons_limits_and_lines_move(tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.write_text("\n\n\n" + GATE, encoding="utf-8")
    later = check(value=0.9, interval=(0.8, 1.0), limit=0.25, reason="is 0.9", outcome=Outcome.INCONCLUSIVE)
    moved = run_of(of_checks(later), gate_file=gate, root=tmp_path)["results"][0]
    assert moved["partialFingerprints"] == prints(of_checks(check()))[0]
    assert set(moved["partialFingerprints"]) == {"assayCheck/v1", "primaryLocationLineHash"}


def test_fingerprint_differs_by_model_arm_group_side_and_metric() -> None:
    others = [{"model": "n"}, {"arm": "unguarded"}, {"context": {"group": "g"}}, {"bound": "min"}, {"metric": "a/b"}]
    made = prints(of_checks(check(), *(check(**other) for other in others)))
    for key in ("assayCheck/v1", "primaryLocationLineHash"):
        assert len({one[key] for one in made}) == 6


def test_rule_is_tagged_and_its_taxa_are_there() -> None:
    run = run_of(example_report())
    rule = next(r for r in run["tool"]["driver"]["rules"] if r["id"] == "refusal/missed_refusal")
    assert "OWASP LLM01:2025" in rule["properties"]["tags"]
    assert "TC260-003 9.4" in rule["properties"]["tags"]
    for relation in rule["relationships"]:
        target = relation["target"]
        component = run["taxonomies"][target["toolComponent"]["index"]]
        assert component["name"] == target["toolComponent"]["name"]
        assert component["taxa"][target["index"]]["id"] == target["id"]


def test_tags_stay_within_what_github_reads() -> None:
    names = list(taxonomy().rows)
    run = run_of(of_checks(*(check(metric=name) for name in names)))
    assert max(len(rule["properties"]["tags"]) for rule in run["tool"]["driver"]["rules"]) <= 20


def test_change_against_a_baseline_is_a_rule_of_its_own_with_the_tags_of_its_metric() -> None:
    drop = check(metric="toxicity/toxic_share vs baseline", context={"metric": "toxicity/toxic_share", "group": "all"})
    first, second = run_of(of_checks(check(), drop))["tool"]["driver"]["rules"]
    assert (first["id"], second["id"]) == ("toxicity/toxic_share", "toxicity/toxic_share vs baseline")
    assert first["properties"]["tags"] == second["properties"]["tags"] != ["assay"]
    assert second["shortDescription"]["text"] == "Toxic share vs baseline within the limit"
    assert len({one["assayCheck/v1"] for one in prints(of_checks(check(), drop))}) == 2


def test_unknown_metric_is_a_rule_without_tags() -> None:
    (rule,) = run_of(of_checks(check(metric="mine/thing")))["tool"]["driver"]["rules"]
    assert rule["properties"]["tags"] == ["assay"]
    assert "relationships" not in rule


def test_same_report_gives_the_same_bytes() -> None:
    assert to_sarif(example_report()) == to_sarif(example_report())


def test_schema_refuses_what_is_not_sarif() -> None:
    document = json.loads(to_sarif(example_report()))
    assert SCHEMA.is_valid(document)
    for wrong in ({"level": "fatal"}, {"message": {}}, {"unknown": 1}):
        broken = json.loads(json.dumps(document))
        broken["runs"][0]["results"][0].update(wrong)
        assert not SCHEMA.is_valid(broken), wrong
