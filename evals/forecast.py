"""How likely the prompts that are left are to decide a limit, given those that were seen: for giving up in time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from evals.betting import WEIGHTS, Side, log_evidence, log_factors
from evals.intervals import PSEUDO_VALUES, bounded_mean_interval

__all__ = ["chance_to_decide"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_DRAWS = 200
_LOOKS = 16


def chance_to_decide(
    values: Sequence[float], limit: float, *, n_pool: int, alpha: Mapping[Side, float], seed: int = 0
) -> float:
    """Return the predictive probability that a limit is decided by the time the pool is used up.

    Parameters
    ----------
    values : sequence of float
        In [0, 1]: the prompts seen so far.
    limit : float
        In [0, 1].
    n_pool : int
        Prompts in all, at least as many as were seen.
    alpha : mapping
        Error that a decision for each side may have on the way, and again at the end; see :mod:`evals.sequential`.
    seed : int, default 0
        Fixed, so that a stop can be replayed.

    Returns
    -------
    float
        In [0, 1], over 200 futures. Each draws the distribution of the values by the Bayesian bootstrap (Rubin 1981)
        with :data:`evals.intervals.PSEUDO_VALUES` values at 0 and as many at 1, then the prompts that are left from
        it; so few prompts seen leave much open (Spiegelhalter, Freedman and Blackburn 1986: predictive power).
    """
    seen = np.asarray(values, np.float64)
    if any(log_evidence(seen, limit, side=side).max() >= -math.log(share) for side, share in alpha.items()):
        return 1.0
    if n_pool <= len(seen):
        return 0.0
    support, counts = np.unique(np.concatenate([seen, [0.0, 1.0]]), return_counts=True)
    # The first and the last are 0 and 1: one of each is the pseudo-value's and counts as half.
    weights = counts.astype(np.float64)
    weights[[0, -1]] -= 1 - PSEUDO_VALUES
    futures = _futures(weights, n_pool - len(seen), np.random.default_rng(seed))
    decided = np.zeros(_DRAWS, np.bool_)
    for side, share in alpha.items():
        decided |= _reaches(futures, seen, support, limit, side=side, share=share)
    if len(support) == 2:  # one 0 or 1 a prompt: the exact interval gets a look at the end
        decided |= _clear_at_end((seen.sum() + futures[:, -1, 1]) / n_pool, n_pool, limit, alpha)
    return float(decided.mean())


def _futures(weights: Floats, n_left: int, rng: np.random.Generator) -> Counts:
    """Return how often each value of the support comes until each look, shape (draws, looks, values)."""
    shares = rng.dirichlet(weights, _DRAWS)
    steps = np.diff(np.linspace(0, n_left, min(_LOOKS, n_left) + 1).round().astype(np.int64))
    counts = [rng.multinomial(step, shares) for step in steps]
    return np.asarray(np.cumsum(np.stack(counts, axis=1), axis=1), np.int64)


def _reaches(
    futures: Counts, seen: Floats, support: Floats, limit: float, *, side: Side, share: float
) -> npt.NDArray[np.bool_]:
    """Return in which futures the evidence reaches what it must, at some look."""
    start = log_factors(seen, limit, side=side).sum(axis=0) + np.log(WEIGHTS)
    capital = start + futures @ log_factors(support, limit, side=side)
    evidence = np.logaddexp.reduce(capital, axis=-1)
    return np.asarray(evidence.max(axis=-1) >= -math.log(share))


def _clear_at_end(rates: Floats, n: int, limit: float, alpha: Mapping[Side, float]) -> npt.NDArray[np.bool_]:
    """Return in which futures the ordinary interval lies on one side of the limit at the end."""
    rows = (np.arange(n) < np.rint(rates * n)[:, None]).astype(np.float64)
    clear = np.zeros(len(rates), np.bool_)
    for side, share in alpha.items():
        low, high = bounded_mean_interval(rows, level=1 - 2 * share)
        clear |= high <= limit if side == "below" else low > limit
    return clear
