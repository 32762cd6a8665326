"""An attack on a terminal: the table, the verdict, and what was changed in colour."""

from __future__ import annotations

import difflib
import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.attacking.summary import AttackSummary, Shown
from evals.attacking.wording import short_head_and_rows, verdict
from evals.report.visible import visible

__all__ = ["coloured_diff", "show_summary"]

_WORDS = re.compile(r"\s+|\S+")
_SHOWN = 3
_MOST_CHARS = 600


def show_summary(summary: AttackSummary, console: Console) -> None:
    """Print table, verdict, some examples and notes."""
    head, rows = short_head_and_rows(summary)
    drawn = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        drawn.add_column(name, no_wrap=number < 3, overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    console.print(
        Text("n without what was skipped; 95% intervals; medians; the whole table is in attack.md", style="dim")
    )
    for recipe in summary.recipes:
        for note in recipe.notes:
            console.print(Text(f"{recipe.recipe}: {visible(note)}"))
    for one in summary.examples[:_SHOWN]:
        console.print(_example(one))
    if said := verdict(summary):
        console.print(Text(said, style="bold"))


def coloured_diff(before: str, after: str) -> Text:
    """Return what was taken out in red and struck through, and what was put in in green, by whole words.

    Parameters
    ----------
    before, after : str
        Of which the first 600 characters are shown; what would steer a terminal is spelt out.
    """
    old, new = (_WORDS.findall(visible(text[:_MOST_CHARS])) for text in (before, after))
    found = Text()
    for kind, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append("".join(old[start:end]))
        else:
            found.append("".join(old[start:end]), style="red strike")
            found.append("".join(new[new_start:new_end]), style="green")
    return found


def _example(one: Shown) -> Text:
    found = Text().append(f"\n{visible(one.recipe)}, {visible(one.id)}\n", style="bold")
    if not one.answer:
        return found.append_text(coloured_diff(one.before, one.after))
    found.append(f"{visible(one.before[:_MOST_CHARS])}\n")
    found.append(f"{visible(one.after[:_MOST_CHARS])}\n", style="green")
    return found.append(visible(one.answer[:_MOST_CHARS]), style="red")
