"""The report on a terminal, at the end of a run: metrics, gate and verdict in 80 columns."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from evals.report.rows import Row, TaskTable, task_tables
from evals.report.visible import on_one_line
from evals.report.wording import (
    OUTCOMES,
    bound_sign,
    cost,
    difference,
    interval,
    latency,
    number,
    unrepeated,
)
from evals.schema import Check, Metric, Outcome, Report

__all__ = ["render"]

_COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}
_CHANGES = {"better": "green", "worse": "red", "moved": "cyan"}
_WIDE = 120

# What our own signs become on a terminal that does not speak UTF-8.
_ASCII = str.maketrans(
    {"−": "-", "–": "-", "≤": "<=", "≥": ">=", "✓": "+", "✗": "x", "↓": "v", "↑": "^", "·": "-", "‹": "<", "›": ">"}
)


def render(report: Report, console: Console) -> None:
    """Print the report.

    Parameters
    ----------
    report : Report
    console : rich.console.Console
        Colours come out only where this is a terminal. Under 120 columns an interval goes beneath its figure.
    """
    page = _Page(console)
    several = len(report.models) > 1
    for table in task_tables(report):
        if table.metrics:
            console.print(page.metrics(table, several=several))
    if told := latency(report):
        console.print(page.text(f"Time: {told}"))
    if told := cost(report):
        console.print(page.text(f"Cost: {told}"))
    console.print(page.key())
    if report.checks:
        console.print(page.gate(report.checks, several=several))
    console.print(page.verdict(report))


@dataclass(frozen=True)
class _Page:
    """Cells and tables for one console. Every text is a Text, so rich markup in it means nothing."""

    console: Console

    @property
    def wide(self) -> bool:
        return self.console.width >= _WIDE

    def text(self, text: str, style: str = "") -> Text:
        shown, encoding = on_one_line(text), self.console.encoding
        if not encoding.lower().startswith("utf"):
            shown = shown.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        return Text(shown, style)

    def lines(self, *texts: Text) -> Text:
        return Text("\n").join(text for text in texts if text.plain)

    def beside(self, first: Text, second: Text) -> Text:
        return Text(" ").join((first, second)) if self.wide and second.plain else self.lines(first, second)

    def table(self, title: str) -> Table:
        return Table(title=self.text(title, "bold"), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))

    def metrics(self, table: TaskTable, *, several: bool) -> Table:
        drawn = self.table(table.title)
        drawn.add_column("Metric", overflow="fold")
        for arm in (*table.arms, *(["difference"] if table.compared else [])):
            drawn.add_column(arm.capitalize(), justify="right", no_wrap=True)
        drawn.add_column("n", justify="right", no_wrap=True)
        for rows in table.metrics:
            title = self.text(_title(rows[0]), "bold")
            if several:
                drawn.add_row(title)
            for row in rows:
                named = self.text(f"· {on_one_line(row.model)}") if several else title
                by_arm = dict(zip(table.pair, (row.before, row.after), strict=True))
                figures = [self.figure(by_arm[arm]) for arm in table.arms]
                drawn.add_row(named, *figures, *([self.change(row)] if table.compared else []), self.counts(row))
        return drawn

    def counts(self, row: Row) -> Text:
        lost = f"({'/'.join(f'{n:,}' for n in row.n_unscored)})" if any(row.n_unscored) else ""
        return self.beside(self.text("/".join(f"{n:,}" for n in row.n_prompts)), self.text(lost, "yellow"))

    def figure(self, metric: Metric | None) -> Text:
        if metric is None:
            return self.text("–", "dim")
        if metric.value is None:
            return self.text("not scored", "yellow")
        return self.with_interval(number(metric.value), interval(metric.interval))

    def change(self, row: Row) -> Text:
        found = row.comparison
        if found is None or found.value is None:
            return self.text("–", "dim")
        word = f"{row.change} " if row.change in ("better", "worse") else ""
        figure = f"{word}{difference(found.value)}"
        return self.with_interval(figure, interval(found.interval, signed=True), _CHANGES.get(row.change, ""))

    def with_interval(self, figure: str, bounds: str, style: str = "") -> Text:
        return self.beside(self.text(figure, style), self.text(bounds, "dim"))

    def gate(self, checks: tuple[Check, ...], *, several: bool) -> Table:
        drawn = self.table("Gate")
        drawn.add_column("Outcome")
        drawn.add_column("Limit", overflow="fold", ratio=1)
        drawn.add_column("Why", overflow="fold", ratio=1)
        drawn.width = min(self.console.width, _WIDE)
        for check in checks:
            outcome = OUTCOMES[check.outcome]
            sign = self.text(f"{outcome.sign} {outcome.word}", f"bold {_COLOURS[check.outcome]}")
            group = check.context.get("group", "all")
            arm = check.arm if group == "all" else f"{check.arm}, {group}:"
            limit = self.text(f"{arm} {bound_sign(check.bound)} {number(check.limit)}", "dim")
            named = self.lines(self.text(check.metric), self.text(check.model if several else ""), limit)
            drawn.add_row(sign, named, self.text(check.reason))
        return drawn

    def key(self) -> Text:
        words = "↓ lower is better, ↑ higher is better; [95% interval]; n prompts (samples that could not be scored)"
        return self.text(words, "dim").append("\n")

    def verdict(self, report: Report) -> Panel:
        outcome, colour = OUTCOMES[report.outcome], _COLOURS[report.outcome]
        words = self.text(f"{outcome.sign} {outcome.word}:", f"bold {colour}").append(" ")
        return Panel(words.append_text(self.text(unrepeated(report.sentence, report.outcome))), border_style=colour)


def _title(row: Row) -> str:
    return f"{row.wording.title} {row.wording.arrow}".rstrip()
