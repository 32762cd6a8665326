"""Explanations as one HTML page that opens from disk: no script, no request, and no text that can act as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.explaining.explained import Explained, Trust, levels
from evals.explaining.swaps import GroupEffect, disagreement
from evals.report.pages import environment, sheet
from guard.explain.generation.counterfactual import Counterfactual

__all__ = ["explained_html"]

_SHEETS = ("style.css", "compare.css", "explained.css")
_MOST_WORDS = 20
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class _Piece:
    """A run of text with how strongly it is marked."""

    text: str
    kind: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Word:
    """A row of the table of words."""

    text: str
    value: float
    error: float | None
    bar: Markup


def explained_html(
    explained: Sequence[Explained],
    effects: Sequence[GroupEffect] = (),
    *,
    title: str = "Explanation",
    overall: Sequence[Trust] = (),
) -> str:
    """Return the page as one self-contained HTML file.

    Parameters
    ----------
    explained : sequence of Explained
    effects : sequence of GroupEffect
        Of the causal check, where there was one.
    overall : sequence of Trust
        What checks all explanations together.
    title : str
        Every text is escaped, and what has no ink is spelt out.
    """
    style, style_hash = sheet(_SHEETS)
    made = environment()
    made.globals.update(disagreement=disagreement, bound=_bound, most=_MOST_WORDS)
    drawn = [(one, list(_pieces(one)), _words(one), _edit(one.counterfactual)) for one in explained]
    return (
        made.get_template("explained.html").render(
            title=title, drawn=drawn, effects=effects, overall=overall, style=style, style_hash=style_hash
        )
        + "\n"
    )


def _pieces(explained: Explained) -> Iterator[_Piece]:
    """Cut a text into what is marked and what stands between; a very long one is cut off, which is said."""
    found, at = explained.attribution, 0
    for (start, end), value, level in zip(found.parts, found.values, levels(found), strict=True):
        if start >= _MOST_CHARACTERS:
            break
        yield _Piece(found.text[at:start])
        kind = "" if not level else f"{'up' if level > 0 else 'down'}{abs(level)}"
        yield _Piece(found.text[start:end], kind, f"{value:+.3f} {explained.unit}")
        at = end
    yield _Piece(found.text[at:_MOST_CHARACTERS])
    if len(found.text) > _MOST_CHARACTERS:
        yield _Piece(f" ({len(found.text) - _MOST_CHARACTERS:,} more characters)")


def _words(explained: Explained) -> list[_Word]:
    """Return the words with the largest values in size, each with its bar on one axis around 0."""
    found = explained.attribution
    largest = float(abs(found.values).max(initial=0.0)) or 1.0
    order = sorted(range(len(found.parts)), key=lambda at: (-abs(float(found.values[at])), at))[:_MOST_WORDS]
    rows = []
    for at in order:
        (start, end), value = found.parts[at], float(found.values[at])
        error = None if found.errors is None else float(found.errors[at])
        rows.append(_Word(found.text[start:end], value, error, _bar(value / largest)))
    return rows


def _bar(share: float) -> Markup:
    """Draw a value from the middle to the right, or to the left where it lowers the number."""
    width = 50 * abs(share)
    rect = Markup('<rect class="{}" x="{:.2f}%" y="4" width="{:.2f}%" height="10"/>')
    axis = Markup('<line class="zero" x1="50%" x2="50%" y1="0" y2="18"/>')
    bar = rect.format("up" if share > 0 else "down", 50.0 if share > 0 else 50.0 - width, width)
    return Markup('<svg class="strip" width="100%" height="18" aria-hidden="true">{}{}</svg>').format(bar, axis)


def _edit(edit: Counterfactual | None) -> list[_Piece]:
    """Return a text with what an edit takes out and puts in."""
    if edit is None or edit.edited is None:
        return []
    found, at = list[_Piece](), 0
    for change in edit.changes:
        start, end = change.range
        found += [_Piece(edit.text[at:start]), _Piece(change.word, "out")]
        found += [_Piece(change.replacement, "in")] if change.replacement else []
        at = end
    return [*found, _Piece(edit.text[at:])]


def _bound(figure: Trust) -> str:
    return "" if figure.interval is None else f"[{figure.interval[0]:.3f}, {figure.interval[1]:.3f}]"
