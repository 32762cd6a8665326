"""The summary of an attack: figures by recipe with their intervals, and its form as a document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evals.report.shapes import shape_of
from evals.schema import Outcome
from evals.stats import Estimate
from guard.errors import DataError

__all__ = [
    "SUMMARY_SCHEMA",
    "AttackSummary",
    "Group",
    "PowerLaw",
    "Rate",
    "RecipeSummary",
    "Shown",
    "Spread",
    "Step",
    "from_json",
    "json_schema",
    "outcome_of",
    "rate_of",
    "spread_of",
    "to_json",
]

SUMMARY_SCHEMA = "assay.attack/1"
"""Name and version of the document."""

Kind = Literal["text", "generator"]
"""Whether texts are changed until a classifier errs, or prompts are made until a generator answers."""


@dataclass(frozen=True)
class Rate:
    """A share, or a mean, with its interval.

    Parameters
    ----------
    value : float or None
        None without data.
    interval : (float, float) or None
        95%, over examples or goals.
    n : int
        Examples or goals behind it.
    n_samples : int
        Attempts behind it.
    n_unscored : int
        Attempts that could not be judged: they are not in it.
    """

    value: float | None
    interval: tuple[float, float] | None
    n: int
    n_samples: int
    n_unscored: int


@dataclass(frozen=True)
class Spread:
    """Mean, median and most of a count; None without data."""

    mean: float | None
    median: float | None
    most: float | None
    n: int


@dataclass(frozen=True)
class Step:
    """The success that so many queries an example or goal buy."""

    queries: int
    success: Rate


@dataclass(frozen=True)
class PowerLaw:
    """``-log(success at n queries) = scale * n ** -exponent`` (Hughes et al. 2024, section 3), fitted on a curve.

    Parameters
    ----------
    scale, exponent : float
    r_squared : float
        Of the straight line through the logarithms.
    n_points : int
        Budgets at which success was neither 0 nor 1.
    """

    scale: float
    exponent: float
    r_squared: float
    n_points: int


@dataclass(frozen=True)
class Group:
    """A slice of the attempts.

    Parameters
    ----------
    name : str
        A technique, or a single wording.
    level : {"group", "strategy"}
    success : Rate
        Of its attempts.
    """

    name: str
    level: Literal["group", "strategy"]
    success: Rate


@dataclass(frozen=True)
class RecipeSummary:
    """What one recipe did.

    Parameters
    ----------
    recipe : str
        As the user named it.
    attack : str
        With the digest of its wordings and settings.
    n : int
        Examples or goals.
    n_skipped : int
        Examples on which the target erred before anything was changed.
    n_succeeded, n_failed : int
    n_unscored : int
        Examples or goals of which nothing could be judged.
    rates : mapping of str to Rate
        ``attack_success`` always; what else there is depends on the kind.
    spreads : mapping of str to Spread
        ``queries`` always.
    steps : tuple of Step
        Success by budget.
    groups : tuple of Group
    power_law : PowerLaw or None
        None where the curve has fewer than three points to fit.
    notes : tuple of str
    """

    recipe: str
    attack: str
    n: int
    n_skipped: int
    n_succeeded: int
    n_failed: int
    n_unscored: int
    rates: Mapping[str, Rate]
    spreads: Mapping[str, Spread]
    steps: tuple[Step, ...] = ()
    groups: tuple[Group, ...] = ()
    power_law: PowerLaw | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """An example of a success, for readers.

    Parameters
    ----------
    recipe, id : str
    before : str
        The text, or the goal.
    after : str
        The changed text, or the prompt that carried the goal.
    answer : str
        What the generator released; empty for texts.
    """

    recipe: str
    id: str
    before: str
    after: str
    answer: str = ""


@dataclass(frozen=True)
class AttackSummary:
    """What ``attack.json`` holds.

    Parameters
    ----------
    kind : {"text", "generator"}
    target : str
        With digests.
    recipes : tuple of RecipeSummary
    settings : mapping of str to str
        What the attempts depend on.
    outcome : Outcome or None
        Against `limit`; None without one.
    limit : float or None
        Largest success that is accepted.
    examples : tuple of Shown
    notes : tuple of str
    """

    kind: Kind
    target: str
    recipes: tuple[RecipeSummary, ...]
    settings: Mapping[str, str]
    outcome: Outcome | None = None
    limit: float | None = None
    examples: tuple[Shown, ...] = ()
    notes: tuple[str, ...] = field(default=())


def rate_of(estimate: Estimate) -> Rate:
    """Return an estimate as a figure of the summary."""
    return Rate(estimate.value, estimate.interval, estimate.n_prompts, estimate.n_samples, estimate.n_unscored)


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean, median and most of some values."""
    if not values:
        return Spread(None, None, None, 0)
    ordered, middle = sorted(values), len(values) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Spread(sum(values) / len(values), float(median), float(ordered[-1]), len(values))


def outcome_of(recipes: Sequence[RecipeSummary], limit: float) -> Outcome:
    """Hold the success of every recipe against a limit, by the bad end of its interval.

    Parameters
    ----------
    recipes : sequence of RecipeSummary
    limit : float
        In [0, 1].

    Returns
    -------
    Outcome
        FAIL where any recipe's whole interval is above, PASS where every one's is at or below, else INCONCLUSIVE, as
        without data, or where any goal or example could not be judged.
    """
    found = [_against(one, limit) for one in recipes]
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.PASS if found and set(found) == {Outcome.PASS} else Outcome.INCONCLUSIVE


def _against(recipe: RecipeSummary, limit: float) -> Outcome:
    interval = recipe.rates["attack_success"].interval
    if interval is None:
        return Outcome.INCONCLUSIVE
    if interval[0] > limit:
        return Outcome.FAIL
    return Outcome.PASS if interval[1] <= limit and recipe.n_unscored == 0 else Outcome.INCONCLUSIVE


def to_json(summary: AttackSummary) -> str:
    """Return the summary as JSON text: the same summary always as the same bytes."""
    document = {"schema": SUMMARY_SCHEMA, **shape_of(AttackSummary).encode(summary, "attack")}
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def from_json(text: str) -> AttackSummary:
    """Return the summary that a text holds.

    Raises
    ------
    DataError
        Not JSON, another version, or a key that is missing, unknown or of the wrong kind.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"attack.json: not JSON ({error}); run the attack again") from error
    if not isinstance(document, dict) or document.pop("schema", None) != SUMMARY_SCHEMA:
        raise DataError(f"attack.json: its schema is not {SUMMARY_SCHEMA}; use the version that wrote it")
    summary: AttackSummary = shape_of(AttackSummary).decode(document, "attack")
    return summary


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document, derived from the records."""
    definitions: dict[str, Any] = {}
    shape_of(AttackSummary).schema(definitions)
    root = definitions.pop("AttackSummary")
    root["properties"] = {"schema": {"const": SUMMARY_SCHEMA}, **root["properties"]}
    root["required"] = sorted([*root["required"], "schema"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:assay:attack:1",
        "title": "Summary of an Assay attack",
        "description": "Success by recipe, as shares in [0, 1] with 95% intervals over examples or goals.",
        **root,
        "$defs": definitions,
    }
