"""A fine-tuning with ethics as one HTML page: three models side by side, and the searched trade-off as a plot."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.report.ethics import EthicsPage, EthicsRow, TradeOff, TradePoint
from evals.report.hardened import figure_text
from evals.report.pages import environment, sheet
from evals.report.plots import Axis, axis_for, scale
from evals.report.visible import on_one_line
from evals.report.wording import OUTCOMES

__all__ = ["ethics_html", "trade_plot"]

_SHEETS = ("style.css", "compare.css", "hardened.css", "ethics.css")
_STRIP, _PLOT = 48, 300
_KINDS = ("original", "before", "after")


@dataclass(frozen=True)
class _Drawn:
    """A figure with the word that its interval allows, and its strip."""

    row: EthicsRow
    word: str
    strip: Markup | None


def ethics_html(page: EthicsPage) -> str:
    """Return the page as one self-contained HTML file; every text is escaped, what has no ink spelt out."""
    style, style_hash = sheet(_SHEETS)
    made = environment()
    made.globals.update(outcomes=OUTCOMES, scale=scale)
    shares = axis_for([0.0, 1.0], share=True)
    rows = [_Drawn(row, _word(row), _strip(row, shares) if row.is_share else None) for row in page.rows]
    plot = trade_plot(page.trade) if page.trade is not None and page.trade.points else None
    template = made.get_template("ethics.html")
    return template.render(page=page, rows=rows, axis=shares, plot=plot, style=style, style_hash=style_hash) + "\n"


def _word(row: EthicsRow) -> str:
    if row.interval is None or row.interval[0] <= 0 <= row.interval[1]:
        return "no clear change"
    return "better" if row.interval[1] < 0 else "worse"


def _strip(row: EthicsRow, axis: Axis) -> Markup:
    """Return the three models above each other, each with its interval."""
    line = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    parts = [line.format(axis.at(tick), _STRIP) for tick in axis.ticks]
    for kind, (value, interval), y in zip(_KINDS, row.values, (10, 24, 38), strict=True):
        if value is not None:
            low, high = interval or (value, value)
            bar = Markup('<line class="whisker {0}" x1="{1:.2f}%" x2="{2:.2f}%" y1="{3}" y2="{3}"/>')
            parts.append(bar.format(kind, axis.at(low), axis.at(high), y))
            dot = Markup('<circle class="dot {}" cx="{:.2f}%" cy="{}" r="5"/>')
            parts.append(dot.format(kind, axis.at(value), y))
    names = ("original", "plain", "with ethics")
    label = "; ".join(f"{name} {figure_text(*value)}" for name, value in zip(names, row.values, strict=True))
    return _svg(parts, label, "strip", _STRIP)


def trade_plot(trade: TradeOff) -> Markup:
    """Return toxicity over perplexity, the limit shaded, the front joined by a line and the chosen point ringed."""
    across = axis_for([*(one.perplexity for one in trade.points), trade.limit, 1.0], share=False)
    up = axis_for([one.toxicity for one in trade.points], share=True)
    at = across.at(trade.limit)
    shade = Markup('<rect class="forbidden" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"/>')
    limit = Markup('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    parts = [shade.format(at, 100 - at, _PLOT), *_grid(across, up), limit.format(at, _PLOT)]
    front = sorted((one for one in trade.points if one.on_front), key=lambda one: one.perplexity)
    parts += _line(front, across, up)
    parts += [_dot(one, across, up) for one in trade.points]
    shown = "; ".join(f"{one.name}: {one.toxicity:.3f} at {one.perplexity:.3f}" for one in front)
    plot = _svg(parts, f"Toxicity over perplexity. On the front: {shown}", "tradeoff", _PLOT)
    return Markup('<div class="course-frame">{}<div>{}{}</div></div>').format(_levels(up), plot, scale(across))


def _grid(across: Axis, up: Axis) -> Iterator[Markup]:
    upright = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    level = Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>')
    yield from (upright.format(across.at(tick), _PLOT) for tick in across.ticks)
    yield from (level.format(_y(tick, up)) for tick in up.ticks)


def _y(value: float, axis: Axis) -> float:
    return 8 + (_PLOT - 16) * (1 - (min(max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low))


def _line(front: Sequence[TradePoint], across: Axis, up: Axis) -> Iterator[Markup]:
    part = Markup('<line class="front" x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>')
    for left, right in itertools.pairwise(front):
        yield part.format(
            across.at(left.perplexity), _y(left.toxicity, up), across.at(right.perplexity), _y(right.toxicity, up)
        )


def _dot(one: TradePoint, across: Axis, up: Axis) -> Markup:
    kind = "chosen" if one.chosen else "after" if one.on_front else "before" if one.within else "over"
    note = f"{one.name}: toxicity {one.toxicity:.3f}, perplexity {one.perplexity:.3f}"
    dot = Markup('<circle class="dot {}" cx="{:.2f}%" cy="{:.1f}" r="{}"><title>{}</title></circle>')
    return dot.format(kind, across.at(one.perplexity), _y(one.toxicity, up), 8 if one.chosen else 5, on_one_line(note))


def _levels(axis: Axis) -> Markup:
    text = Markup('<text x="100%" y="{:.1f}" text-anchor="end">{:g}</text>')
    body = Markup("").join(text.format(_y(tick, axis) + 4, tick) for tick in axis.ticks)
    return Markup('<svg class="levels" aria-hidden="true" width="44" height="{}">{}</svg>').format(_PLOT, body)


def _svg(parts: Sequence[Markup], label: str, kind: str, height: int) -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        kind, on_one_line(label), height, Markup("").join(parts)
    )
