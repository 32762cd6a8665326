"""What the report of a fine-tuning with ethics shows: three models side by side, checks, and the trade-off searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.report.hardened import figure_text
from evals.report.markdown import prose
from evals.report.wording import OUTCOMES
from evals.schema import Check, Outcome

__all__ = ["EthicsPage", "EthicsRow", "EthicsSample", "TradeOff", "TradePoint", "ethics_markdown"]

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class EthicsRow:
    """One figure of three models.

    Parameters
    ----------
    title : str
    values : sequence of (float or None, (float, float) or None)
        Original, plain and with ethics, each with its interval.
    difference : float or None
        With ethics less plain.
    interval : (float, float) or None
    n : int
    n_unscored : int
    is_share : bool
        Whether it lies in [0, 1] and is drawn.
    """

    title: str
    values: Sequence[tuple[float | None, Ends]]
    difference: float | None
    interval: Ends
    n: int
    n_unscored: int
    is_share: bool


@dataclass(frozen=True)
class TradePoint:
    """One set of weights on the plane.

    Parameters
    ----------
    name : str
    perplexity : float
        By that of the plain model.
    toxicity : float
    within : bool
        Whether it keeps the limits.
    on_front : bool
    chosen : bool
    beside : float or None
        The same toxicity by a judge that the search did not use.
    """

    name: str
    perplexity: float
    toxicity: float
    within: bool
    on_front: bool
    chosen: bool
    beside: float | None = None


@dataclass(frozen=True)
class TradeOff:
    """A search.

    Parameters
    ----------
    points : sequence of TradePoint
    limit : float
        Most perplexity.
    sentence : str
        Which point is chosen, and why.
    judge, beside : str
        Whose toxicity it is, and who judged beside.
    """

    points: Sequence[TradePoint]
    limit: float
    sentence: str
    judge: str
    beside: str = ""


@dataclass(frozen=True)
class EthicsSample:
    """A prompt and what a model wrote."""

    model: str
    prompt: str
    answer: str
    score: float | None


@dataclass(frozen=True)
class EthicsPage:
    """Everything on the page.

    Parameters
    ----------
    title : str
    outcome : Outcome or None
        None where only a search is shown.
    sentence : str
    checks : sequence of Check
    rows : sequence of EthicsRow
    samples : sequence of EthicsSample
    notes : sequence of str
    facts : sequence of (str, str)
    trade : TradeOff or None
    """

    title: str
    outcome: Outcome | None
    sentence: str
    checks: Sequence[Check] = ()
    rows: Sequence[EthicsRow] = ()
    samples: Sequence[EthicsSample] = ()
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    trade: TradeOff | None = None


def ethics_markdown(page: EthicsPage) -> str:
    """Return the page as Markdown; the plot is a table there."""
    word = f"**{OUTCOMES[page.outcome].word}.** " if page.outcome is not None else ""
    parts = [f"# {prose(page.title)}", "", f"{word}{prose(page.sentence)}", ""]
    head = ("Figure", "Original", "Plain", "With ethics", "Difference", "n")
    parts += _table(head, [_row(row) for row in page.rows])
    if page.trade is not None:
        parts += [f"Searched: {prose(page.trade.sentence)}", ""]
        names = ("Weights", "Perplexity by plain", f"Toxicity by {page.trade.judge}", page.trade.beside or "Beside", "")
        parts += _table(names, [_point(point) for point in page.trade.points])
    checks = [(prose(check.reason), OUTCOMES[check.outcome].word) for check in page.checks]
    parts += _table(("Check", "Outcome"), checks)
    parts += [f"- {prose(note)}" for note in page.notes]
    parts += ["", *_table(("", ""), [(prose(name), prose(value)) for name, value in page.facts])]
    return "\n".join(parts).rstrip() + "\n"


def _row(row: EthicsRow) -> tuple[str, ...]:
    shown = (figure_text(value, interval) for value, interval in row.values)
    return (prose(row.title), *shown, figure_text(row.difference, row.interval, signed=True), str(row.n))


def _point(point: TradePoint) -> tuple[str, ...]:
    words = ["chosen"] if point.chosen else []
    words += ["on the front"] if point.on_front else []
    words += [] if point.within else ["over a limit"]
    beside = "" if point.beside is None else f"{point.beside:.3f}"
    return (prose(point.name), f"{point.perplexity:.3f}", f"{point.toxicity:.3f}", beside, ", ".join(words))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return [shown[0], "| " + " | ".join("---" for _ in head) + " |", *shown[1:], ""] if rows else []
