"""The report as JSON: one text for one report, read back exactly or refused by the name of the key at fault."""

from __future__ import annotations

import itertools
import json
from typing import Any, NoReturn

from evals.report.shapes import shape_of
from evals.schema import Histogram, Report
from guard.errors import DataError

__all__ = ["SCHEMA", "from_json", "json_schema", "to_json", "without_times"]

SCHEMA = "assay.report/1"
"""Name and version of the document. A reader refuses any other, since a figure misread is worse than none."""

_TIMES_KEY = '\n  "times": '


def to_json(report: Report) -> str:
    """Return the report as JSON text.

    The same report always gives the same bytes: keys are sorted, floats are written as ``repr`` does, and
    everything outside ASCII is escaped, so that lone surrogates survive. JSON cannot tell a high surrogate that
    is followed by a low one from the character that both stand for: such a pair reads back as that character.

    Raises
    ------
    OutputError
        A value that JSON has no word for, for example NaN.
    """
    document = shape_of(Report).encode(report, "report")
    return _dump({"schema": SCHEMA, **document})


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def from_json(text: str) -> Report:
    """Return the report that `text` holds.

    Raises
    ------
    DataError
        Truncated or broken JSON, another schema or version, a missing, unknown or repeated key, or a value of
        the wrong kind. The message names the key.
    """
    document = _parse(text)
    if not isinstance(document, dict):
        raise DataError("report: the text is not a JSON object; give the report.json of a run")
    schema = document.pop("schema", None)
    if schema != SCHEMA:
        raise DataError(
            f"report: schema is {schema!r}, and this version reads {SCHEMA!r}; "
            "use the version of Assay that wrote it, or run the audit again"
        )
    report: Report = shape_of(Report).decode(document, "report")
    _check(report)
    return report


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unrepeated)
    except json.JSONDecodeError as error:
        raise DataError(
            f"report: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            "the file may be cut short: run the audit again"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError("report: nested too deep, or a number too long, to be a report; run the audit again") from error


def _refuse_constant(word: str) -> NoReturn:
    raise DataError(f"report: holds {word}, and a report holds no NaN or infinity; run the audit again")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in document if keys.count(key) > 1)
        raise DataError(f"report: the key {repeated!r} stands twice in one object; keep one")
    return document


def _check(report: Report) -> None:
    """Hold a report that was read to what the types cannot say."""
    for i, model in enumerate(report.models):
        for j, metric in enumerate(model.metrics):
            _check_interval(metric.interval, f"report.models[{i}].metrics[{j}]")
        for j, comparison in enumerate(model.comparisons):
            _check_interval(comparison.interval, f"report.models[{i}].comparisons[{j}]")
        for j, histogram in enumerate(model.histograms):
            _check_histogram(histogram, f"report.models[{i}].histograms[{j}]")


def _check_interval(interval: tuple[float, float] | None, where: str) -> None:
    if interval is not None and interval[0] > interval[1]:
        raise DataError(f"report: {where}.interval ends at {interval[1]}, before it starts; run the audit again")


def _check_histogram(histogram: Histogram, where: str) -> None:
    if len(histogram.edges) != len(histogram.counts) + 1:
        raise DataError(f"report: {where} has {len(histogram.edges)} edges for {len(histogram.counts)} counts")
    if any(left >= right for left, right in itertools.pairwise(histogram.edges)):
        raise DataError(f"report: {where}.edges do not ascend; run the audit again")
    if any(count < 0 for count in histogram.counts):
        raise DataError(f"report: {where}.counts has a number below 0; run the audit again")


def without_times(text: str) -> str:
    """Return the JSON text with its ``times`` emptied, byte for byte the same otherwise.

    Two runs of one seed give the same text here.

    Raises
    ------
    DataError
        `text` was not written by :func:`to_json`.
    """
    # "times" is the last of the sorted keys, and no string holds a raw line break: this finds it and nothing else.
    head, key, _ = text.rpartition(_TIMES_KEY)
    if not key or not text.endswith("\n}\n"):
        raise DataError("report: no top-level 'times' where it should be; give a report.json that Assay wrote")
    return f"{head}{key}{{}}\n}}\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document, derived from the records themselves."""
    definitions: dict[str, Any] = {}
    shape_of(Report).schema(definitions)
    root = definitions.pop("Report")
    root["properties"] = {"schema": {"const": SCHEMA}, **root["properties"]}
    root["required"] = sorted([*root["required"], "schema"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Assay report",
        **root,
        "$defs": definitions,
    }
