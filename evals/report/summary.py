"""The report as a comment on a pull request: what did not pass first, then what changed, then the other figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evals.report.markdown import code, prose
from evals.report.names import Names, names_of
from evals.report.rows import Row, rows_of
from evals.report.wording import OUTCOMES, bound_sign, difference, interval, number, unrepeated
from evals.schema import Arm, Check, Metric, Outcome, Report

__all__ = ["LONGEST", "NewlyFailing", "marker", "to_summary"]

LONGEST = 60_000
"""Characters of a summary; a comment on GitHub may have 65,536, and one on GitLab 1,000,000."""

_LONGEST_NAME, _LONGEST_REASON = 60, 300
_FEWER_ROWS = (1_000, 200, 50, 10, 3)
_WORST_FIRST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)

_Key = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class NewlyFailing:
    """A sample that fails a metric now and did not in the baseline. Named, not quoted: its text may be offensive.

    Parameters
    ----------
    model, metric : str
        The metric as ``task/name``.
    sample_id, group : str
        The prompt's id where the metric has one value a prompt.
    arm : Arm
    """

    model: str
    metric: str
    sample_id: str
    group: str = "all"
    arm: Arm = "guarded"


@dataclass(frozen=True)
class _Page:
    """What a summary is made of, and how many rows each of its tables may have."""

    report: Report
    baseline: Mapping[_Key, Metric] | None
    newly: Sequence[NewlyFailing]
    rows: int


def marker(key: str) -> str:
    """Return the hidden comment by which a bot finds its own comment again.

    Parameters
    ----------
    key : str
        Tells audits of one repository apart, for example the name of the suite.
    """
    return f"<!-- assay-audit:{re.sub(r'[^A-Za-z0-9._]+', '-', key)[:60].strip('-')} -->"


def to_summary(
    report: Report,
    *,
    baseline: Report | None = None,
    newly: Sequence[NewlyFailing] = (),
    key: str | None = None,
    longest: int = LONGEST,
) -> str:
    """Return the report as Markdown short enough for a comment.

    Parameters
    ----------
    report : Report
    baseline : Report, optional
        An earlier run: each figure then stands beside what it was. The change is that of two separate estimates;
        ``assay compare`` tests it prompt by prompt.
    newly : sequence of NewlyFailing
    key : str, optional
        Of the marker in the first line; the name of the suite by default.
    longest : int, default 60,000
        Characters at most, at least 2,000. Tables lose rows until it fits, and say how many.

    Returns
    -------
    str
        Begins with :func:`marker`. Text of users and models is escaped, and samples are named but never quoted.
    """
    before = None if baseline is None else _figures(baseline, report)
    text = ""
    for rows in _FEWER_ROWS:
        page = _Page(report, before, newly, rows)
        text = "\n".join([marker(key or report.suite), *_lines(page)]) + "\n"
        if len(text) <= longest:
            return text
    return _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    """Return whole lines of `text`; only a report of very many tasks or models comes here."""
    note = "\n\nThe summary was too long; the report has the rest.\n"
    return text[: longest - len(note)].rpartition("\n")[0] + note


def _lines(page: _Page) -> Iterator[str]:
    yield from _head(page.report)
    yield from _open_checks(page)
    yield from _newly(page)
    yield from _passed(page)
    yield from _metrics(page)
    yield from _foot(page)


def _head(report: Report) -> Iterator[str]:
    outcome = OUTCOMES[report.outcome]
    yield f"## {outcome.sign} Assay: {outcome.word.lower()}"
    yield ""
    yield prose(_short(unrepeated(report.sentence, report.outcome), 3 * _LONGEST_REASON))
    yield ""


def _open_checks(page: _Page) -> Iterator[str]:
    checks = [check for check in page.report.checks if check.outcome is not Outcome.PASS]
    if not checks:
        return
    checks.sort(key=lambda check: _WORST_FIRST.index(check.outcome))
    yield f"### Not passed ({len(checks)} of {len(page.report.checks)})"
    yield ""
    yield from _table(_CHECK_HEAD, [_check(check) for check in checks], page.rows)
    yield ""
    reasons = [
        f"- {OUTCOMES[c.outcome].sign} {_name(c.model)}: {prose(_short(c.reason, _LONGEST_REASON))}" for c in checks
    ]
    yield from _clipped(reasons, page.rows, "checks")
    yield ""


def _passed(page: _Page) -> Iterator[str]:
    checks = [check for check in page.report.checks if check.outcome is Outcome.PASS]
    if checks:
        table = _table(_CHECK_HEAD, [_check(check) for check in checks], page.rows)
        yield from _details(f"Passed ({len(checks)} of {len(page.report.checks)})", table)


_CHECK_HEAD = ("Outcome", "Model", "Metric", "Arm", "Limit", "Value [95% interval]")


def _check(check: Check) -> list[str]:
    outcome, group = OUTCOMES[check.outcome], check.context.get("group", "all")
    value = "not measured" if check.value is None else f"{number(check.value)} {interval(check.interval)}"
    metric = _name(check.metric) if group == "all" else f"{_name(check.metric)} {_name(group)}"
    limit = f"{bound_sign(check.bound)} {number(check.limit)}"
    return [f"{outcome.sign} {outcome.word}", _name(check.model), metric, check.arm, limit, value]


def _newly(page: _Page) -> Iterator[str]:
    if not page.newly:
        return
    yield f"### Newly failing ({len(page.newly)})"
    yield ""
    rows = [
        [_name(one.sample_id), _name(one.metric), one.arm, _name(one.group), _name(one.model)] for one in page.newly
    ]
    yield from _table(("Sample", "Metric", "Arm", "Group", "Model"), rows, min(page.rows, 50))
    yield ""


def _metrics(page: _Page) -> Iterator[str]:
    names = names_of(page.report)
    rows = [row for model in page.report.models for row in rows_of(model, names) if row.group == "all"]
    if not rows:
        return
    change = [] if page.baseline is None else ["Baseline", "Change"]
    head = ["Task", "Metric", "Model", "Without guard, or clean", "With guard, or perturbed", *change, "n"]
    yield "### Figures"
    yield ""
    yield from _table(head, [_figure(row, names, page.baseline) for row in rows], page.rows)
    yield ""
    yield "With their 95% intervals, clustered by prompt; n counts prompts. ↓ lower is better, ↑ higher is better."
    if page.baseline is not None:
        yield ""
        yield "A change is between two separate estimates; `assay compare` tests it prompt by prompt."
    yield ""


def _figure(row: Row, names: Names, baseline: Mapping[_Key, Metric] | None) -> list[str]:
    title = f"{prose(_short(row.wording.title))} {row.wording.arrow}".rstrip()
    cells = [prose(_short(names.task(row.task))), title, _name(row.model), _value(row.before), _value(row.after)]
    if baseline is not None:
        now = row.after or row.before
        before = None if now is None else baseline.get((row.model, row.task, row.name, now.arm, row.group))
        cells += [_value(before), _change(before, now, row.wording.better)]
    return [*cells, " / ".join(f"{n:,}" for n in row.n_prompts)]


def _change(before: Metric | None, now: Metric | None, better: str) -> str:
    if before is None or now is None or before.value is None or now.value is None:
        return "–"
    moved = now.value - before.value
    if not moved or not better or _overlap(before, now):
        return difference(moved)
    return f"{difference(moved)} {'better' if (moved < 0) == (better == 'lower') else '**worse**'}"


def _overlap(before: Metric, now: Metric) -> bool:
    if before.interval is None or now.interval is None:
        return True
    return before.interval[0] <= now.interval[1] and now.interval[0] <= before.interval[1]


def _value(metric: Metric | None) -> str:
    if metric is None:
        return "–"
    return "not scored" if metric.value is None else f"{number(metric.value)} {interval(metric.interval)}"


def _foot(page: _Page) -> Iterator[str]:
    report = page.report
    named = [f"suite {_name(report.suite)}", f"seed {report.seed}"]
    named += [f"{key} {_name(str(report.provenance[key]))}" for key in ("gate", "policy") if key in report.provenance]
    named += [f"{_name(model.name)} is {_name(model.digest)}" for model in report.models[: page.rows]]
    yield f"<sub>{'; '.join(named)}.</sub>"


def _figures(baseline: Report, report: Report) -> dict[_Key, Metric]:
    """Return the baseline's metrics by model, task, name, arm and group.

    Where both runs have one model, it is the same one under whatever name: its path may differ between machines.
    """
    renamed = {model.name: model.name for model in baseline.models}
    if len(baseline.models) == len(report.models) == 1:
        renamed = {baseline.models[0].name: report.models[0].name}
    return {
        (renamed[model.name], metric.task, metric.name, metric.arm, metric.group): metric
        for model in baseline.models
        for metric in model.metrics
    }


def _name(text: str) -> str:
    return code(_short(text))


def _short(text: str, longest: int = _LONGEST_NAME) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows[:most])
    if len(rows) > most:
        yield ""
        yield f"… and {len(rows) - most:,} more rows in the report."


def _clipped(lines: Sequence[str], most: int, what: str) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"- … and {len(lines) - most:,} more {what} in the report."


def _details(summary: str, body: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield from body
    yield ""
    yield "</details>"
    yield ""
