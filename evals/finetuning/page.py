"""The page of a fine-tuned model: its figures, curves, data and samples in the shape that the report draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evals.finetuning.card import CHECK_HEAD, FIGURE_HEAD, check_rows
from evals.finetuning.figures import figure_rows
from evals.finetuning.result import FinetuneResult
from evals.finetuning.tracking import read_curves
from evals.report.finetuned import Course, Finetuned, Shown

__all__ = ["page_of"]

_TITLES = {
    "language": "loss of the text, nats a token",
    "total": "the whole objective",
    "rate": "learning rate",
    "norm": "norm of the gradient",
}
_UNSHOWN = frozenset({"norm", "rate"})


def page_of(result: FinetuneResult, curves: Path) -> Finetuned:
    """Return what the report of a fine-tuning shows.

    Parameters
    ----------
    result : FinetuneResult
    curves : pathlib.Path
        CSV, as :class:`evals.finetuning.tracking.Curves` writes it.
    """
    found, fit = result.perplexity, result.request.fit
    notes = [
        f"Measured on {found.n_rows:,} rows with {found.n_ids:,} tokens that nothing was chosen by, of"
        f" {found.before.n:,} units; {found.n_unscored:,} rows are too short to be scored. The mark that ends a text"
        " is not counted.",
    ]
    cut = sum(one.n_cut for one in result.encoded.values())
    if cut:
        notes.append(f"{cut:,} dialogues were longer than a row and lost their beginning.")
    if result.progress.setbacks:
        notes.append(f"The loss was not finite {result.progress.setbacks} times; the rate was halved each time.")
    facts = (
        ("model", f"{result.name} ({result.source.digest[:12]})"),
        ("data", result.request.data),
        ("rows", ", ".join(f"{name.replace('_', ' ')} {len(one.rows):,}" for name, one in result.encoded.items())),
        ("method", f"{result.request.tuning.method}, {result.n_trained:,} weights trained"),
        ("steps", f"{result.progress.step} of {fit.step_tokens} tokens, kept those up to {result.progress.best_step}"),
        ("peak rate", f"{fit.rate:g}"),
        ("seed", str(fit.seed)),
        *((f"seconds, {name}", f"{seconds:.0f}") for name, seconds in result.spent.items()),
    )
    return Finetuned(
        result.title,
        found.outcome,
        found.finding[:1].upper() + found.finding[1:],
        [FIGURE_HEAD, *figure_rows(found)],
        [CHECK_HEAD, *check_rows(result.checked.lines)],
        _courses(curves, result.progress.best_step),
        [Shown(one.prompt, one.reference, one.before, one.after) for one in result.samples],
        notes,
        facts,
    )


def _courses(curves: Path, best: int) -> Sequence[Course]:
    """Return one course for each loss; a single loss is the whole objective, and is shown once."""
    rows = read_curves(curves)
    names = list(dict.fromkeys(row["name"] for row in rows if row["name"] not in _UNSHOWN))
    if set(names) <= {"language", "total"}:
        names = ["language"]
    return [
        Course(_TITLES.get(name, name), _points(rows, "train", name), _points(rows, "validation", name), best)
        for name in names
    ]


def _points(rows: Sequence[dict[str, str]], kind: str, name: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row["value"])) for row in rows if (row["kind"], row["name"]) == (kind, name)]
