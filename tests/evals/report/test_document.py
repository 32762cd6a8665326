"""The JSON document: golden, exact, and refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from evals.report.document import SCHEMA, from_json, json_schema, to_json, without_times
from evals.schema import Metric, Report
from guard.errors import DataError, OutputError
from tests.evals.report.conftest import GOLDEN
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports


def _with_metric(**changes: Any) -> Report:
    report = example_report(models=1)
    model = report.models[0]
    return replace(report, models=(replace(model, metrics=(replace(model.metrics[0], **changes),)),))


def test_json_example_is_golden(matches_golden: Callable[[str, Path], None]) -> None:
    matches_golden(to_json(example_report()), GOLDEN / "report.json")


@given(reports)
@settings(max_examples=60, deadline=None)
def test_json_any_report_reads_back_the_same(report: Report) -> None:
    text = to_json(report)
    assert from_json(text) == report
    assert to_json(from_json(text)) == text
    assert text.isascii()
    assert text.endswith("}\n")


@given(reports)
@settings(max_examples=40, deadline=None)
def test_json_any_report_meets_the_schema(report: Report) -> None:
    schema = json_schema()
    assert _complaints(json.loads(to_json(report)), schema, schema["$defs"], "report") == []


def test_json_hostile_text_survives() -> None:
    report = hostile_report()
    assert from_json(to_json(report)) == report


def test_json_keys_are_sorted_and_name_the_schema() -> None:
    document = json.loads(to_json(example_report()))
    assert document["schema"] == "assay.report/1"
    assert list(document) == sorted(document)


def test_json_numpy_and_whole_numbers_are_written_as_the_field_says() -> None:
    plain = _with_metric(value=1.0, n_prompts=3)
    odd = _with_metric(value=1, n_prompts=np.int64(3))
    assert to_json(odd) == to_json(plain)
    assert from_json(to_json(_with_metric(value=np.float64(0.1)))) == _with_metric(value=0.1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float32("nan")])
def test_json_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(OutputError, match=r"report\.models\[0\]\.metrics\[0\]\.value is (nan|inf|-inf)"):
        to_json(_with_metric(value=value))


def test_json_provenance_that_is_no_json_is_refused() -> None:
    with pytest.raises(OutputError, match=r"report\.provenance\.path is .*Path.*no JSON value"):
        to_json(replace(example_report(), provenance={"path": Path("x")}))
    with pytest.raises(OutputError, match=r"report\.times has the key 3, and keys are text"):
        to_json(replace(example_report(), times={3: 1}))  # type: ignore[dict-item]
    with pytest.raises(OutputError, match=r"report\.times\['\\x1b\[31m'\] is nan"):
        to_json(replace(example_report(), times={"\x1b[31m": float("nan")}))
    with pytest.raises(OutputError, match=r"report\.times\.deep\[1\] is nan"):
        to_json(replace(example_report(), times={"deep": [1.0, float("nan")]}))


def test_json_wrong_type_in_a_record_is_refused() -> None:
    with pytest.raises(OutputError, match="n_prompts is True, expected a whole number"):
        to_json(_with_metric(n_prompts=True))
    with pytest.raises(OutputError, match="expected one of unguarded, guarded, clean, perturbed"):
        to_json(_with_metric(arm="gaurded"))


def test_without_times_two_runs_are_the_same() -> None:
    report = example_report()
    later = replace(report, times={"started": "later", "seconds": 1.0, "note": '\n  "times": {}\n}\n'})
    other = replace(report, seed=8)
    assert to_json(report) != to_json(later)
    assert without_times(to_json(report)) == without_times(to_json(later))
    assert without_times(to_json(report)) != without_times(to_json(other))
    assert from_json(without_times(to_json(report))) == replace(report, times={})


def test_without_times_other_text_is_refused() -> None:
    with pytest.raises(DataError, match="no top-level 'times'"):
        without_times('{"schema": "assay.report/1"}\n')


def _edited(edit: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(to_json(example_report()))
    edit(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(schema="assay.report/2"), r"schema is 'assay.report/2'.*reads 'assay.report/1'"),
        (lambda d: d.pop("schema"), r"schema is None"),
        (lambda d: d.pop("models"), r"report has no 'models'"),
        (lambda d: d.update(modles=[]), r"report has the unknown key 'modles'; did you mean 'models'\?"),
        (lambda d: d.update(zzzz=1), r"unknown key 'zzzz'; known keys: checks, models"),
        (lambda d: d["models"][1]["metrics"][0].pop("interval"), r"models\[1\]\.metrics\[0\] has no 'interval'"),
        (lambda d: d["models"][0]["metrics"][2].update(value="high"), r"metrics\[2\]\.value is 'high', expected a num"),
        (lambda d: d["models"][0]["metrics"][2].update(value=True), r"metrics\[2\]\.value is True"),
        (lambda d: d["models"][0]["metrics"][2].update(value=10**400), r"\.value is 1000.*expected a finite number"),
        (lambda d: d["models"][0]["metrics"][0].update(interval=[1]), r"\.interval is \[1\], expected a list of 2"),
        (lambda d: d["models"][0]["metrics"][0].update(interval=[2, 1]), r"\.interval ends at 1.0, before it starts"),
        (lambda d: d["models"][0]["metrics"][0].update(arm="both"), r"\.arm is 'both', expected one of unguarded"),
        (lambda d: d["models"][0]["metrics"][0].update(n_prompts=1.5), r"\.n_prompts is 1.5, expected a whole number"),
        (lambda d: d["models"][0].update(name=None), r"models\[0\]\.name is None, expected text"),
        (lambda d: d["models"][0]["histograms"][0]["counts"].pop(), r"histograms\[0\] has 21 edges for 19 counts"),
        (lambda d: d["models"][0]["histograms"][0]["edges"].reverse(), r"histograms\[0\]\.edges do not ascend"),
        (lambda d: d["models"][0]["histograms"][0]["counts"].__setitem__(0, -1), r"counts has a number below 0"),
        (lambda d: d.update(outcome=0), r"report\.outcome is 0, expected one of pass, fail, inconclusive"),
        (lambda d: d.update(checks={}), r"report\.checks is \{\}, expected a list"),
        (lambda d: d.update(times=[]), r"report\.times is \[\], expected an object"),
        (lambda d: d.update(models=["smollm2"]), r"models\[0\] is 'smollm2', expected an object \(ModelResult\)"),
    ],
)
def test_from_json_mistake_is_named(edit: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        from_json(_edited(edit))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON at line 1, column 1"),
        (to_json(example_report())[:5000], "not valid JSON at line .*cut short"),
        ("[]", "not a JSON object"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"seed": 1, "seed": 2}', "the key 'seed' stands twice"),
        ("[" * 100_000, "nested too deep"),
        ('{"seed": ' + "9" * 5000 + "}", "a number too long"),
    ],
)
def test_from_json_broken_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        from_json(text)
    assert "\n" not in str(caught.value)


def test_from_json_huge_float_is_refused() -> None:
    text = to_json(_with_metric(value=0.123456)).replace("0.123456", "1e999")
    with pytest.raises(DataError, match=r"value is inf, expected a finite number"):
        from_json(text)


def test_schema_check_of_this_test_finds_mistakes() -> None:
    schema = json_schema()
    document = json.loads(to_json(example_report()))
    document["models"][0]["metrics"][0]["arm"] = "both"
    document["extra"] = 1
    del document["seed"]
    assert _complaints(document, schema, schema["$defs"], "report") == [
        "report has no seed",
        "report has extra",
        "report.models[0].metrics[0].arm",
    ]
    assert schema["properties"]["schema"]["const"] == SCHEMA
    assert set(schema["$defs"]) >= {Metric.__name__, "Verdict", "Span"}


_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


def _complaints(value: Any, schema: dict[str, Any], definitions: dict[str, Any], where: str) -> list[str]:
    """Return where `value` departs from the part of JSON Schema that the document uses."""
    if "$ref" in schema:
        return _complaints(value, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions, where)
    if "anyOf" in schema:
        fits = any(not _complaints(value, option, definitions, where) for option in schema["anyOf"])
        return [] if fits else [where]
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        return [where]
    if "type" in schema and (not isinstance(value, _TYPES[schema["type"]]) or isinstance(value, bool)):
        return [where]
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return [where]
        items = (_complaints(v, schema.get("items", {}), definitions, f"{where}[{i}]") for i, v in enumerate(value))
        return [found for complaints in items for found in complaints]
    return _object_complaints(value, schema, definitions, where) if isinstance(value, dict) else []


def _object_complaints(value: Any, schema: dict[str, Any], definitions: dict[str, Any], where: str) -> list[str]:
    found = [f"{where} has no {key}" for key in schema.get("required", []) if key not in value]
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    found += [f"{where} has {key}" for key in value if key not in properties and rest is False]
    for key, item in value.items():
        inner = properties.get(key, rest or {})
        found += _complaints(item, inner, definitions, f"{where}.{key}")
    return found
