"""The published schema of report.json: that of the records, and held to real documents by a validator of its own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from evals.report import to_json
from evals.report.document import from_json
from evals.report.json_schema import SCHEMA_FILE, published, schema_text
from evals.schema import Report
from guard.errors import DataError
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports

FILE = Path(__file__).parents[3] / "evals" / "report" / SCHEMA_FILE
VALIDATOR = jsonschema.Draft202012Validator(published())


def test_published_schema_is_that_of_the_records(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--rewrite-golden", default=False):
        FILE.write_text(schema_text(), encoding="utf-8", newline="\n")
    assert FILE.read_text(encoding="utf-8") == schema_text(), "--rewrite-golden writes it; is it a new version?"


def test_schema_is_one_of_its_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(published())
    assert published()["$id"] == "urn:assay:report:1"


@given(reports)
@settings(max_examples=40, deadline=None)
def test_any_report_keeps_the_schema(report: Report) -> None:
    VALIDATOR.validate(json.loads(to_json(report)))


@pytest.mark.parametrize("report", [example_report(), hostile_report()], ids=["example", "hostile"])
def test_whole_reports_keep_the_schema(report: Report) -> None:
    VALIDATOR.validate(json.loads(to_json(report)))


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if path[:1] in (("provenance",), ("times",)):
        return []
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def _set(document: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def test_what_the_reader_refuses_the_schema_refuses_too() -> None:
    """Every value of the document in turn becomes something that no record holds: both must say no."""
    document = json.loads(to_json(example_report(models=1)))
    del (
        document["models"][0]["examples"][1:],
        document["models"][0]["histograms"][1:],
        document["models"][0]["metrics"][3:],
    )
    del document["models"][0]["comparisons"][2:], document["checks"][1:]
    places = [place for place in _places(document) if place]
    assert len(places) > 100
    for place in places:
        broken = _set(document, place, {"no": ["such", "value"]})
        assert not VALIDATOR.is_valid(broken), place
        with pytest.raises(DataError):
            from_json(json.dumps(broken))


@pytest.mark.parametrize("key", ["schema", "outcome", "models", "times"])
def test_missing_key_is_refused(key: str) -> None:
    document = json.loads(to_json(example_report(models=1)))
    del document[key]
    assert not VALIDATOR.is_valid(document)


def test_unknown_key_and_other_version_are_refused() -> None:
    document = json.loads(to_json(example_report(models=1)))
    assert not VALIDATOR.is_valid({**document, "more": 1})
    assert not VALIDATOR.is_valid({**document, "schema": "assay.report/0"})
