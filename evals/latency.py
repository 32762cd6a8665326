"""How long samples took and what they cost, by model and task; a matter of the machine, so never a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evals.schema import Record
from guard.generators.endpoint_costs import Price

__all__ = ["latency"]


def latency(records: Mapping[str, Sequence[Record]], *, price: Price | None = None) -> dict[str, object]:
    """Return how long samples took, how fast tokens came, and what they cost.

    Parameters
    ----------
    records : mapping of str to sequence of Record
        By the name of the model. Of every attempt that a run took, since the journal keeps them.
    price : Price, optional
        What a million tokens of an endpoint cost; without one no cost is given.

    Returns
    -------
    dict
        For each model ``all`` and ``tasks``, each with ``samples``, ``ms a sample`` (``p50`` and ``p90`` of generating
        and filtering together), ``generate ms a sample``, ``filter ms a sample``, ``tokens written``, ``tokens read``,
        ``tokens a second`` and, with a price, ``cost``. JSON values only.

    Notes
    -----
    Samples run in batches, and one that is journalled carries an equal share of its batch: these are costs in time a
    sample at the batch size of the run, not how long one user would wait. Samples that were only judged, or of which
    the model only said how likely they are, write no tokens.
    """
    return {
        model: {"all": _summary(ones, price), "tasks": {task: _summary(o, price) for task, o in _by_task(ones).items()}}
        for model, ones in records.items()
    }


def _by_task(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.sample.task, []).append(record)
    return found


def _summary(records: Sequence[Record], price: Price | None) -> dict[str, object]:
    total = _column(records, "generate_ms") + _column(records, "filter_ms")
    seconds = float(_column(records, "generate_ms").sum()) / 1000
    written, read = (float(_column(records, key).sum()) for key in ("tokens", "tokens read"))
    summary: dict[str, object] = {
        "samples": len(records),
        "ms a sample": {"p50": _quantile(total, 0.5), "p90": _quantile(total, 0.9)},
        "generate ms a sample": _mean(_column(records, "generate_ms")),
        "filter ms a sample": _mean(_column(records, "filter_ms")),
        "tokens written": round(written),
        "tokens read": round(read),
        "tokens a second": round(written / seconds, 1) if seconds > 0 and written > 0 else None,
    }
    if price is not None:
        summary["cost"] = round(price.of(read, written), 6)
    return summary


def _column(records: Sequence[Record], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([record.times.get(key, 0.0) for record in records], dtype=np.float64)


def _quantile(values: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 2) if len(values) else None


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return round(float(values.mean()), 2) if len(values) else None
