"""Which rows a person should label next: uncertain ones that differ from each other, and a random share beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError
from guard.train.classifier.temperature import probabilities

__all__ = [
    "STRATEGIES",
    "Pick",
    "Strategy",
    "gradient_embeddings",
    "k_center",
    "k_means_seeds",
    "select",
    "uncertainty",
]

Floats = npt.NDArray[np.float64]
Strategy = Literal["badge", "k-center", "random", "uncertain"]

STRATEGIES: tuple[str, ...] = get_args(Strategy)
"""Uncertain and apart; apart alone; neither; uncertain alone."""

_CANDIDATES = 20
"""Rows that are embedded for each pick: those beyond are so certain that their gradient is next to nothing."""

_MOST_SPREAD = 20_000


@dataclass(frozen=True)
class Pick:
    """A row to label.

    Parameters
    ----------
    at : int
        Place in the pool.
    kind : {"active", "control"}
        A control row was drawn at random, whatever the filter says of it.
    uncertainty : float
        In [0, 1]: 1 at the threshold.
    distance : float or None
        From the nearest row that was labelled or picked before it, where rows were compared: of "badge" between
        gradients, else between states.
    weight : float
        Pool rows that it stands for in an estimate over the pool; 0 for a row that was not drawn at random.
    """

    at: int
    kind: Literal["active", "control"]
    uncertainty: float
    distance: float | None
    weight: float


def uncertainty(scores: Floats, *, threshold: float = 0.5) -> Floats:
    """Return how near scores lie to the threshold: 1 there, 0 at 0 and at 1.

    Parameters
    ----------
    scores : ndarray
        float64, shape (n,), in [0, 1].
    threshold : float
        In (0, 1).

    Notes
    -----
    Twice the chance of the less likely label, after log-odds have been shifted so that the threshold is a half. For two
    classes, least confidence, margin and entropy order rows alike (Settles 2009, "Active Learning Literature Survey",
    section 3.1), so one of them is enough.

    Examples
    --------
    >>> uncertainty(np.array([0.0, 0.5, 0.9])).round(2).tolist()
    [0.0, 1.0, 0.2]
    """
    inside = np.clip(scores, 1e-12, 1 - 1e-12)
    shifted = np.log(inside) - np.log1p(-inside) - np.log(threshold / (1 - threshold))
    return 2 * np.minimum(probabilities(shifted), probabilities(-shifted))


def gradient_embeddings(states: Floats, uncertain: Floats, harmful: npt.NDArray[np.bool_]) -> Floats:
    """Return for each row the gradient that its own likelier label would give the head.

    Parameters
    ----------
    states : ndarray
        float64, shape (n, d): what the head reads.
    uncertain : ndarray
        float64, shape (n,): of :func:`uncertainty`.
    harmful : ndarray
        bool, shape (n,): the likelier label.

    Notes
    -----
    Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (BADGE), section 3: for
    one logit the gradient is (p - y) h, whose length is the uncertainty. States are centred first: what all of them
    have in common would drown how they differ.
    """
    centred = states - states.mean(axis=0)
    signs = np.where(harmful, -1.0, 1.0)
    found: Floats = (signs * uncertain / 2)[:, None] * centred
    return found


def k_means_seeds(vectors: Floats, n: int, *, seed: int) -> list[tuple[int, float]]:
    """Draw rows with a chance that grows with the squared distance to those drawn so far.

    Parameters
    ----------
    vectors : ndarray
        float64, shape (m, d).
    n : int
        At most m.
    seed : int

    Returns
    -------
    list of (int, float)
        Rows in the order drawn, none twice, with the distance at that moment. The first is the longest vector, at its
        distance from the origin.

    Notes
    -----
    Arthur and Vassilvitskii 2007, "k-means++", section 2.2. BADGE draws the first in the same way; the longest is the
    most uncertain row, and makes the start no matter of chance.
    """
    rng = np.random.default_rng(seed)
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    found: list[tuple[int, float]] = []
    nearest = np.full(len(vectors), np.inf)
    free = np.ones(len(vectors), dtype=bool)
    for turn in range(min(n, len(vectors))):
        weights = np.where(free, lengths if turn == 0 else nearest, 0.0)
        if turn == 0:
            at = int(weights.argmax())
        elif weights.sum() > 0:
            at = int(rng.choice(len(vectors), p=weights / weights.sum()))
        else:
            at = int(np.flatnonzero(free)[0])  # what is left lies on what was drawn
        found.append((at, float(np.sqrt(weights[at]))))
        free[at] = False
        nearest = np.minimum(nearest, _squared_distances(vectors, lengths, vectors[at]))
    return found


def k_center(vectors: Floats, n: int, *, covered: Floats) -> list[tuple[int, float]]:
    """Take the row that is farthest from all that are covered, again and again.

    Parameters
    ----------
    vectors : ndarray
        float64, shape (m, d).
    n : int
    covered : ndarray
        float64, shape (k, d): of rows that have a label; may be empty.

    Returns
    -------
    list of (int, float)
        Rows in the order taken, with their distance at that moment.

    Notes
    -----
    Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", algorithm 1; the
    greedy choice covers within twice the least radius (Gonzalez 1985). Without covered rows the first is the one
    nearest to the mean.
    """
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    nearest = np.full(len(vectors), np.inf)
    for one in covered:
        nearest = np.minimum(nearest, _squared_distances(vectors, lengths, one))
    found: list[tuple[int, float]] = []
    for _ in range(min(n, len(vectors))):
        if np.isinf(nearest).all():
            at = int(_squared_distances(vectors, lengths, vectors.mean(axis=0)).argmin())
            found.append((at, 0.0))
        else:
            at = int(nearest.argmax())
            found.append((at, float(np.sqrt(max(0.0, nearest[at])))))
        nearest = np.minimum(nearest, _squared_distances(vectors, lengths, vectors[at]))
        nearest[[one for one, _ in found]] = -1.0
    return found


def _squared_distances(vectors: Floats, lengths: Floats, point: Floats) -> Floats:
    return np.maximum(lengths - 2 * (vectors @ point) + float(point @ point), 0.0)


def select(
    scores: Floats,
    embed: Callable[[Sequence[int]], Floats],
    n: int,
    *,
    strategy: Strategy = "badge",
    control: float = 0.2,
    threshold: float = 0.5,
    covered: Floats | None = None,
    seed: int = 0,
) -> list[Pick]:
    """Choose rows of a pool to label.

    Parameters
    ----------
    scores : ndarray
        float64, shape (m,): of the pool, none of it labelled. The order of the pool breaks ties.
    embed : callable
        Places in the pool -> states, float64, shape (k, d). Called at most once.
    n : int
        Rows to choose, at most m.
    strategy : {"badge", "k-center", "random", "uncertain"}
    control : float
        Share of `n` drawn at random from the whole pool first, in [0, 1].
    threshold : float
    covered : ndarray, optional
        float64, shape (k, d): states of rows that have a label.
    seed : int

    Returns
    -------
    list of Pick
        Control rows first, then the others in the order chosen.

    Raises
    ------
    ConfigError
        An unknown strategy, more rows than there are, or a share that is none.
    """
    if strategy not in STRATEGIES or not 1 <= n <= len(scores) or not 0 <= control <= 1:
        raise ConfigError(
            f"{n} rows of {len(scores)} by {strategy!r} with a control share of {control}: the rule is 1 to all rows, a"
            f" share in [0, 1], and one of {', '.join(STRATEGIES)}"
        )
    near = uncertainty(scores, threshold=threshold)
    n_control = n if strategy == "random" else round(control * n)
    drawn = np.random.default_rng([seed, 1]).permutation(len(scores))[:n_control].tolist()
    picks = [Pick(at, "control", float(near[at]), None, len(scores) / n_control) for at in drawn]
    rest = np.setdiff1d(np.arange(len(scores)), np.array(drawn, dtype=np.int64))
    n_active = n - n_control
    if not n_active:
        return picks
    ordered = rest[np.argsort(-near[rest], kind="stable")]
    chosen = _active(ordered, near, scores >= threshold, embed, n_active, strategy, covered, seed)
    return picks + [Pick(at, "active", float(near[at]), distance, 0.0) for at, distance in chosen]


def _active(
    ordered: npt.NDArray[np.int64],
    near: Floats,
    harmful: npt.NDArray[np.bool_],
    embed: Callable[[Sequence[int]], Floats],
    n: int,
    strategy: Strategy,
    covered: Floats | None,
    seed: int,
) -> list[tuple[int, float | None]]:
    """Choose among rows in the order of their uncertainty."""
    if strategy == "uncertain":
        return [(int(at), None) for at in ordered[:n]]
    candidates = ordered[: _CANDIDATES * n if strategy == "badge" else _MOST_SPREAD]
    states = embed(candidates.tolist())
    if strategy == "k-center":
        found = k_center(states, n, covered=np.zeros((0, states.shape[1])) if covered is None else covered)
    else:
        found = k_means_seeds(gradient_embeddings(states, near[candidates], harmful[candidates]), n, seed=seed)
    return [(int(candidates[at]), distance) for at, distance in found]
