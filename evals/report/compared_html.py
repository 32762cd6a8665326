"""A comparison as one HTML page that opens from disk: no script, no request, and no text that can act as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup

from evals.compare import RunComparison
from evals.comparison.effects import ALL, Effect
from evals.comparison.flips import Flip
from evals.report.compared_words import headline, p_value, reading
from evals.report.pages import environment, sheet
from evals.report.plots import Axis, axis_for, scale
from evals.report.visible import on_one_line, pieces
from evals.report.wording import OUTCOMES, difference, interval, metric_title, number, task_title, wording_of

__all__ = ["to_html"]

_SHEETS = ("style.css", "compare.css")
_SHOWN_CHARACTERS = 2000
_HEIGHT = 28


@dataclass(frozen=True)
class _Plot:
    """Effects that share an axis."""

    title: str
    axis: Axis
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class _Crossed:
    """The samples of one metric and arm that crossed the line one way."""

    title: str
    count: int
    flips: tuple[Flip, ...]


def to_html(comparison: RunComparison) -> str:
    """Return the comparison as one self-contained HTML page.

    Every text passes through :func:`evals.report.visible.visible` and is then escaped; the page's own policy
    forbids scripts, requests and every style but its own.
    """
    style, style_hash = sheet(_SHEETS)
    page = _environment().get_template("compare.html")
    return (
        page.render(
            comparison=comparison,
            headline=headline(comparison),
            reading=reading(comparison),
            style=style,
            style_hash=style_hash,
            plots=list(_plots(comparison.effects)),
            crossed=list(_crossed(comparison)),
        )
        + "\n"
    )


def _environment() -> Environment:
    made = environment()
    made.filters.update(number=number, difference=difference, interval=interval, p_value=p_value, task_title=task_title)
    made.globals.update(
        outcomes=OUTCOMES,
        wording_of=wording_of,
        pieces=pieces,
        limit=_SHOWN_CHARACTERS,
        strip=_strip,
        scale=scale,
        whole=ALL,
    )
    return made


def _plots(found: Sequence[Effect]) -> Iterator[_Plot]:
    """Yield the shares on one axis, and every other metric on its own; zero is on each."""
    drawn = [effect for effect in found if effect.value is not None]
    shares = tuple(effect for effect in drawn if wording_of(effect.task, effect.metric).share)
    if shares:
        yield _Plot("Effects on shares", axis_for([0.0, *_ends(shares)], share=False), shares)
    others = [effect for effect in drawn if effect not in shares]
    for name in dict.fromkeys(effect.name for effect in others):
        own = tuple(effect for effect in others if effect.name == name)
        title = f"Effect on {metric_title(own[0].task, own[0].metric)}"
        yield _Plot(title, axis_for([0.0, *_ends(own)], share=False), own)


def _ends(found: Sequence[Effect]) -> Iterator[float]:
    for effect in found:
        yield from (effect.value or 0.0, *(effect.interval or ()))


def _strip(effect: Effect, axis: Axis) -> Markup:
    """Return one effect with its interval against the line of no change."""
    grid = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    parts = [grid.format(axis.at(tick), _HEIGHT) for tick in axis.ticks]
    zero = Markup('<line class="zero" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    parts.append(zero.format(axis.at(0.0), _HEIGHT))
    value, y = effect.value or 0.0, _HEIGHT // 2
    low, high = effect.interval or (value, value)
    whisker = Markup('<line class="whisker {0}" x1="{1:.2f}%" x2="{2:.2f}%" y1="{3}" y2="{3}"/>')
    parts.append(whisker.format(effect.change, axis.at(low), axis.at(high), y))
    parts.append(Markup('<circle class="dot {}" cx="{:.2f}%" cy="{}" r="5"/>').format(effect.change, axis.at(value), y))
    label = f"{difference(value)} {interval(effect.interval, signed=True)}, {effect.change}"
    return Markup('<svg class="strip" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        on_one_line(label), _HEIGHT, Markup("").join(parts)
    )


def _crossed(comparison: RunComparison) -> Iterator[_Crossed]:
    for now in ("failing", "passing"):
        for effect in comparison.effects:
            own = tuple(f for f in comparison.flips if f.now == now and _of(f, effect))
            count = effect.newly_failing if now == "failing" else effect.newly_passing
            if own:
                title = metric_title(effect.task, effect.metric)
                yield _Crossed(f"Newly {now}: {title}, {effect.arm}", count, own)


def _of(flip: Flip, effect: Effect) -> bool:
    return (flip.task, flip.metric, flip.arm) == (effect.task, effect.metric, effect.arm)
