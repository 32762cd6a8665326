"""MAUVE: how far the texts of a model, as a set, are from texts that people wrote."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evals.stats import Estimate
from guard.errors import DataError

__all__ = [
    "LEAST_TEXTS",
    "UNBIASED_TEXTS",
    "Histograms",
    "MauveScorer",
    "mauve",
    "mauve_estimate",
    "mauve_note",
    "quantised",
]

Floats = npt.NDArray[np.float64]

LEAST_TEXTS = 500
"""Fewer texts on either side give no figure: why, in ``docs/design/quality.md``."""

UNBIASED_TEXTS = 5000
"""What the paper takes; below, the figure is too good."""

_TEXTS_A_BUCKET = 10
_MOST_BUCKETS = 500
_EXPLAINED = 0.9
_SCALE = 5.0
_POINTS = 25
_EDGE = 1e-6
_SEED = 25
_LEVEL = 0.95


@dataclass(frozen=True)
class Histograms:
    """In which of the clusters each text lies.

    Parameters
    ----------
    people, model : ndarray of int64
        Cluster of each text, shape (n_people,) and (n_model,).
    n_buckets : int
    """

    people: npt.NDArray[np.int64]
    model: npt.NDArray[np.int64]
    n_buckets: int


def quantised(people: Floats, model: Floats, *, n_buckets: int | None = None, seed: int = _SEED) -> Histograms:
    """Cluster the embeddings of both sets together.

    Unit length, principal components up to 90% of the variance, k-means with a bucket for every ten texts of the
    smaller set, at most 500: the settings of the paper's own code, on scikit-learn in place of faiss.

    Parameters
    ----------
    people, model : ndarray of float64, shape (n, d)
    n_buckets : int, optional
    seed : int

    Raises
    ------
    DataError
        Fewer than two texts on a side.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    fewest = min(len(people), len(model))
    if fewest < 2:
        raise DataError(f"MAUVE of {len(people)} and {len(model)} texts: it takes at least 2 on each side")
    wanted = n_buckets or min(_MOST_BUCKETS, max(2, round(fewest / _TEXTS_A_BUCKET)))
    both = np.vstack([people, model])
    both = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
    components = PCA(random_state=seed).fit(both)
    kept = int(np.argmax(np.cumsum(components.explained_variance_ratio_) >= _EXPLAINED)) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different texts than buckets: some stay empty
        means = KMeans(wanted, n_init=5, max_iter=500, random_state=seed)
        labels = means.fit_predict(components.transform(both)[:, :kept]).astype(np.int64)
    return Histograms(labels[: len(people)], labels[len(people) :], wanted)


def mauve(people: Floats, model: Floats) -> Floats:
    """Return MAUVE of pairs of histograms: 1 where they are equal, towards 0 the farther apart they are.

    The area under the curve of the exponentiated Kullback-Leibler divergences of both distributions from their
    mixtures (Pillutla et al. 2021, "MAUVE", equations 1 and 2), at 25 mixtures, with the scale 5 of section 3.

    Parameters
    ----------
    people, model : ndarray of float64, shape (..., n_buckets)
        Each row sums to 1.

    Returns
    -------
    ndarray of float64, shape (...)
    """
    weights = np.linspace(_EDGE, 1 - _EDGE, _POINTS)[:, None]
    p, q = people[..., None, :], model[..., None, :]
    mixed = weights * p + (1 - weights) * q
    x, y = np.exp(-_SCALE * _divergence(q, mixed)), np.exp(-_SCALE * _divergence(p, mixed))
    ends = np.zeros((*x.shape[:-1], 1))
    x, y = np.concatenate([ends + 1, x, ends], -1), np.concatenate([ends, y, ends + 1], -1)
    # From mixture to mixture x falls and y rises, so the area is the same along either axis.
    area: Floats = -((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x, axis=-1)).sum(-1)
    return area


def mauve_estimate(found: Histograms) -> Estimate:
    """Estimate MAUVE with an interval for the clusters that were found.

    The jackknife over pairs of texts with the clusters held fixed: it says how much the texts that happened to be drawn
    matter, not how much the clusters do, and it does not mend the bias of small sets, which is upwards.

    Parameters
    ----------
    found : Histograms
        Pair i is text i of both sets; the longer set's other texts are left out.

    Returns
    -------
    Estimate
        Without a value below :data:`LEAST_TEXTS` texts on a side: these are then counted as unscored.
    """
    n = min(len(found.people), len(found.model))
    if n < LEAST_TEXTS:
        return Estimate(None, None, 0, 0, n)
    people, model = (_counts(labels[:n], found.n_buckets) for labels in (found.people, found.model))
    value = float(mauve(people / n, model / n))
    pairs, times = np.unique(np.stack([found.people[:n], found.model[:n]]), axis=1, return_counts=True)
    one = np.eye(found.n_buckets)
    replicates = mauve((people - one[pairs[0]]) / (n - 1), (model - one[pairs[1]]) / (n - 1))
    mean = (replicates * times).sum() / n
    variance = (n - 1) / n * float((times * (replicates - mean) ** 2).sum())
    half = float(special.stdtrit(n - 1, (1 + _LEVEL) / 2)) * math.sqrt(variance)
    interval = (max(0.0, value - half), min(1.0, value + half)) if half > 0 else None
    return Estimate(value, interval, n, n, 0)


class MauveScorer:
    """MAUVE of what a model released, against one set of texts by people.

    Parameters
    ----------
    people : sequence of str
    embed : callable
        From texts to their embeddings, shape (n, d).
    encoder : str
        Name of what embeds.
    """

    def __init__(self, people: Sequence[str], embed: Callable[[Sequence[str]], Floats], *, encoder: str) -> None:
        # In an order of their own, so that the first so many of a sorted file stand for the whole.
        self._people, self._embed = sorted(people, key=_digest), embed
        self.name = f"MAUVE by {encoder} against texts@{_digest(chr(0).join(self._people))[:12]}"

    def estimate(self, texts: Sequence[str | None]) -> Estimate:
        """Estimate MAUVE; those that are missing or blank count as unscored, and the set as no larger than the other.

        Parameters
        ----------
        texts : sequence of str or None
            What was released, one for each prompt.
        """
        written = [text for text in texts if text is not None and text.strip()]
        n = min(len(written), len(self._people))
        if n < LEAST_TEXTS:
            return Estimate(None, None, 0, 0, len(texts))
        found = mauve_estimate(quantised(self._embed(self._people[:n]), self._embed(written[:n])))
        return Estimate(found.value, found.interval, n, n, len(texts) - n)


def mauve_note(task: str, n: int) -> str:
    """Say what a reader of MAUVE of `n` texts must know."""
    if n < LEAST_TEXTS:
        return (
            f"Task {task}: MAUVE needs texts by the thousand and is not given for {n}: below {LEAST_TEXTS} it says more"
            " about their number than about the model."
        )
    if n < UNBIASED_TEXTS:
        return (
            f"Task {task}: MAUVE of {n} texts is too good (its authors take {UNBIASED_TEXTS}); compare runs with as"
            " many texts only. Its interval is for the clusters that were found."
        )
    return f"Task {task}: MAUVE depends on the encoder and on the number of texts; compare like with like."


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _counts(labels: npt.NDArray[np.int64], n_buckets: int) -> Floats:
    return np.bincount(labels, minlength=n_buckets).astype(np.float64)


def _divergence(p: Floats, mixed: Floats) -> Floats:
    """Return the Kullback-Leibler divergence over the last axis; where p is 0 nothing is added."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(p > 0, p * np.log(p / mixed), 0.0)
    total: Floats = np.maximum(each.sum(-1), 0.0)
    return total
