"""Interval strips and histograms as inline SVG: percentages across, pixels down, so that text never scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.curves import Curve, OperatingPoint, Share
from evals.report.visible import on_one_line
from evals.report.wording import bound_sign, interval, number
from evals.schema import Check, Histogram, Metric

__all__ = ["Axis", "axis_for", "check_strip", "histogram", "roc", "scale", "strip"]

_MARGIN = 3.0  # per cent of the width kept free at each end, so that a dot on the edge is whole
_STRIP_HEIGHT = 36
_PLOT_HEIGHT = 170
_PLOT_TOP = 12
_FAR, _NEAR = 1e300, 1e-12  # beyond and below these a float axis has no round ticks


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Parameters
    ----------
    low, high : float
        ``low < high``.
    ticks : tuple of float
        Ascending, inside ``[low, high]``.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where `value` lies, in per cent of the width; values outside lie on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return _MARGIN + share * (100 - 2 * _MARGIN)


def axis_for(values: Sequence[float], *, share: bool) -> Axis:
    """Return an axis with round ticks that holds `values`.

    Parameters
    ----------
    values : sequence of float
    share : bool
        Start at 0 and end no later than 1.
    """
    near = [min(max(value, -_FAR), _FAR) for value in values] or [0.0, 1.0]
    low, high = min(near), max(near)
    if share:
        low, high = min(0.0, low), max(high, 0.05)
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size or size < _NEAR:
        low, high = low - size / 10 - 0.05, high + size / 10 + 0.05
    step = _round_step((high - low) / 4)
    # Forgive rounding, no more: what is left outside would be drawn on the edge.
    first, last = math.floor(low / step + 1e-12), math.ceil(high / step - 1e-12)
    ticks = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def _round_step(rough: float) -> float:
    """Return the round number (1, 2, 2.5 or 5 times a power of ten) at or just over `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))


def strip(arms: Sequence[Metric], axis: Axis, *, limits: Sequence[float] = ()) -> Markup:
    """Return the intervals of one or two arms above each other on `axis`, with a mark at each gate limit."""
    parts = [_grid(axis, 0, _STRIP_HEIGHT), *(_limit(axis.at(limit), _STRIP_HEIGHT) for limit in limits)]
    heights = (12, 25) if len(arms) > 1 else (18,)
    for metric, y in zip(arms, heights, strict=False):
        if metric.value is not None:
            kind = "after" if metric.arm in ("guarded", "perturbed") else "before"
            parts.append(_whisker(axis, metric.value, metric.interval, y=y, kind=kind))
    label = "; ".join(f"{metric.arm} {_figure(metric.value, metric.interval)}" for metric in arms)
    return _svg(Markup("").join(parts), label, height=_STRIP_HEIGHT)


def check_strip(check: Check) -> Markup:
    """Return a check's interval and its limit, with the forbidden side shaded."""
    values = [check.limit, *([] if check.value is None else [check.value]), *(check.interval or ())]
    share = all(0 <= value <= 1 for value in values)
    axis = axis_for([*values, *_beyond(check, values)], share=share)
    at, height = axis.at(check.limit), 28
    left, width = (at, 100 - at) if check.bound == "max" else (0.0, at)
    shade = Markup('<rect class="forbidden" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"/>').format(
        left, width, height
    )
    parts = [shade, _limit(at, height)]
    if check.value is not None:
        kind = "after" if check.arm in ("guarded", "perturbed") else "before"
        parts.append(_whisker(axis, check.value, check.interval, y=height // 2, kind=kind))
    label = f"{_figure(check.value, check.interval)}, limit {bound_sign(check.bound)} {number(check.limit)}"
    return _svg(Markup("").join(parts), label, height=height)


def _beyond(check: Check, values: Sequence[float]) -> tuple[float, ...]:
    """Return a point on the forbidden side, so that there is something of it to see."""
    reach = (max(values) - min(values)) / 4 or abs(check.limit) / 4 or 0.05
    beyond = check.limit + reach if check.bound == "max" else check.limit - reach
    return (min(max(beyond, 0.0), 1.0),) if all(0 <= value <= 1 for value in values) else (beyond,)


def _figure(value: float | None, bounds: tuple[float, float] | None) -> str:
    return "not scored" if value is None else f"{number(value)} {interval(bounds)}"


def _svg(body: Markup, label: str, *, height: int, kind: str = "strip") -> Markup:
    return Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        kind, on_one_line(label), height, body
    )


def _grid(axis: Axis, top: int, bottom: int) -> Markup:
    line = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>')
    return Markup("").join(line.format(axis.at(tick), top, bottom) for tick in axis.ticks)


def _limit(at: float, height: int) -> Markup:
    return Markup('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>').format(at, height)


def _whisker(axis: Axis, value: float, bounds: tuple[float, float] | None, *, y: int, kind: str) -> Markup:
    low, high = bounds or (value, value)
    line = Markup('<line class="whisker {0}" x1="{1:.2f}%" x2="{2:.2f}%" y1="{3}" y2="{3}"/>').format(
        kind, axis.at(low), axis.at(high), y
    )
    return line + Markup('<circle class="dot {}" cx="{:.2f}%" cy="{}" r="5"/>').format(kind, axis.at(value), y)


def scale(axis: Axis) -> Markup:
    """Return the numbers of an axis, to stand beneath its strips."""
    text = Markup('<text x="{:.2f}%" y="12" text-anchor="middle">{}</text>')
    body = Markup("").join(text.format(axis.at(tick), f"{tick:.4g}".replace("-", "−")) for tick in axis.ticks)
    return Markup('<svg class="scale" aria-hidden="true" width="100%" height="18">{}</svg>').format(body)


def histogram(before: Histogram | None, after: Histogram | None) -> Markup:
    """Return both arms' scores over each other: wide bars before, narrow bars after.

    Heights follow the square root of the count, so that a few bad samples beside many good ones stay visible.
    """
    shown = [found for found in (before, after) if found is not None]
    edges = [edge for found in shown for edge in found.edges]
    axis = axis_for(edges, share=False)
    most = max((count for found in shown for count in found.counts), default=0)
    counts = _count_ticks(most)
    top = max(most, counts[-1])
    parts = [_level(_height(count, top)) for count in counts]
    parts += [] if before is None else list(_bars(before, axis, top, kind="before", inset=0.04))
    parts += [] if after is None else list(_bars(after, axis, top, kind="after", inset=0.26))
    label = "Histogram of scores. " + "; ".join(f"{found.arm}: {sum(found.counts):,} samples" for found in shown)
    plot = _svg(Markup("").join(parts), label, height=_PLOT_HEIGHT, kind="bars")
    return Markup('<div class="histogram">{}<div>{}{}</div></div>').format(_levels(counts, top), plot, scale(axis))


def _count_ticks(most: int) -> list[int]:
    """Return 0, a few, about a quarter, and at least `most`, each a round number."""
    if most <= 4:
        return list(range(max(most, 1) + 1))
    top = math.ceil(most / (step := _round_step(most / 10))) * step
    middle = int(_round_step(top / 5))
    few = int(_round_step(max(top / 50, 1)))
    return sorted({0, few, middle, math.ceil(top)})


def _height(count: float, top: float) -> float:
    return (_PLOT_HEIGHT - _PLOT_TOP) * math.sqrt(count / top) if top else 0.0


def _level(height: float) -> Markup:
    y = _PLOT_HEIGHT - height
    return Markup('<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>').format(y)


def _levels(counts: Sequence[int], top: float) -> Markup:
    text = Markup('<text x="100%" y="{:.1f}" text-anchor="end">{:,}</text>')
    body = Markup("").join(text.format(_PLOT_HEIGHT - _height(count, top) + 4, count) for count in counts)
    return Markup('<svg class="levels" aria-hidden="true" width="44" height="{}">{}</svg>').format(
        _PLOT_HEIGHT + 6, body
    )


def _bars(found: Histogram, axis: Axis, top: float, *, kind: str, inset: float) -> Iterator[Markup]:
    bar = Markup('<rect class="bar {}" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
    for left, right, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        start, width, height = axis.at(left), axis.at(right) - axis.at(left), _height(count, top)
        note = f"{found.arm}: {count:,} from {number(left)} to {number(right)}"
        if count:
            yield bar.format(kind, start + inset * width, width * (1 - 2 * inset), _PLOT_HEIGHT - height, height, note)


def roc(curve: Curve, marked: OperatingPoint | None) -> Markup:
    """Return a ROC curve with its diagonal and, where the policy has a threshold, what it does there.

    Units are per cent of the side: the sheet keeps the plot square.
    """
    line = " ".join(dict.fromkeys(f"{100 * x:.1f},{100 - 100 * y:.1f}" for x, y in curve.points()))
    parts = [
        Markup('<rect class="frame" x="0" y="0" width="100" height="100"/>'),
        Markup('<line class="chance" x1="0" y1="100" x2="100" y2="0"/>'),
        Markup('<polyline class="curve" points="{}"/>').format(line),
    ]
    label = f"ROC curve of {curve.category}, area {number(curve.area[0])}"
    if marked is not None:
        at = (100 * (marked.false_alarm.value or 0.0), 100 - 100 * (marked.recall.value or 0.0))
        parts.append(Markup('<circle class="dot after" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(*at))
        label += (
            f"; at {number(marked.threshold)} recall {_share(marked.recall)}, false alarms {_share(marked.false_alarm)}"
        )
    return Markup('<svg class="roc" role="img" aria-label="{}" viewBox="0 0 100 100">{}</svg>').format(
        on_one_line(label), Markup("").join(parts)
    )


def _share(share: Share) -> str:
    return "–" if share.value is None else number(share.value)
