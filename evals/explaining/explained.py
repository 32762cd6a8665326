"""One explanation as people and machines read it: an attribution with what it is of, its unit, and what checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guard.explain.generation.counterfactual import Counterfactual
from guard.explain.schema import Attribution

__all__ = ["LEVELS", "Explained", "Trust", "document", "levels", "trust_json"]

SCHEMA = "assay.explain/1"
"""Name and version of the JSON document."""

LEVELS = 4
"""Steps of a highlight, on either side of nothing."""


@dataclass(frozen=True)
class Trust:
    """One figure on how far an explanation can be trusted.

    Parameters
    ----------
    name : str
    value : float or None
        None where there is no data.
    interval : (float, float) or None
    n : int
        What the figure is over.
    meaning : str
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    meaning: str


@dataclass(frozen=True)
class Explained:
    """An explanation with what it is of.

    Parameters
    ----------
    subject : str
        The filter or the model.
    title : str
        Of the text, for people: "text", "prompt", or the name of a sample.
    attribution : Attribution
    unit : str
        Of its values.
    facts : tuple of (str, str)
        What else a reader must see, such as the output that is explained.
    notes : tuple of str
        What this explanation is not.
    trust : tuple of Trust
    counterfactual : Counterfactual, optional
    """

    subject: str
    title: str
    attribution: Attribution
    unit: str
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    trust: tuple[Trust, ...] = ()
    counterfactual: Counterfactual | None = None


def levels(attribution: Attribution) -> list[int]:
    """Return for each part how strongly it is marked: -4 to 4, as its value stands to the largest in size."""
    largest = float(abs(attribution.values).max(initial=0.0))
    return [0 if largest == 0 else round(LEVELS * float(value) / largest) for value in attribution.values]


def document(explained: list[Explained], **more: Any) -> dict[str, Any]:
    """Return explanations as one JSON document."""
    return {"schema": SCHEMA, "explanations": [_one(each) for each in explained], **more}


def trust_json(figure: Trust) -> dict[str, Any]:
    """Return a figure as JSON values."""
    return {name: getattr(figure, name) for name in ("name", "value", "interval", "n", "meaning")}


def _one(explained: Explained) -> dict[str, Any]:
    found, edit = explained.attribution, explained.counterfactual
    errors = found.errors if found.errors is not None else [None] * len(found.parts)
    return {
        "subject": explained.subject,
        "title": explained.title,
        "text": found.text,
        "category": found.category,
        "method": found.method,
        "unit": explained.unit,
        "number": found.number,
        "baseline": found.baseline,
        "gap": found.gap,
        "n_scored": found.n_scored,
        "parts": [
            {
                "start": start,
                "end": end,
                "text": found.text[start:end],
                "value": float(value),
                "standard_error": None if error is None else float(error),
            }
            for (start, end), value, error in zip(found.parts, found.values, errors, strict=True)
        ],
        "facts": dict(explained.facts),
        "notes": list(explained.notes),
        "trust": [trust_json(figure) for figure in explained.trust],
        "counterfactual": None if edit is None else edit.as_json(),
    }
