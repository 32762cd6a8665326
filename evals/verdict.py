"""What the checks of a gate come to: one outcome, and a sentence that names the figures which decided."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evals.schema import Check, Outcome

__all__ = ["figure", "verdict"]

_NAMED = 3
"""How many checks the sentence of a verdict names."""

_WORDS = {Outcome.PASS: "Pass", Outcome.FAIL: "Fail", Outcome.INCONCLUSIVE: "Inconclusive"}


def verdict(checks: Sequence[Check]) -> tuple[Outcome, str, tuple[Check, ...]]:
    """Return what checks come to.

    Parameters
    ----------
    checks : sequence of Check

    Returns
    -------
    outcome : Outcome
        FAIL if any check fails, else INCONCLUSIVE if any is or there is nothing to check, else PASS.
    sentence : str
        The verdict in plain words, with the figures of the worst checks.
    checks : tuple of Check
    """
    outcomes = {check.outcome for check in checks}
    worst = next((kind for kind in (Outcome.FAIL, Outcome.INCONCLUSIVE) if kind in outcomes), Outcome.PASS)
    if not checks:
        return Outcome.INCONCLUSIVE, "Inconclusive: no model was audited.", ()
    several = len({check.model for check in checks}) > 1
    return worst, _sentence(worst, checks, several_models=several), tuple(checks)


def figure(value: float) -> str:
    """Return two decimals, or three significant digits where two decimals would hide the number."""
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.1 else f"{value:.3f}"


def _excess(check: Check) -> float:
    """Return how far the end of the interval that decided lies on the wrong side of the limit."""
    if check.interval is None:
        return math.inf
    low, high = check.interval
    good, bad = (low, high) if check.bound == "max" else (-high, -low)
    limit = check.limit if check.bound == "max" else -check.limit
    return (good if check.outcome is Outcome.FAIL else bad) - limit


def _sentence(outcome: Outcome, checks: Sequence[Check], *, several_models: bool) -> str:
    """Return the verdict in words: the checks that decide it, worst first, then how many there are of each kind."""
    deciding = sorted((check for check in checks if check.outcome is outcome), key=_excess, reverse=True)
    named = "; ".join(_about(check, several_models=several_models) for check in deciding[:_NAMED])
    if len(checks) == 1:
        return f"{_WORDS[outcome]}: {named}."
    if outcome is Outcome.PASS:
        closest = _about(deciding[0], several_models=several_models)
        return f"Pass: all {len(checks)} limits hold; the closest: {closest}."
    counts = f"{len(deciding)} of {len(checks)} limits {'fail' if outcome is Outcome.FAIL else 'are open'}"
    n_open = sum(check.outcome is Outcome.INCONCLUSIVE for check in checks) if outcome is Outcome.FAIL else 0
    return f"{_WORDS[outcome]}: {named} ({counts}{f', {n_open} open' if n_open else ''})."


def _about(check: Check, *, several_models: bool) -> str:
    return f"{check.model}: {check.reason}" if several_models else check.reason
