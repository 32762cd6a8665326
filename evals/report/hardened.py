"""What a hardening shows: figures before and after, checks, and for a game what was left to exploit by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.harden_filter.figures import Change, Side
from evals.report.markdown import prose
from evals.report.wording import OUTCOMES
from evals.schema import Check, Outcome

__all__ = ["Hardened", "Turn", "figure_text", "hardened_markdown"]


@dataclass(frozen=True)
class Turn:
    """One defender of a game.

    Parameters
    ----------
    title : str
    best_response : str
    success : Side
    caught : Side
    exploitability : float or None
    """

    title: str
    best_response: str
    success: Side
    caught: Side
    exploitability: float | None


@dataclass(frozen=True)
class Hardened:
    """Everything on the page of a hardening.

    Parameters
    ----------
    title : str
    outcome : Outcome
    sentence : str
    checks, changes, notes : sequence
    facts : sequence of (str, str)
        What names the run: model, data, seed, and so on.
    turns : sequence of Turn
        Of a game; empty otherwise.
    strategies : sequence of str
        Columns of `payoffs`.
    payoffs : sequence of sequence of float
        Attack success, one row a turn.
    """

    title: str
    outcome: Outcome
    sentence: str
    checks: Sequence[Check]
    changes: Sequence[Change]
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    turns: Sequence[Turn] = ()
    strategies: Sequence[str] = ()
    payoffs: Sequence[Sequence[float]] = ()


def figure_text(value: float | None, interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Return a figure with its interval, or that there is no data.

    Examples
    --------
    >>> figure_text(0.25, (0.1, 0.4)), figure_text(-0.1, None, signed=True), figure_text(None, None)
    ('0.250 [0.100, 0.400]', '-0.100', 'no data')
    """
    if value is None:
        return "no data"
    sign = "+" if signed else ""
    ends = "" if interval is None else f" [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"
    return f"{value:{sign}.3f}{ends}"


def hardened_markdown(page: Hardened) -> str:
    """Return the page as Markdown."""
    parts = [f"# {prose(page.title)}", "", f"**{OUTCOMES[page.outcome].word}.** {prose(page.sentence)}", ""]
    parts += _table(("Figure", "Before", "After", "Difference", "n"), [_row(change) for change in page.changes])
    if page.turns:
        rows = [_turn_row(turn) for turn in page.turns]
        parts += _table(("Defender", "Best response", "Its success", "Still caught", "Left to exploit"), rows)
        parts += _table(
            ("Success", *map(prose, page.strategies)),
            [
                (prose(turn.title), *(f"{rate:.3f}" for rate in row))
                for turn, row in zip(page.turns, page.payoffs, strict=True)
            ],
        )
    parts += _table(
        ("Check", "Outcome"), [(prose(check.reason), OUTCOMES[check.outcome].word) for check in page.checks]
    )
    parts += [f"- {prose(note)}" for note in page.notes]
    parts += ["", *_table(("", ""), [(prose(name), prose(value)) for name, value in page.facts])]
    return "\n".join(parts).rstrip() + "\n"


def _row(change: Change) -> tuple[str, ...]:
    before, after = change.before, change.after
    return (
        f"{prose(change.title)} {'↓' if change.lower_is_better else '↑'}",
        figure_text(before.value, before.interval),
        figure_text(after.value, after.interval),
        figure_text(change.difference, change.interval, signed=True),
        str(change.n_paired),
    )


def _turn_row(turn: Turn) -> tuple[str, ...]:
    left = "no data" if turn.exploitability is None else f"{turn.exploitability:.3f}"
    success, caught = (figure_text(side.value, side.interval) for side in (turn.success, turn.caught))
    return (prose(turn.title), prose(turn.best_response), success, caught, left)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return [shown[0], "| " + " | ".join("---" for _ in head) + " |", *shown[1:], ""] if rows else []
