"""What the report of a fine-tuning shows: figures, curves, what was in the data, and samples before and after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evals.report.markdown import prose
from evals.report.wording import OUTCOMES
from evals.schema import Outcome

__all__ = ["Course", "Finetuned", "Shown", "cell", "finetuned_markdown"]

_FIGURE = re.compile(r"[-+]?\d[\d.,e+-]*(?: \[[\d.,e+ -]+\])?")


@dataclass(frozen=True)
class Course:
    """One number over the steps.

    Parameters
    ----------
    title : str
    train, validation : sequence of (int, float)
        Step and value, in the order of the steps; either may be empty.
    best : int or None
        Step of the weights that were kept.
    """

    title: str
    train: Sequence[tuple[int, float]]
    validation: Sequence[tuple[int, float]]
    best: int | None = None


@dataclass(frozen=True)
class Shown:
    """A sample: how a held-out row begins, how it goes on, and what the model writes before and after."""

    prompt: str
    reference: str
    before: str
    after: str


@dataclass(frozen=True)
class Finetuned:
    """Everything on the page.

    Parameters
    ----------
    title : str
    outcome : Outcome or None
        None where there is no limit to hold.
    sentence : str
    figures, check : sequence of sequence of str
        Tables, their heads first.
    courses : sequence of Course
    samples : sequence of Shown
    notes : sequence of str
    facts : sequence of (str, str)
    before : str
        Title of the table of figures.
    numbers : str
        File beside the page with the numbers of the curves.
    """

    title: str
    outcome: Outcome | None
    sentence: str
    figures: Sequence[Sequence[str]]
    check: Sequence[Sequence[str]]
    courses: Sequence[Course] = ()
    samples: Sequence[Shown] = ()
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    before: str = "Before and after"
    numbers: str = "curves.csv"

    @property
    def trained(self) -> bool:
        """Whether a curve of training is drawn."""
        return any(course.train for course in self.courses)


def finetuned_markdown(page: Finetuned) -> str:
    """Return the page as Markdown, the curves left to the CSV file beside it."""
    verdict = "" if page.outcome is None else f"**{OUTCOMES[page.outcome].word}.** "
    parts = [f"# {prose(page.title)}", "", f"{verdict}{prose(page.sentence)}", ""]
    parts += [f"- {prose(note)}" for note in page.notes]
    for title, table in ((page.before, page.figures), ("The data", page.check)):
        parts += ["", f"## {title}", "", *_table(table)]
    if page.samples:
        rows = [(one.prompt, one.reference, one.before, one.after) for one in page.samples]
        parts += ["", "## Samples", "", *_table([("begins", "goes on in the data", "before", "after"), *rows])]
    parts += ["", "## Provenance", "", *_table([("", ""), *page.facts])]
    return "\n".join(parts).rstrip() + "\n"


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table; a figure stays as it is."""
    return text if _FIGURE.fullmatch(text) else prose(text) or " "


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    shown = ["| " + " | ".join(cell(one) for one in row) + " |" for row in rows]
    return [shown[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *shown[1:]]
