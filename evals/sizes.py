"""How many prompts a limit needs: by the ordinary interval, by the sequential gate, and to pass at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from evals.betting import ODDS_RATIOS, WEIGHTS, Side
from guard.errors import ConfigError

__all__ = ["MOST_PROMPTS", "Need", "fixed_prompts", "need", "no_hit_prompts", "sequential_prompts"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_PROMPTS = 10_000
"""Where the search ends: a rate that near its limit is not decided by any run."""

_RUNS = 500
_BLOCK = 500
"""Prompts simulated at a time, until every run has stopped."""


@dataclass(frozen=True)
class Need:
    """How many prompts decide a limit at an assumed true rate, with one 0 or 1 a prompt.

    Parameters
    ----------
    verdict : {"pass", "fail"}
        What is right at the assumed rate.
    rate : float
        In [0, 1].
    fixed : int or None
        Prompts with which the ordinary interval reaches the verdict with the wanted power; None beyond
        :data:`MOST_PROMPTS`.
    median, mean, most : int or None
        Prompts after which the sequential gate reaches it: in half of the runs, on average, in 90 of 100 runs.
    at_least : int
        Prompts with which no hit passes (or, with a lower limit, hits only).
    """

    verdict: Literal["pass", "fail"]
    rate: float
    fixed: int | None
    median: int | None
    mean: int | None
    most: int | None
    at_least: int | None


def need(
    bound: Literal["max", "min"],
    limit: float,
    *,
    rate: float,
    power: float = 0.8,
    alpha: float = 0.05,
    n_limits: int = 1,
    seed: int = 0,
) -> Need:
    """Return what a limit needs at an assumed rate.

    Parameters
    ----------
    bound : {"max", "min"}
    limit : float
        In (0, 1).
    rate : float
        In [0, 1], not the limit itself.
    power : float, default 0.8
        Chance to reach the right verdict, in (0, 1).
    alpha : float, default 0.05
        Error of the two-sided ordinary interval and of the sequential gate, in (0, 1).
    n_limits : int, default 1
        Limits of the gate, over which the sequential gate corrects a failure.
    seed : int, default 0

    Raises
    ------
    ConfigError
        A number out of its range, or a rate at the limit, which no number of prompts decides.
    """
    for name, number, least_ok in (("limit", limit, False), ("assumed rate", rate, True), ("power", power, False)):
        if not (0 <= number <= 1 if least_ok else 0 < number < 1):
            raise ConfigError(f"{name} {number}: must lie {'in [0, 1]' if least_ok else 'strictly between 0 and 1'}")
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha}: must lie strictly between 0 and 1, for example 0.05")
    if rate == limit:
        raise ConfigError(f"assumed rate {rate:g} is the limit itself: no number of prompts decides it; assume another")
    if bound == "min":  # misses instead of hits: the same question the other way round
        mirrored = need("max", 1 - limit, rate=1 - rate, power=power, alpha=alpha, n_limits=n_limits, seed=seed)
        return Need(mirrored.verdict, rate, *_counts(mirrored))
    side: Side = "below" if rate < limit else "above"
    stops = sequential_prompts(
        limit, rate, side=side, alpha=alpha / 2 / (1 if side == "below" else n_limits), seed=seed
    )
    return Need(
        verdict="pass" if side == "below" else "fail",
        rate=rate,
        fixed=fixed_prompts(limit, rate, side=side, alpha=alpha / 2, power=power),
        median=_quantile(stops, 0.5),
        mean=math.ceil(stops.mean()) if stops.max() <= MOST_PROMPTS else None,
        most=_quantile(stops, 0.9),
        at_least=no_hit_prompts(limit, alpha=alpha / 2),
    )


def _counts(one: Need) -> tuple[int | None, ...]:
    return one.fixed, one.median, one.mean, one.most, one.at_least


def no_hit_prompts(limit: float, *, alpha: float = 0.025) -> int | None:
    """Return the fewest prompts with which no hit passes: then the exact upper bound is at most `limit`.

    Parameters
    ----------
    limit : float
        In (0, 1), at most.
    alpha : float, default 0.025
        Error of one end of the interval.
    """
    n = math.ceil(math.log(alpha) / math.log1p(-limit))
    return n if n <= MOST_PROMPTS else None


def fixed_prompts(limit: float, rate: float, *, side: Side, alpha: float = 0.025, power: float = 0.8) -> int | None:
    """Return the fewest prompts with which the exact binomial interval decides, and keeps deciding with any more.

    The power of an exact test is a saw: it drops a little where a further hit is not yet allowed. So the number is the
    first from which no larger one, up to half as many again, falls below `power`.

    Parameters
    ----------
    limit, rate : float
        In (0, 1) and in [0, 1].
    side : {"above", "below"}
        Where `rate` lies, and what is to be shown.
    alpha : float, default 0.025
        Error of one end of the interval of Clopper and Pearson (1934).
    power : float, default 0.8

    Returns
    -------
    int or None
        None beyond :data:`MOST_PROMPTS`.
    """
    low, high = 1, 64
    while high <= 2 * MOST_PROMPTS:
        n = np.arange(low, high + 1)
        enough = _power(n, limit, rate, side=side, alpha=alpha) >= power
        short = np.flatnonzero(~enough)
        after = int(n[short[-1]]) + 1 if len(short) else low
        if after + after // 2 <= high:
            return after if after <= MOST_PROMPTS else None
        low, high = max(1, after - 1), 2 * high
    return None


def _power(n: Ints, limit: float, rate: float, *, side: Side, alpha: float) -> Floats:
    """Return the chance that the exact interval of `n` prompts lies on `side` of the limit."""
    hits = _critical_hits(n, limit, side=side, alpha=alpha)
    if side == "below":
        return np.where(hits >= 0, _at_most(hits, n, rate), 0.0)
    return np.where(hits <= n, 1 - _at_most(hits - 1, n, rate), 0.0)


def _critical_hits(n: Ints, limit: float, *, side: Side, alpha: float) -> Ints:
    """Return the most hits that show a rate below the limit (-1: none do), or the fewest that show one above."""
    least, most = np.full(n.shape, -1, np.int64), n.copy()
    while (most - least).max() > 1:
        middle = (least + most) // 2
        tail = _at_most(middle, n, limit)
        holds = tail <= alpha if side == "below" else 1 - tail > alpha
        least, most = np.where(holds, middle, least), np.where(holds, most, middle)
    return least if side == "below" else least + 2


def _at_most(hits: Ints, n: Ints, rate: float) -> Floats:
    """Return the binomial chance of at most so many hits."""
    return np.asarray(np.where(hits < 0, 0.0, special.bdtr(np.maximum(hits, 0).astype(np.float64), n, rate)))


def sequential_prompts(
    limit: float, rate: float, *, side: Side, alpha: float = 0.025, runs: int = _RUNS, seed: int = 0
) -> Ints:
    """Return after how many prompts the evidence decides, in simulated runs with one 0 or 1 a prompt.

    Parameters
    ----------
    limit, rate : float
        In (0, 1) and in [0, 1].
    side : {"above", "below"}
    alpha : float, default 0.025
        The evidence must reach ``1 / alpha``.
    runs : int, default 500
    seed : int, default 0

    Returns
    -------
    ndarray of int64, shape (runs,)
        ``MOST_PROMPTS + 1`` for a run that did not stop by :data:`MOST_PROMPTS`.
    """
    rng = np.random.default_rng(seed)
    tilts = ODDS_RATIOS - 1 if side == "above" else 1 / ODDS_RATIOS - 1
    hit, miss = np.log1p(tilts) - np.log1p(tilts * limit), -np.log1p(tilts * limit)
    stops = np.full(runs, MOST_PROMPTS + 1, np.int64)
    hits, open_runs, n = np.zeros(runs, np.int64), np.arange(runs), 0
    while len(open_runs) and n < MOST_PROMPTS:
        counts = hits[open_runs, None] + np.cumsum(rng.random((len(open_runs), _BLOCK)) < rate, axis=1)
        seen = np.arange(n + 1, n + _BLOCK + 1)
        evidence = np.full(counts.shape, -np.inf)
        for for_hit, for_miss, weight in zip(hit, miss, WEIGHTS, strict=True):
            evidence = np.logaddexp(evidence, counts * for_hit + (seen - counts) * for_miss + math.log(weight))
        over = evidence >= -math.log(alpha)
        stopped = over.any(axis=1)
        stops[open_runs[stopped]] = n + 1 + over[stopped].argmax(axis=1)
        hits[open_runs] = counts[:, -1]
        open_runs, n = open_runs[~stopped], n + _BLOCK
    return stops


def _quantile(stops: Ints, share: float) -> int | None:
    """Return after how many prompts a share of the runs had stopped."""
    value = int(np.quantile(stops, share, method="higher"))
    return value if value <= MOST_PROMPTS else None
