"""How the figures of an attack are called and written, for Markdown and for terminals alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from evals.attacking.summary import AttackSummary, Rate, RecipeSummary, Spread
from evals.report.wording import OUTCOMES, interval, number

__all__ = ["RATES", "SPREADS", "head_and_rows", "rate_text", "short_head_and_rows", "spread_text", "verdict"]

RATES: Mapping[str, str] = MappingProxyType(
    {
        "attack_success": "Attack success",
        "accuracy_before": "Accuracy before",
        "accuracy_under_attack": "Accuracy under attack",
        "released": "Released by the whole guard",
        "attempt_success": "Success of an attempt",
        "attempt_success_corrected": "Success of an attempt, corrected for the judge",
        "blocked": "Blocked attempts",
    }
)
"""Titles of rates, in the order in which they are shown."""

SPREADS: Mapping[str, str] = MappingProxyType(
    {
        "queries": "Queries",
        "queries_to_success": "Queries to success",
        "words_changed": "Words changed",
        "words_changed_share": "Share of words changed",
        "edit_distance": "Characters edited",
    }
)


def rate_text(rate: Rate) -> str:
    """Return a rate with its interval, and what was unscored."""
    if rate.value is None:
        return "no data"
    unscored = f", {rate.n_unscored} unscored" if rate.n_unscored else ""
    return f"{number(rate.value)} {interval(rate.interval)}{unscored}"


def spread_text(spread: Spread) -> str:
    """Return mean and median."""
    if spread.mean is None or spread.median is None:
        return "-"
    return f"{spread.mean:.3g} (median {spread.median:.3g})"


def head_and_rows(summary: AttackSummary) -> tuple[list[str], list[list[str]]]:
    """Return the table of all recipes: one row a recipe, with the columns that any of them has."""
    rates = [name for name in RATES if any(name in one.rates for one in summary.recipes)]
    spreads = [name for name in SPREADS if any(name in one.spreads for one in summary.recipes)]
    counts = ["n", *(["skipped"] if summary.kind == "text" else []), "unscored"]
    head = ["recipe", *counts, *(RATES[name] for name in rates), *(SPREADS[name] for name in spreads)]
    return head, [_row(one, counts, rates, spreads) for one in summary.recipes]


def _row(one: RecipeSummary, counts: list[str], rates: list[str], spreads: list[str]) -> list[str]:
    numbers = {"n": one.n, "skipped": one.n_skipped, "unscored": one.n_unscored}
    return [
        one.recipe,
        *(str(numbers[name]) for name in counts),
        *(rate_text(one.rates[name]) if name in one.rates else "-" for name in rates),
        *(spread_text(one.spreads[name]) if name in one.spreads else "-" for name in spreads),
    ]


def short_head_and_rows(summary: AttackSummary) -> tuple[list[str], list[list[str]]]:
    """Return the table of all recipes in the width of a terminal: counts, success, and medians of what it took."""
    rates = {"accuracy_under_attack": "accuracy under attack", "released": "released", "blocked": "attempts blocked"}
    spreads = {"queries": "queries", "words_changed": "words", "edit_distance": "characters"}
    rates = {key: title for key, title in rates.items() if any(key in one.rates for one in summary.recipes)}
    spreads = {key: title for key, title in spreads.items() if any(key in one.spreads for one in summary.recipes)}
    head = ["recipe", "n", "success", *rates.values(), *spreads.values()]
    return head, [_short_row(one, [*rates], [*spreads]) for one in summary.recipes]


def _short_row(one: RecipeSummary, rates: list[str], spreads: list[str]) -> list[str]:
    medians = [one.spreads[name].median if name in one.spreads else None for name in spreads]
    return [
        one.recipe,
        str(one.n - one.n_skipped),
        rate_text(one.rates["attack_success"]),
        *(_value(one.rates.get(name)) for name in rates),
        *("-" if median is None else f"{median:.3g}" for median in medians),
    ]


def _value(rate: Rate | None) -> str:
    return "-" if rate is None or rate.value is None else number(rate.value)


def verdict(summary: AttackSummary) -> str:
    """Return the outcome against the limit as a sentence; empty without one."""
    if summary.outcome is None or summary.limit is None:
        return ""
    word = OUTCOMES[summary.outcome]
    return (
        f"{word.sign} {word.word}: attack success held against at most {summary.limit:g}, by the end of its interval."
    )
