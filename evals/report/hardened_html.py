"""A hardening as one HTML page that opens from disk: no script, no request, and no text that can act as markup."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup

from evals.harden_filter.figures import Change, Side
from evals.report.hardened import Hardened, figure_text
from evals.report.pages import environment, sheet
from evals.report.plots import Axis, axis_for, scale
from evals.report.visible import on_one_line
from evals.report.wording import OUTCOMES

__all__ = ["hardened_html"]

_SHEETS = ("style.css", "compare.css", "hardened.css")
_HEIGHT = 36


@dataclass(frozen=True)
class _Row:
    """A change as it is drawn: with the word that its interval allows, on an axis of its own kind."""

    change: Change
    word: str
    strip: Markup | None


def hardened_html(page: Hardened) -> str:
    """Return the page as one self-contained HTML file; every text is escaped, what has no ink spelt out."""
    style, style_hash = sheet(_SHEETS)
    shares = axis_for([0.0, 1.0], share=True)
    return (
        _environment()
        .get_template("hardened.html")
        .render(
            page=page,
            rows=[_row(change, shares) for change in page.changes],
            axis=shares,
            course=_course(page),
            style=style,
            style_hash=style_hash,
        )
        + "\n"
    )


def _environment() -> Environment:
    made = environment()
    made.globals.update(outcomes=OUTCOMES, scale=scale, figure=figure_text, heat=_heat)
    return made


def _row(change: Change, shares: Axis) -> _Row:
    """Put the word to a change, and draw it where both sides are shares."""
    word = "no clear change"
    if change.interval is not None and change.difference is not None:
        low, high = change.interval
        if low > 0 or high < 0:
            word = "better" if (high < 0) == change.lower_is_better else "worse"
    ends = [*_ends(change.before), *_ends(change.after)]
    drawn = bool(ends) and all(0 <= end <= 1 for end in ends)
    return _Row(change, word, _strip(change, shares) if drawn else None)


def _ends(side: Side) -> Iterator[float]:
    if side.value is not None:
        yield from (side.value, *(side.interval or ()))


def _strip(change: Change, axis: Axis) -> Markup:
    """Return both sides above each other, each with its interval."""
    parts = [*_grid(axis, _HEIGHT)]
    for side, kind, y in ((change.before, "before", 12), (change.after, "after", 25)):
        if side.value is not None:
            low, high = side.interval or (side.value, side.value)
            line = Markup('<line class="whisker {0}" x1="{1:.2f}%" x2="{2:.2f}%" y1="{3}" y2="{3}"/>')
            parts.append(line.format(kind, axis.at(low), axis.at(high), y))
            dot = Markup('<circle class="dot {}" cx="{:.2f}%" cy="{}" r="5"/>')
            parts.append(dot.format(kind, axis.at(side.value), y))
    label = f"before {figure_text(change.before.value, change.before.interval)}, after "
    label += figure_text(change.after.value, change.after.interval)
    return _svg(parts, label, "strip", _HEIGHT)


def _grid(axis: Axis, height: int) -> Iterator[Markup]:
    line = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    yield from (line.format(axis.at(tick), height) for tick in axis.ticks)


def _svg(parts: Sequence[Markup], label: str, kind: str, height: int) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        kind, on_one_line(label), height, Markup("").join(parts)
    )


def _course(page: Hardened) -> Markup | None:
    """Return success of the best response, and what it has over the game's value, from defender to defender."""
    told = [turn for turn in page.turns if turn.success.value is not None and turn.exploitability is not None]
    if len(told) < 2:
        return None
    height = 220
    axis = axis_for([0.0, 1.0], share=True)
    parts = []
    for tick in axis.ticks:
        y = _level(tick, height)
        parts.append(Markup('<line class="grid" x1="6%" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y))
        parts.append(Markup('<text x="4%" y="{:.1f}" text-anchor="end">{:g}</text>').format(y + 4, tick))
    for kind, values in (
        ("before", [turn.success.value or 0.0 for turn in told]),
        ("after", [turn.exploitability or 0.0 for turn in told]),
    ):
        parts += _line(values, kind, height)
    for at, turn in enumerate(told):
        low, high = turn.success.interval or (turn.success.value, turn.success.value)
        bar = Markup('<line class="whisker before" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1:.1f}" y2="{2:.1f}"/>')
        parts.append(bar.format(_across(at, len(told)), _level(low or 0.0, height), _level(high or 0.0, height)))
        name = Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{}</text>')
        parts.append(name.format(_across(at, len(told)), height + 18, turn.title))
    shown = "; ".join(f"{turn.title} {turn.exploitability:.3f}" for turn in told)
    return _svg(parts, f"left to exploit: {shown}", "course", height + 24)


def _across(at: int, n: int) -> float:
    return 14 + 78 * at / (n - 1)


def _level(value: float, height: int) -> float:
    return 10 + (height - 20) * (1 - min(max(value, 0.0), 1.0))


def _line(values: Sequence[float], kind: str, height: int) -> Iterator[Markup]:
    """Yield a line from dot to dot; SVG has no percentages in polylines."""
    points = [(_across(at, len(values)), _level(value, height)) for at, value in enumerate(values)]
    part = Markup('<line class="whisker {}" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>')
    dot = Markup('<circle class="dot {}" cx="{:.2f}%" cy="{:.1f}" r="5"/>')
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        yield part.format(kind, x1, y1, x2, y2)
    for x, y in points:
        yield dot.format(kind, x, y)


def _heat(rate: float) -> int:
    """Return one of five steps of a rate, for the shade of its cell."""
    return min(4, int(5 * min(max(rate, 0.0), 1.0)))
