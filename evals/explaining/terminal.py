"""Explanations on a terminal: the text with its words marked, and a table of the strongest."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.explaining.explained import LEVELS, Explained, Trust, levels
from evals.explaining.swaps import GroupEffect, disagreement
from evals.report.visible import on_one_line, visible
from guard.explain.generation.counterfactual import Counterfactual

__all__ = ["marked", "show_effects", "show_explained", "show_overall"]

_MOST_WORDS = 12
_RAISES = ("", "on #fbdcd8", "on #f5b5ad", "on #e97f73", "on #c9453a")
_LOWERS = ("", "on #d8e6fb", "on #adc8f5", "on #7ba4ea", "on #3f72cf")


def marked(explained: Explained, *, colour: bool) -> Text:
    """Return the text with its words marked by their values.

    Parameters
    ----------
    explained : Explained
    colour : bool
        Backgrounds, red for what raises the number and blue for what lowers it; otherwise the value stands before the
        word, in square brackets.
    """
    found, at, whole = explained.attribution, 0, Text()
    for (start, end), value, level in zip(found.parts, found.values, levels(found), strict=True):
        whole.append(visible(found.text[at:start]))
        word, at = visible(found.text[start:end]), end
        if not level:
            whole.append(word)
        elif colour:
            whole.append(word, style=f"{_ink(level)} {(_RAISES if level > 0 else _LOWERS)[abs(level)]}")
        else:
            whole.append(f"[{value:+.2f} {word}]")
    whole.append(visible(found.text[at:]))
    return whole


def _ink(level: int) -> str:
    return "bold white" if abs(level) == LEVELS else "black"


def show_explained(explained: Sequence[Explained], console: Console) -> None:
    """Print explanations for people."""
    for number, each in enumerate(explained):
        if number:
            console.print()
        _show(each, console)


def _show(explained: Explained, console: Console) -> None:
    found = explained.attribution
    console.print(Text(f"{explained.title}: {found.category} by {explained.subject}", style="bold"), soft_wrap=True)
    line = f"{found.number:.3f} {explained.unit}, with nothing {found.baseline:.3f}; method {found.method}"
    line += "" if found.gap is None else f", the values miss the difference by {found.gap:+.3f}"
    console.print(Text(line), soft_wrap=True)
    for name, value in explained.facts:
        console.print(Text(f"{name}: {on_one_line(value)}"), soft_wrap=True)
    console.print()
    console.print(marked(explained, colour=console.is_terminal and console.color_system is not None), soft_wrap=True)
    console.print()
    if found.parts:
        console.print(_table(explained))
    for figure in explained.trust:
        console.print(Text(f"{figure.name}: {told(figure)}"), soft_wrap=True)
    if explained.counterfactual is not None:
        for line in edit_lines(explained.counterfactual):
            console.print(Text(line), soft_wrap=True)
    for note in explained.notes:
        console.print(Text(f"Note: {note}"), soft_wrap=True)


def _table(explained: Explained) -> Table:
    """Return the words with the largest values, on either side."""
    found = explained.attribution
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column("word", overflow="fold")
    drawn.add_column(explained.unit, justify="right")
    if found.errors is not None:
        drawn.add_column("standard error", justify="right")
    order = sorted(range(len(found.parts)), key=lambda at: (-abs(float(found.values[at])), at))
    for at in order[:_MOST_WORDS]:
        start, end = found.parts[at]
        cells = [Text(on_one_line(found.text[start:end])), Text(f"{found.values[at]:+.3f}")]
        drawn.add_row(*cells, *([] if found.errors is None else [Text(f"{found.errors[at]:.3f}")]))
    return drawn


def told(figure: Trust) -> str:
    """Return a figure with its interval, n and meaning in one line."""
    if figure.value is None:
        return f"no data (n {figure.n}); {figure.meaning}"
    interval = "" if figure.interval is None else f" [{figure.interval[0]:.3f}, {figure.interval[1]:.3f}]"
    return f"{figure.value:.3f}{interval}, n {figure.n}; {figure.meaning}"


def edit_lines(edit: Counterfactual) -> list[str]:
    """Return what an edit is and does, a line each."""
    if edit.edited is None:
        return [f"Least edit: none found that turns the verdict, in {edit.n_scored} texts tried"]
    changes = ", ".join(
        f"without {on_one_line(change.word)!r}"
        if not change.replacement
        else f"{on_one_line(change.word)!r} -> {on_one_line(change.replacement)!r}"
        for change in edit.changes
    )
    return [
        f"Least edit: {changes}",
        f"  {edit.before:.3f} -> {edit.after:.3f} around {edit.threshold:.3f}: {on_one_line(edit.edited)}",
    ]


def show_overall(figures: Sequence[Trust], console: Console) -> None:
    """Print what checks several explanations together."""
    if figures:
        console.print()
    for figure in figures:
        console.print(Text(f"Over all texts, {figure.name}: {told(figure)}"), soft_wrap=True)


def show_effects(effects: Sequence[GroupEffect], console: Console) -> None:
    """Print what a causal check found, a group a row."""
    if not effects:
        return
    drawn = Table(box=None, pad_edge=False)
    for name in ("group", "effect on the score", "verdict turns", "credited", "opposite", "texts"):
        drawn.add_column(name, justify="left" if name == "group" else "right", overflow="fold")
    for one in effects:
        cells = [
            one.group,
            _figure(one.effect.value, one.effect.interval),
            _figure(one.flips.value, one.flips.interval),
            _figure(one.credited.value, one.credited.interval),
            _figure(one.disagree.value, one.disagree.interval),
            str(one.effect.n_prompts),
        ]
        drawn.add_row(*map(Text, cells))
    console.print(drawn)
    for one in effects:
        if told := disagreement(one):
            console.print(Text(f"{one.group} ({one.set_name}): attribution and exchange have {told}"), soft_wrap=True)


def _figure(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "no data"
    return f"{value:+.3f}" + ("" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]")
