"""A hardening as JSON, Markdown and rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evals.harden_filter.figures import Change, Side
from evals.harden_filter.hardening import HardenResult

__all__ = ["SCHEMA", "head_and_rows", "short_head_and_rows", "to_dict", "to_json", "to_markdown"]

SCHEMA = "assay.harden-filter/1"
"""Name and version of the document."""

_VERDICTS = {0: "pass", 1: "fail", 3: "inconclusive"}


def to_dict(result: HardenResult) -> dict[str, Any]:
    """Return the result as JSON values."""
    request = asdict(result.request) | {"out": str(result.request.out)}
    request["table"]["source"] = str(request["table"]["source"])
    request["unlabelled"] = None if request["unlabelled"] is None else str(request["unlabelled"])
    return {
        "schema": SCHEMA,
        "outcome": _VERDICTS[int(result.outcome)],
        "filter": {"before": result.before, "after": result.after},
        "category": result.request.category,
        "threshold": result.threshold,
        "rows": result.n_rows,
        "request": request,
        "training": None if result.training is None else result.training.record(),
        "shift": result.shift,
        "changes": [asdict(change) for change in result.changes],
        "rulings": [
            {"name": one.name, "outcome": _VERDICTS[int(one.outcome)], "reason": one.reason} for one in result.rulings
        ],
    }


def to_json(result: HardenResult) -> str:
    """Return the result as a JSON document."""
    return json.dumps(to_dict(result), indent=2, ensure_ascii=False) + "\n"


def head_and_rows(result: HardenResult) -> tuple[list[str], list[list[str]]]:
    """Return the table of all figures."""
    return ["figure", "before", "after", "difference (95%)", "n"], [_row(one) for one in result.changes]


def short_head_and_rows(result: HardenResult) -> tuple[list[str], list[list[str]]]:
    """Return the same in the width of a terminal: without the intervals of each state."""
    rows = [
        [c.title, f"{_value(c.before)} > {_value(c.after)}", _difference(c), str(c.n_paired)] for c in result.changes
    ]
    return ["figure", "before > after", "difference (95%)", "n"], rows


def _value(side: Side) -> str:
    return "no data" if side.value is None else f"{side.value:.3f}"


def _row(change: Change) -> list[str]:
    return [change.title, _side(change.before), _side(change.after), _difference(change), str(change.n_paired)]


def _side(side: Side) -> str:
    if side.value is None:
        return "no data"
    ends = "" if side.interval is None else f" ({side.interval[0]:.3f} to {side.interval[1]:.3f})"
    return f"{side.value:.3f}{ends}" + (f", {side.n_unscored} unscored" if side.n_unscored else "")


def _difference(change: Change) -> str:
    if change.difference is None:
        return "no data"
    ends = "" if change.interval is None else f" ({change.interval[0]:+.3f} to {change.interval[1]:+.3f})"
    return f"{change.difference:+.3f}{ends}"


def to_markdown(result: HardenResult) -> str:
    """Return the result as Markdown."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: HardenResult) -> Iterator[str]:
    head, rows = head_and_rows(result)
    yield "# Hardening of a filter"
    yield ""
    yield f"Verdict: **{_VERDICTS[int(result.outcome)]}**. {result.before} before, {result.after} after."
    yield ""
    yield _made(result)
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"
    yield ""
    yield (
        f"Category {result.request.category} at the threshold {result.threshold:g}. Differences are paired by text; n"
        " is the number of texts that both states have. Each state is attacked anew. Success counts texts that the"
        " filter caught as they are."
    )
    yield ""
    for ruling in result.rulings:
        yield f"- {_VERDICTS[int(ruling.outcome)]}: {ruling.reason}"


def _made(result: HardenResult) -> str:
    """Say in one sentence how the state after came about."""
    counts = ", ".join(f"{n:,} {_USES[name]}" for name, n in result.n_rows.items())
    hooks = ", ".join(result.request.hooks) or "none"
    slips = "on" if result.request.slips else "off"
    said = f"Rows: {counts}. Hooks: {hooks}. Reading of slips: {slips}. Bias moved by {result.shift:+.2f}."
    if result.training is None:
        return said
    done = result.training
    return f"{said} {done.n_steps} steps, stopped by {done.stopped}, kept the state of step {done.kept_at}."


_USES = {"train": "to train on", "validation": "to choose by", "test": "to measure on", "attacked": "of those attacked"}
