"""``attack.md``: the summary of an attack as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evals.attacking.summary import AttackSummary, RecipeSummary, Shown
from evals.attacking.wording import head_and_rows, rate_text, verdict
from evals.report.visible import on_one_line, visible

__all__ = ["to_markdown"]

_MOST_CHARS = 400


def to_markdown(summary: AttackSummary) -> str:
    """Return the summary as Markdown; texts of attacks are quoted so that no viewer obeys them."""
    head, rows = head_and_rows(summary)
    parts = [
        "# Attack",
        f"Target: {_code(summary.target)}",
        verdict(summary),
        _table(head, rows),
        "Intervals are 95%, over " + ("examples." if summary.kind == "text" else "goals."),
        *(part for one in summary.recipes for part in _details(one)),
        *_examples(summary.examples),
        "## Notes",
        "\n".join(f"- {on_one_line(note)}" for note in (*summary.notes, *_settings(summary))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(one: RecipeSummary) -> list[str]:
    parts = [f"## {on_one_line(one.recipe)}", *(on_one_line(note) for note in one.notes)]
    if one.steps:
        rows = [[str(step.queries), rate_text(step.success)] for step in one.steps]
        parts.append(_table(["queries", "success"], rows))
    if one.power_law is not None:
        fit = one.power_law
        parts.append(
            f"Fitted: -log(success) = {fit.scale:.3g} n^-{fit.exponent:.3g} over {fit.n_points} budgets"
            f" (R² {fit.r_squared:.2f})."
        )
    if len(one.groups) > 1:
        rows = [
            [group.name, group.level, str(group.success.n_samples), rate_text(group.success)] for group in one.groups
        ]
        parts.append(_table(["slice", "level", "attempts", "success of an attempt"], rows))
    return parts if len(parts) > 1 else []


def _examples(examples: Sequence[Shown]) -> list[str]:
    if not examples:
        return []
    parts = ["## Examples"]
    for one in examples:
        parts.append(f"{on_one_line(one.recipe)}, {on_one_line(one.id)}:")
        parts += [_quoted(text) for text in (one.before, one.after, one.answer) if text]
    return parts


def _settings(summary: AttackSummary) -> Iterable[str]:
    return (f"{name}: {value}" for name, value in summary.settings.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(on_one_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _quoted(text: str) -> str:
    """Return a text as an indented block, in which Markdown has no signs."""
    cut = visible(text[:_MOST_CHARS]) + (" [...]" if len(text) > _MOST_CHARS else "")
    return "\n".join(f"    {line}" for line in cut.splitlines())


def _code(text: str) -> str:
    return f"`{on_one_line(text).replace('`', '')}`"
