"""How long samples took and what they cost, by model and task; a matter of the machine, so never a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evals.schema import Record
from guard.generators.endpoint_costs import Price

__all__ = ["cost_sentence", "latency"]


def latency(records: Mapping[str, Sequence[Record]], *, prices: Mapping[str, Price] | None = None) -> dict[str, object]:
    """Return how long samples took, how fast tokens came, and what they cost.

    Parameters
    ----------
    records : mapping of str to sequence of Record
        By the name of the model. Of every attempt that a run took, since the journal keeps them.
    prices : mapping of str to Price, optional
        What a million tokens of an endpoint cost, by the name of the model; where there is none, no cost is given.

    Returns
    -------
    dict
        For each model ``all`` and ``tasks``, each with ``samples``, ``ms a sample`` (``p50`` and ``p90`` of generating
        and filtering together), ``generate ms a sample``, ``filter ms a sample``, ``tokens written``, ``tokens read``,
        ``tokens a second`` and, with a price, ``cost USD``, ``cost USD per 1,000 samples`` (in its currency; None where
        no answer said what it used) and ``answers without usage``. JSON values only.

    Notes
    -----
    Samples run in batches, and one that is journalled carries an equal share of its batch: these are costs in time a
    sample at the batch size of the run, not how long one user would wait. Samples that were only judged, or of which
    the model only said how likely they are, write no tokens.
    """
    return {model: _of_model(ones, (prices or {}).get(model)) for model, ones in records.items()}


def cost_sentence(records: Mapping[str, Sequence[Record]], prices: Mapping[str, Price]) -> dict[str, object]:
    """Return ``cost`` with one sentence on what each priced model cost; nothing where no model has a price.

    Parameters
    ----------
    records : mapping of str to sequence of Record
        By the name of the model.
    prices : mapping of str to Price
    """
    said = [_told(model, ones, prices.get(model)) for model, ones in records.items()]
    return {"cost": "; ".join(said) + "."} if prices else {}


def _told(model: str, records: Sequence[Record], price: Price | None) -> str:
    if price is None:
        return f"{model} has no price"
    spent, each, unknown = _cost(records, price)
    if spent is None or each is None:
        return f"{model} cost an unknown sum, since no answer said what it used"
    least = f", at least: {unknown:,} answers did not say what they used" if unknown else ""
    return f"{model} cost {spent:.4g} {price.currency}, {each:.4g} {price.currency} per 1,000 samples{least}"


def _cost(records: Sequence[Record], price: Price) -> tuple[float | None, float | None, int]:
    """Return the cost in all and of a thousand samples, and the answers of which nobody said what they used."""
    read, written, unknown = (
        float(_column(records, key).sum()) for key in ("tokens read", "tokens", "answers without usage")
    )
    if not records or not (read or written):
        return None, None, round(unknown)
    spent = price.of(read, written)
    return round(spent, 6), round(1000 * spent / len(records), 6), round(unknown)


def _of_model(records: Sequence[Record], price: Price | None) -> dict[str, object]:
    tasks = {task: _summary(ones, price) for task, ones in _by_task(records).items()}
    return {"all": _summary(records, price), "tasks": tasks}


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
        name = f"cost {price.currency}"
        summary |= dict(
            zip((name, f"{name} per 1,000 samples", "answers without usage"), _cost(records, price), strict=True)
        )
    return summary


def _column(records: Sequence[Record], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([record.times.get(key, 0.0) for record in records], dtype=np.float64)


def _quantile(values: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 2) if len(values) else None


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return round(float(values.mean()), 2) if len(values) else None
