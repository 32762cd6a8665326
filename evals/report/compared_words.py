"""How a comparison is put in words, in every rendering."""

from __future__ import annotations

from evals.compare import RunComparison

__all__ = ["headline", "p_value", "reading"]


def headline(comparison: RunComparison) -> str:
    """Return in one line who is compared with whom and what came out."""
    before, after = comparison.before, comparison.after
    counts = {word: sum(e.change == word for e in comparison.effects) for word in ("worse", "better", "moved")}
    told = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "no clear change"
    n_metrics = len(comparison.effects)
    of = f"of {n_metrics} metric{'' if n_metrics == 1 else 's'} and arms"
    sides = f"{after.model} ({after.run}) against {before.model} ({before.run})"
    return f"{sides}: {told} {of}"


def p_value(p: float | None) -> str:
    """Return a p-value to three decimals, and never as zero."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def reading(comparison: RunComparison) -> str:
    """Return what a reader must know to read the table."""
    alpha = f"{1 - comparison.level:.2g}"
    tested = sum(effect.p is not None for effect in comparison.effects)
    return (
        "Effect: after minus before, over the prompts that both sides scored;"
        f" [{100 * comparison.level:g}% interval], paired by prompt, for each metric alone. p: exact or permutation"
        f" test by prompt, corrected for {tested} metrics and arms (Holm); better and worse are said"
        f" only where it is at most {alpha}. Slices are corrected among themselves. Failing: +newly failing,"
        " −newly passing samples."
    )
