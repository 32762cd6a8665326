"""Perplexities of lm-evaluation-harness: from the log-likelihoods of its documents to a figure with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from evals.imports.reading import number
from evals.intervals import t_interval

__all__ = ["LIKELIHOODS", "likelihood", "perplexity"]

LIKELIHOODS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "perplexity": math.exp,
        "word_perplexity": math.exp,
        "byte_perplexity": math.exp,
        "bits_per_byte": lambda nats: nats / math.log(2),
    }
)
"""Metrics that are a growing function of nats a unit, pooled over all documents (``lm_eval.api.metrics``)."""


def likelihood(raw: object) -> tuple[float, float] | None:
    """Return the log-likelihood of a document and how many units it has, one where it says nothing of them.

    Parameters
    ----------
    raw : JSON value
        A number, or a list of two.
    """
    pair = raw if isinstance(raw, list) else [raw, 1.0]
    if len(pair) != 2:
        return None
    log, units = (number(part) for part in pair)
    return None if log is None or units is None or units <= 0 else (log, units)


def perplexity(name: str, documents: Mapping[str, tuple[float, float]]) -> tuple[float, tuple[float, float] | None]:
    """Return a perplexity and its 95% interval, clustered by document.

    The nats a unit are a ratio of two sums over documents: Student's t on the linearised ratio (Cochran 1977, chapter
    6), and then both ends through the function that makes a perplexity of them, which keeps their order.

    Parameters
    ----------
    name : str
        One of :data:`LIKELIHOODS`.
    documents : mapping of str to (float, float)
        Log-likelihood in nats and number of units, by document. At least one.

    Returns
    -------
    value : float
        Infinite where it is too large for a float.
    interval : (float, float) or None
        None where one document, or documents that are all alike, bound nothing.
    """
    logs, units = np.array(list(documents.values()), dtype=np.float64).T
    shares = units / units.sum()
    nats = -logs / units
    low, high = t_interval(nats, weights=shares)
    ends = (_scaled(name, float(low)), _scaled(name, float(high)))
    value = _scaled(name, float((shares * nats).sum()))
    return value, ends if all(map(math.isfinite, ends)) else None


def _scaled(name: str, nats: float) -> float:
    try:
        return LIKELIHOODS[name](nats)
    except OverflowError:
        return math.inf
