"""The report as SARIF 2.1.0: a result for every check that did not pass, at the line of the gate that set the limit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from evals.report.source_lines import limit_line, rule_line
from evals.report.visible import on_one_line
from evals.report.wording import wording_of
from evals.schema import Check, Outcome, Report
from evals.taxonomy import Framework, taxonomy
from guard.errors import DataError

__all__ = ["to_sarif"]

_SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SHIPPED = "default"
_SHIPPED_GATE = "evals/gates/default.toml"
_MOST_TAGS = 20
"""GitHub reads no more tags of a rule."""

_LEVELS: Mapping[Outcome, str] = {Outcome.FAIL: "error", Outcome.INCONCLUSIVE: "warning"}

Json = dict[str, Any]


def to_sarif(
    report: Report, *, gate_file: Path | None = None, policy_file: Path | None = None, root: Path | None = None
) -> str:
    """Return the report as SARIF.

    A metric with a limit is a rule, tagged with what it is evidence for. A failed check is a result of the level
    ``error``, an inconclusive one of ``warning``; a passed one is no result, so that a code scanning service closes
    its alert. Fingerprints hash the rule, the model, the arm, the group and the side of the limit, and neither a
    figure nor a line, so an alert stays the same one while figures and files move.

    Parameters
    ----------
    report : Report
    gate_file : Path, optional
        The gate of the run, where it is a file of the user's. Without it, locations are in the gate that ships, or at
        the head of the file that the run's own gate is named after.
    policy_file : Path, optional
        The policy of the run, where it is a file of the user's: its rule on the same category is a related location.
    root : Path, optional
        What paths are written relative to, usually the root of the repository; the working directory by default.
        A file outside it is named by its name alone, since a path of this machine says nothing elsewhere.

    Raises
    ------
    DataError
        A file that cannot be read.
    """
    name = str(report.provenance.get("gate", _SHIPPED)).partition("@")[0]
    sources = _Sources(gate_file, policy_file, root or Path.cwd(), name=name)
    measured = {check.metric: check.context.get("metric", check.metric) for check in report.checks}
    rules = list(measured)
    findings = [check for check in report.checks if check.outcome is not Outcome.PASS]
    frameworks = list(taxonomy().frameworks.values())
    run = {
        "tool": {"driver": _driver(measured, frameworks)},
        "taxonomies": [_component(framework, index) for index, framework in enumerate(frameworks)],
        "automationDetails": {"id": f"assay/{on_one_line(report.suite)}/"},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(check, rules.index(check.metric), sources) for check in findings],
        "properties": {
            "suite": on_one_line(report.suite),
            "seed": report.seed,
            "verdict": on_one_line(report.sentence),
        },
    }
    document = {"$schema": _SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _invocation(report: Report) -> Json:
    """Return how the run ended; a run that checked nothing must not read as one without findings."""
    ended = {"exitCode": int(report.outcome), "exitCodeDescription": report.outcome.name.lower()}
    if report.checks:
        return {"executionSuccessful": True, **ended}
    notice = {"level": "error", "message": _text(report.sentence)}
    return {"executionSuccessful": False, **ended, "toolExecutionNotifications": [notice]}


class _Sources:
    """The files that results point into, read once."""

    def __init__(self, gate: Path | None, policy: Path | None, root: Path, *, name: str) -> None:
        self._root = root
        if gate is not None:
            self._gate = self._uri(gate), _read(gate)
        elif name == _SHIPPED:
            self._gate = _SHIPPED_GATE, _shipped_gate()
        else:  # a gate of the user's that is not at hand: its name, and no line of another gate
            self._gate = quote(f"{on_one_line(name)}.toml"), ""
        self._policy = None if policy is None else (self._uri(policy), _read(policy))

    def limit(self, check: Check) -> Json:
        """Return where the limit of a check stands; the head of the gate where it is not found."""
        uri, text = self._gate
        return _location(uri, limit_line(text, check) or 1)

    def rule(self, check: Check) -> Json | None:
        """Return where the policy's rule on outputs of the same category stands."""
        if self._policy is None or check.arm == "unguarded":
            return None
        uri, text = self._policy
        line = rule_line(text, "output", check.metric.partition("/")[0])
        if line is None:
            return None
        return {**_location(uri, line), "id": 0, "message": {"text": "The rule of the policy on the same category."}}

    def _uri(self, path: Path) -> str:
        """Return a relative URI with forward slashes."""
        relative = os.path.relpath(path.resolve(), self._root.resolve())
        inside = not relative.startswith(os.pardir) and not os.path.isabs(relative)
        return quote(PurePosixPath(*Path(relative if inside else path.name).parts).as_posix())


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as UTF-8 text ({error}); SARIF needs it for its line numbers"
        ) from error


def _shipped_gate() -> str:
    return (Path(__file__).parents[1] / "gates" / "default.toml").read_text(encoding="utf-8")


def _location(uri: str, line: int) -> Json:
    place = {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": {"startLine": line}}
    return {"physicalLocation": place}


def _driver(measured: Mapping[str, str], frameworks: Sequence[Framework]) -> Json:
    try:
        own = version("assay")
    except PackageNotFoundError:  # run from a checkout that was never installed
        own = "0"
    return {
        "name": "Assay",
        "version": own,
        "fullName": f"Assay {own}, audits of generators",
        "rules": [_rule(name, metric, frameworks) for name, metric in measured.items()],
        "supportedTaxonomies": [{"name": one.name, "index": index} for index, one in enumerate(frameworks)],
    }


def _rule(checked: str, metric: str, frameworks: Sequence[Framework]) -> Json:
    """Return the rule of what is checked: a metric, or the change of one against a baseline."""
    task, _, name = metric.partition("/")
    wording, tags = wording_of(task, name), taxonomy().tags_of(metric)
    places = {framework.key: index for index, framework in enumerate(frameworks)}
    meaning = wording.meaning or f"The metric {metric}."
    named = [f"{frameworks[places[item.framework]].name}: {item.id}, {item.name}." for item in tags.items]
    advice = "A limit of the gate is held against the bad end of the metric's 95% interval."
    rule: Json = {
        "id": on_one_line(checked),
        "name": _pascal(checked),
        "shortDescription": _text(f"{wording.title}{_qualifier(checked, metric)} within the limit"),
        "fullDescription": _text(f"{meaning} {tags.why}".strip()),
        "help": _text("\n\n".join([meaning, advice, *named])),
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["assay", *taxonomy().labels_of(metric)][:_MOST_TAGS]},
    }
    if tags.items:
        rule["relationships"] = [
            {"target": _taxon(item.id, places[item.framework], frameworks), "kinds": ["relevant"]}
            for item in tags.items
        ]
    return rule


def _qualifier(checked: str, metric: str) -> str:
    return checked.removeprefix(metric) if checked != metric and checked.startswith(metric) else ""


def _taxon(number: str, place: int, frameworks: Sequence[Framework]) -> Json:
    return {
        "id": number,
        "index": list(frameworks[place].items).index(number),
        "toolComponent": {"name": frameworks[place].name, "index": place},
    }


def _component(framework: Framework, index: int) -> Json:
    return {
        "name": framework.name,
        "version": framework.version,
        "informationUri": framework.source,
        "isComprehensive": False,
        "taxa": [{"id": item.id, "shortDescription": {"text": item.name}} for item in framework.items.values()],
    }


def _result(check: Check, rule: int, sources: _Sources) -> Json:
    group = check.context.get("group", "all")
    named = [check.model, check.metric, check.arm, group]
    result: Json = {
        "ruleId": on_one_line(check.metric),
        "ruleIndex": rule,
        "level": _LEVELS[check.outcome],
        "message": _text(f"{check.model}: {check.reason}"),
        "locations": [{**sources.limit(check), "logicalLocations": [_logical(named)]}],
        "partialFingerprints": _fingerprints([check.metric, check.model, check.arm, group, check.bound]),
        "properties": {"outcome": check.outcome.name.lower(), "arm": check.arm, "limit": check.limit},
    }
    if check.value is not None:
        result["properties"]["value"] = check.value
    if check.interval is not None:
        result["properties"]["interval"] = list(check.interval)
    if (related := sources.rule(check)) is not None:
        result["relatedLocations"] = [related]
    return result


def _logical(parts: Iterable[str]) -> Json:
    shown = [on_one_line(part) for part in parts]
    return {"name": shown[0], "fullyQualifiedName": "/".join(shown), "kind": "resource"}


def _fingerprints(parts: Sequence[str]) -> dict[str, str]:
    """Return the identity of a check.

    GitHub reads ``primaryLocationLineHash`` alone, and would hash the line of the gate if it were not given: two
    models that break one limit would then be one alert.
    """
    digest = hashlib.sha256(json.dumps(list(parts)).encode("ascii")).hexdigest()
    return {"assayCheck/v1": digest, "primaryLocationLineHash": f"{digest[:16]}:1"}


def _text(text: str) -> Json:
    """Return a message whose text reads as itself: braces would be placeholders, ``[text](1)`` a link."""
    shown = "\n\n".join(on_one_line(part) for part in text.split("\n\n"))
    return {"text": shown.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def _pascal(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text).split()
    return "".join(word[:1].upper() + word[1:] for word in words) or "Metric"
