"""A comparison of two runs: as JSON, on a terminal, and as files in a folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from evals.compare import RunComparison
from evals.comparison.effects import ALL, Effect
from evals.report.compared_html import to_html
from evals.report.compared_markdown import to_markdown
from evals.report.compared_words import headline, p_value, reading
from evals.report.shapes import shape_of
from evals.report.visible import on_one_line
from evals.report.wording import OUTCOMES, difference, interval, number, task_title, wording_of
from evals.schema import Check, Outcome
from guard.errors import OutputError

__all__ = ["SCHEMA", "render", "to_html", "to_json", "to_markdown", "write"]

SCHEMA = "assay.comparison/1"
"""Name and version of the JSON document."""

_COLOURS = {"better": "green", "worse": "red", "moved": "cyan"}
_VERDICTS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}
_SHOWN_FLIPS = 5
_SHOWN_CHARACTERS = 60

# What our own signs become on a terminal that does not speak UTF-8.
_ASCII = str.maketrans({"−": "-", "–": "-", "≤": "<=", "✓": "+", "✗": "x", "↓": "v", "↑": "^", "·": "-", "→": "->"})


def to_json(comparison: RunComparison) -> str:
    """Return the comparison as JSON text: keys sorted, everything outside ASCII escaped, the same bytes every time."""
    document = shape_of(RunComparison).encode(comparison, "comparison")
    return json.dumps({"schema": SCHEMA, **document}, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write(comparison: RunComparison, folder: Path) -> list[Path]:
    """Write ``comparison.json``, ``comparison.md`` and ``comparison.html`` into `folder`, which is made if need be.

    Raises
    ------
    OutputError
        No permission or no space; the files of an earlier comparison are then as they were.
    """
    texts = {"comparison.json": to_json, "comparison.md": to_markdown, "comparison.html": to_html}
    moves = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, render_as in zip(moves.values(), texts.values(), strict=True):
            part.write_text(render_as(comparison), encoding="utf-8", newline="\n")
        for target, part in moves.items():
            part.replace(target)
    except OSError as error:
        for part in moves.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        raise OutputError(
            f"the comparison could not be written to {folder}: {error.strerror or error}; name another with --out"
        ) from error
    return list(moves)


def render(comparison: RunComparison, console: Console) -> None:
    """Print a comparison in 80 columns; colours come out only where the console is a terminal."""
    page = _Page(console)
    console.print(page.text(headline(comparison), "bold"))
    for note in comparison.notes:
        console.print(page.text(f"· {note}", "yellow"))
    console.print(page.effects(comparison.effects, "All prompts"))
    changed = [effect for effect in comparison.slices if effect.change in ("better", "worse", "moved")]
    if comparison.slices:
        title = f"Slices that changed: {len(changed)} of {len(comparison.slices)}"
        console.print(page.effects(changed, title) if changed else page.text(title))
    page.flips(comparison)
    console.print(page.text(reading(comparison), "dim"))
    if comparison.checks:
        console.print(page.checks(comparison.checks))
    if comparison.outcome is not None:
        console.print(page.verdict(comparison.outcome, comparison.checks))


class _Page:
    """Cells and tables for one console. Every text is a Text, so rich markup in it means nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def text(self, text: str, style: str = "") -> Text:
        shown, encoding = on_one_line(text), self._console.encoding
        if not encoding.lower().startswith("utf"):
            shown = shown.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        return Text(shown, style)

    def lines(self, *texts: Text) -> Text:
        return Text("\n").join(text for text in texts if text.plain)

    def effects(self, found: Sequence[Effect], title: str) -> Table:
        drawn = Table(title=self.text(title, "bold"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        drawn.add_column("Metric", overflow="fold")
        for name in ("Before", "After", "Effect", "p (Holm)", "n", "Failing"):
            drawn.add_column(name, justify="right", no_wrap=True)
        for effect in found:
            drawn.add_row(*self.cells(effect))
        return drawn

    def cells(self, effect: Effect) -> tuple[Text, ...]:
        wording = wording_of(effect.task, effect.metric)
        where = ", ".join([task_title(effect.task), effect.arm, *([] if effect.group == ALL else [effect.group])])
        named = self.lines(self.text(f"{wording.title} {wording.arrow}".rstrip()), self.text(where, "dim"))
        if effect.value is None:
            return named, *(self.text("–", "dim") for _ in range(3)), self.text("–"), self.text("0"), self.text("")
        word = f"{effect.change} " if effect.change in ("better", "worse") else ""
        figure = self.text(f"{word}{difference(effect.value)}", _COLOURS.get(effect.change, ""))
        flips = (
            f"+{effect.newly_failing} −{effect.newly_passing}" if effect.newly_failing + effect.newly_passing else ""
        )
        return (
            named,
            self.text("–" if effect.before is None else number(effect.before)),
            self.text("–" if effect.after is None else number(effect.after)),
            self.lines(figure, self.text(interval(effect.interval, signed=True), "dim")),
            self.text(p_value(effect.p_corrected)),
            self.text(f"{effect.n_prompts:,}"),
            self.text(flips),
        )

    def flips(self, comparison: RunComparison) -> None:
        """Print the first newly failing samples of each metric and arm, a line each."""
        failing = [flip for flip in comparison.flips if flip.now == "failing"]
        for metric, arm in dict.fromkeys((f"{flip.task}/{flip.metric}", flip.arm) for flip in failing):
            own = [flip for flip in failing if (f"{flip.task}/{flip.metric}", flip.arm) == (metric, arm)]
            n = next(e.newly_failing for e in comparison.effects if (e.name, e.arm) == (metric, arm))
            self._console.print(self.text(f"Newly failing, {metric} {arm}: {n:,}", "bold"))
            for flip in own[:_SHOWN_FLIPS]:
                prompt = "" if flip.prompt is None else on_one_line(flip.prompt)
                short = prompt if len(prompt) <= _SHOWN_CHARACTERS else prompt[: _SHOWN_CHARACTERS - 1] + "…"
                self._console.print(self.text(f"  {flip.sample_id or flip.prompt_id}: {short}"))

    def checks(self, checks: Sequence[Check]) -> Table:
        drawn = Table(title=self.text("Allowed drops", "bold"), title_justify="left", box=SIMPLE_HEAD)
        drawn.add_column("Outcome", no_wrap=True)
        drawn.add_column("Why", overflow="fold")
        for check in checks:
            outcome = OUTCOMES[check.outcome]
            sign = self.text(f"{outcome.sign} {outcome.word}", f"bold {_VERDICTS[check.outcome]}")
            drawn.add_row(sign, self.text(check.reason))
        return drawn

    def verdict(self, outcome: Outcome, checks: Sequence[Check]) -> Panel:
        words, colour = OUTCOMES[outcome], _VERDICTS[outcome]
        counted = sum(check.outcome is outcome for check in checks)
        told = f"{words.sign} {words.word}: {counted} of {len(checks)} allowed drops."
        return Panel(self.text(told, f"bold {colour}"), border_style=colour)
