"""The page of a hardened filter: its figures and rulings in the shape that every report of a hardening has."""

from __future__ import annotations

from evals.harden_filter.hardening import HardenResult
from evals.report.hardened import Hardened
from evals.report.wording import OUTCOMES
from evals.schema import Check

__all__ = ["page_of"]


def page_of(result: HardenResult) -> Hardened:
    """Return what the page of a hardening shows."""
    request = result.request
    checks = [
        Check(result.after, ruling.name, "guarded", "max", 0.0, ruling.outcome, ruling.reason)
        for ruling in result.rulings
    ]
    counted = ", ".join(f"{name} {n:,}" for name, n in result.n_rows.items())
    return Hardened(
        title=f"{request.category} of {request.filter_name} hardened",
        outcome=result.outcome,
        sentence=OUTCOMES[result.outcome].meaning,
        checks=checks,
        changes=result.changes,
        notes=_notes(result),
        facts=(
            ("Before, after", f"{result.before}, {result.after}"),
            ("Category and threshold", f"{request.category}, {result.threshold:g}"),
            ("Rows", counted),
            ("Hooks", ", ".join(request.hooks) or "none"),
            ("Seed", str(request.seed)),
        ),
    )


def _notes(result: HardenResult) -> list[str]:
    notes = (
        [] if not result.shift else [f"The bias was moved by {result.shift:+.3f}, so that no more harmless rows fire."]
    )
    if result.training is None:
        return [*notes, "Nothing was trained."]
    kept = result.training.kept_at
    state = f"the state of step {kept}" if kept else "the filter as it was: no state was better"
    return [*notes, f"{result.training.n_steps} steps, ended by {result.training.stopped}; kept: {state}."]
