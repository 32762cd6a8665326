"""The report as JUnit XML: a test case for every check, and for every other metric and slice."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evals.report.visible import on_one_line, visible
from evals.report.wording import bound_sign, interval, number
from evals.schema import Check, Metric, ModelResult, Outcome, Report
from evals.taxonomy import taxonomy

__all__ = ["to_junit"]

_LONGEST = 300
"""Characters of a name or a message: a hostile name must not fill the screen of a CI server."""

_Fault = Literal["failure", "error", "skipped"]


@dataclass(frozen=True)
class _Case:
    """One test case; a fault of None is a pass."""

    classname: str
    name: str
    fault: _Fault | None
    kind: str
    message: str
    details: str


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML.

    A model is a test suite. A limit of the gate is a test case: passed, a ``failure``, or an ``error`` of the type
    ``inconclusive``, since what lacks evidence must not be shown as passed or skipped. A metric or slice without a
    limit passes, with its figure in ``system-out``, and is skipped where it has no data. The names hold no figures,
    so that a server can follow a test case over runs, and no two are the same. The file has a case that did not pass
    exactly where the run did not pass, and always at least one: readers refuse a file without any.

    Returns
    -------
    str
        UTF-8 with a declaration; holds no character that XML 1.0 forbids, since those are spelt out.
    """
    suites = [(model.name, _model_cases(report, model)) for model in report.models]
    known = {model.name for model in report.models}
    strays = [_check_case(check) for check in report.checks if check.model not in known]
    if strays:
        suites.append(("gate", strays))
    everything = [case for _, cases in suites for case in cases]
    if not everything or (report.outcome is not Outcome.PASS and not any(map(_breaks, everything))):
        suites.append(("verdict", [_verdict_case(report)]))
    return _document(report, suites)


def _model_cases(report: Report, model: ModelResult) -> list[_Case]:
    """Return a case a limit, and one for each metric and slice that no limit is on."""
    checks = [check for check in report.checks if check.model == model.name]
    limited = {(check.metric, check.arm, check.context.get("group", "all")) for check in checks}
    free = (m for m in model.metrics if (f"{m.task}/{m.name}", m.arm, m.group) not in limited)
    return [*map(_check_case, checks), *(_metric_case(model.name, metric) for metric in free)]


def _check_case(check: Check) -> _Case:
    task, _, name = check.metric.partition("/")
    side = "at most" if check.bound == "max" else "at least"
    group = check.context.get("group", "all")
    figures = "no value" if check.value is None else f"{number(check.value)} {interval(check.interval)}"
    lines = [check.reason, f"value: {figures}", f"limit: {bound_sign(check.bound)} {number(check.limit)}"]
    fault, kind = _FAULTS[check.outcome]
    return _Case(
        classname=f"{check.model}.{task}",
        name=f"{name} {check.arm} {side} the limit{_slice(group)}",
        fault=fault,
        kind=kind,
        message=check.reason,
        details="\n".join([*lines, *_tag_lines(check.context.get("metric", check.metric))]),
    )


_FAULTS: Mapping[Outcome, tuple[_Fault | None, str]] = {
    Outcome.PASS: (None, ""),
    Outcome.FAIL: ("failure", "limit"),
    Outcome.INCONCLUSIVE: ("error", "inconclusive"),
}


def _metric_case(model: str, metric: Metric) -> _Case:
    key = f"{metric.task}/{metric.name}"
    counts = f"{metric.n_prompts} prompts, {metric.n_samples} samples, {metric.n_unscored} unscored"
    scored = metric.value is not None
    figures = f"value: {number(metric.value)} {interval(metric.interval)}" if metric.value is not None else "no value"
    return _Case(
        classname=f"{model}.{metric.task}",
        name=f"{metric.name} {metric.arm} without a limit{_slice(metric.group)}",
        fault=None if scored else "skipped",
        kind="",
        message=f"{key} {metric.arm} has no data: {counts}",
        details="\n".join([f"{figures} ({counts})", *_tag_lines(key)]),
    )


def _verdict_case(report: Report) -> _Case:
    fault, kind = _FAULTS[report.outcome]
    return _Case("assay", "verdict", fault, kind, report.sentence, report.sentence)


def _slice(group: str) -> str:
    return "" if group == "all" else f" ({group})"


def _tag_lines(metric: str) -> Iterator[str]:
    tags = taxonomy().tags_of(metric)
    for key, framework in taxonomy().frameworks.items():
        if found := tags.of(key):
            yield f"{framework.name}: {', '.join(f'{item.id} {item.name}' for item in found)}"


def _breaks(case: _Case) -> bool:
    return case.fault in ("failure", "error")


def _document(report: Report, suites: Iterable[tuple[str, list[_Case]]]) -> str:
    suites = list(suites)
    everything = [case for _, cases in suites for case in cases]
    names = _unique_names(everything)
    root = ElementTree.Element("testsuites", {"name": "assay", **_counts(everything), **_seconds(report)})
    for name, cases in suites:
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": _name(name), **_counts(cases), "skipped": _skips(cases)}
        )
        suite.attrib |= _started(report)
        _properties(suite, report)
        for case in cases:
            _append(suite, case, next(names))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(cases: list[_Case]) -> dict[str, str]:
    counted = {key: sum(case.fault == key for case in cases) for key in ("failure", "error")}
    return {"tests": str(len(cases)), "failures": str(counted["failure"]), "errors": str(counted["error"])}


def _skips(cases: list[_Case]) -> str:
    return str(sum(case.fault == "skipped" for case in cases))


def _properties(suite: ElementTree.Element, report: Report) -> None:
    held = {"suite": report.suite, "seed": str(report.seed), "verdict": report.outcome.name.lower()}
    held |= {key: str(value) for key, value in report.provenance.items() if key in ("gate", "policy", "code")}
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in held.items():
        ElementTree.SubElement(properties, "property", {"name": key, "value": _name(value)})


def _unique_names(cases: list[_Case]) -> Iterator[str]:
    """Yield a name for each case of the file; GitLab drops the second of two that are the same."""
    seen: dict[tuple[str, str], int] = {}
    for case in cases:
        key = (_name(case.classname), _name(case.name))
        seen[key] = seen.get(key, 0) + 1
        yield key[1] if seen[key] == 1 else f"{key[1]} #{seen[key]}"


def _append(suite: ElementTree.Element, case: _Case, name: str) -> None:
    node = ElementTree.SubElement(suite, "testcase", {"classname": _name(case.classname), "name": name, "time": "0"})
    if case.fault:
        told = {"message": _name(case.message), **({"type": case.kind} if case.kind else {})}
        fault = ElementTree.SubElement(node, case.fault, told)
        # Some servers show only the text, others only the message.
        fault.text = None if case.fault == "skipped" else visible(case.details)
    if case.fault in (None, "skipped"):
        ElementTree.SubElement(node, "system-out").text = visible(case.details)


def _name(text: str) -> str:
    """Return `text` as it may stand in an attribute: one line, nothing that XML forbids."""
    shown = on_one_line(text) or "(empty)"
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _seconds(report: Report) -> dict[str, str]:
    spent = report.times.get("seconds")
    known = isinstance(spent, (int, float)) and not isinstance(spent, bool) and spent >= 0
    return {"time": f"{spent:.3f}"} if known else {}


def _started(report: Report) -> dict[str, str]:
    """Return the start of the run, where it is a time."""
    try:
        moment = datetime.datetime.fromisoformat(str(report.times.get("started")))
    except ValueError:
        return {}
    return {"timestamp": moment.isoformat(timespec="seconds")}
