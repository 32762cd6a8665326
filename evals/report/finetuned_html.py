"""A fine-tuning as one HTML page that opens from disk: no script, no request, and no text that can act as markup."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from evals.report.finetuned import Course, Finetuned
from evals.report.pages import environment, sheet
from evals.report.plots import Axis, axis_for, scale
from evals.report.visible import on_one_line
from evals.report.wording import OUTCOMES

__all__ = ["finetuned_html"]

_SHEETS = ("style.css", "compare.css", "finetuned.css")
_HEIGHT = 40.0  # of a plot that is 100 wide
_MOST_POINTS = 400


def finetuned_html(page: Finetuned) -> str:
    """Return the page as one self-contained HTML file; every text is escaped, what has no ink spelt out."""
    style, style_hash = sheet(_SHEETS)
    made = environment()
    made.globals.update(outcomes=OUTCOMES)
    plots = [(course, _plot(course)) for course in page.courses]
    template = made.get_template("finetuned.html")
    return template.render(page=page, plots=plots, style=style, style_hash=style_hash) + "\n"


def _plot(course: Course) -> Markup:
    """Return a number over the steps, with its axes beside it; the sheet sets the size."""
    points = [*course.train, *course.validation]
    if not points:
        return Markup("")
    steps = axis_for([float(step) for step, _ in points], share=False)
    values = axis_for([value for _, value in points], share=False)
    parts = [_level(values, tick) for tick in values.ticks]
    parts += [_line(course.train, steps, values, "before"), _line(course.validation, steps, values, "after")]
    best = [(step, value) for step, value in course.validation if step == course.best]
    parts += [_dot(step, value, steps, values) for step, value in best]
    label = f"{course.title}: " + ", ".join(f"step {step} {value:.4g}" for step, value in course.validation[-3:])
    plot = Markup('<svg class="course-plot" role="img" aria-label="{}" viewBox="0 0 100 {:g}">{}</svg>').format(
        on_one_line(label), _HEIGHT, Markup("").join(parts)
    )
    return Markup('<div class="course-frame">{}<div>{}{}</div></div>').format(_levels(values), plot, scale(steps))


def _y(value: float, axis: Axis) -> float:
    return _HEIGHT * (1 - (min(max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low))


def _level(axis: Axis, tick: float) -> Markup:
    return Markup('<line class="grid" x1="0" x2="100" y1="{0:.2f}" y2="{0:.2f}"/>').format(_y(tick, axis))


def _levels(axis: Axis) -> Markup:
    """Return the numbers of the upright axis, in per cent of its height."""
    text = Markup('<text x="100%" y="{:.1f}%" text-anchor="end">{}</text>')
    body = Markup("").join(text.format(100 * _y(tick, axis) / _HEIGHT, f"{tick:.4g}") for tick in axis.ticks)
    return Markup('<svg class="levels" aria-hidden="true" width="44">{}</svg>').format(body)


def _line(points: Sequence[tuple[int, float]], steps: Axis, values: Axis, kind: str) -> Markup:
    every = max(1, -(-len(points) // _MOST_POINTS))
    kept = [*points[::every], *points[-1:]]
    line = " ".join(f"{steps.at(float(step)):.2f},{_y(value, values):.2f}" for step, value in kept)
    return Markup('<polyline class="curve {}" points="{}"/>').format(kind, line) if kept else Markup("")


def _dot(step: int, value: float, steps: Axis, values: Axis) -> Markup:
    at = steps.at(float(step)), _y(value, values)
    return Markup('<circle class="dot after" cx="{:.2f}" cy="{:.2f}" r="1"/>').format(*at)
