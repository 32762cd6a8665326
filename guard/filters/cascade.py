"""A cascade of two filters: the dear one reads only what the cheap one leaves open."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError, DataError, FilterError
from guard.schema import Filter, Scores, check_scores

__all__ = ["CascadeFilter", "CascadeFit", "CascadeStats", "Reader", "blend_scores", "fit_cascade"]

Floats = npt.NDArray[np.float64]

_EDGE = 1e-7
_BELOW = 1e-6  # so that rounding a settled score does not bring it to the threshold


@runtime_checkable
class Reader(Protocol):
    """A filter that can tell which texts it reads at all."""

    def reads(self, text: str) -> bool:
        """Tell whether a low score of `text` means anything."""


@dataclass(frozen=True)
class CascadeStats:
    """How much work a cascade has saved since it was made.

    Parameters
    ----------
    n_texts : int
        Texts scored.
    n_skipped : int
        Those that the dear filter did not read.
    """

    n_texts: int
    n_skipped: int

    @property
    def share_skipped(self) -> float | None:
        """Share of the texts that the dear filter did not read; None before the first text."""
        return self.n_skipped / self.n_texts if self.n_texts else None


def blend_scores(cheap: Scores, dear: Scores, shares: Sequence[float]) -> Scores:
    """Add the cheap filter's log-odds, times a share, to the dear one's.

    Parameters
    ----------
    cheap, dear : Scores
        float32, shape (n, k), in [0, 1], columns in the same order.
    shares : sequence of float, shape (k,)
        0 gives the dear score.

    Returns
    -------
    Scores
        float32, shape (n, k). Log-odds are divided by one plus the share: filters that agree give what both gave.

    Examples
    --------
    >>> half, high = np.float32([[0.5]]), np.float32([[0.9]])
    >>> blend_scores(half, high, [1.0]).round(4).tolist()
    [[0.75]]
    """
    weights = np.asarray(shares, dtype=np.float64)
    mixed = (_log_odds(dear) + weights * _log_odds(cheap)) / (1 + weights)
    blended: Scores = np.where(weights > 0, 1 / (1 + np.exp(-mixed)), dear).astype(np.float32)
    return blended


def _log_odds(scores: Scores) -> Floats:
    """Return log-odds, finite at 0 and 1 too."""
    inside = np.clip(scores.astype(np.float64), _EDGE, 1 - _EDGE)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


class CascadeFilter:
    """Gives the dear filter's scores, and reads with it only what the cheap filter leaves open.

    Parameters
    ----------
    cheap, dear : Filter
        The cheap one has every category of the dear one; what else it has is dropped.
    low : float or mapping of str to float
        For each category of the dear filter. A text whose cheap scores are *all* below is settled: it keeps its cheap
        scores. 0 settles nothing. Keep it below the policy's threshold, or a text that is settled may fire;
        :func:`fit_cascade` chooses it.
    high : float or mapping of str to float, optional
        A text with a cheap score at or over it in *any* category is settled too. Default: none is. Categories that a
        mapping leaves out settle none.
    blend : float or mapping of str to float, optional
        Share of the cheap filter's log-odds in the scores of a text that is not settled, see :func:`blend_scores`.
        Default: 0, the dear scores alone.

    Raises
    ------
    ConfigError
        A category that the cheap filter lacks or that neither has, a missing `low`, or a number out of range.

    Notes
    -----
    Where the cheap filter is a :class:`Reader`, a text that it does not read is never settled as harmless, and takes no
    part in the blend: a score of 0 in a language that it does not know says nothing. Either
    filter's failure is the cascade's.

    The idea is old: Viola & Jones 2001, "Rapid Object Detection using a Boosted Cascade of Simple Features", section 4.

    Examples
    --------
    >>> from guard.filters.cascade import CascadeFilter
    >>> from guard.filters.callable import CallableFilter
    >>> cheap = CallableFilter(lambda text: 0.4 * ("!" in text), categories=["rude"])
    >>> dear = CallableFilter(lambda text: 0.75 * ("idiot" in text), categories=["rude"])
    >>> cascade = CascadeFilter(cheap, dear, low=0.2)
    >>> cascade.score_batch(["good morning", "you idiot!"]).tolist()
    [[0.0], [0.75]]
    >>> cascade.stats().share_skipped
    0.5
    """

    def __init__(
        self,
        cheap: Filter[str],
        dear: Filter[str],
        *,
        low: float | Mapping[str, float],
        high: float | Mapping[str, float] | None = None,
        blend: float | Mapping[str, float] | None = None,
    ) -> None:
        missing = [category for category in dear.categories if category not in cheap.categories]
        if missing:
            raise ConfigError(
                f"cascade of {cheap.name} and {dear.name}: the cheap filter has no {', '.join(missing)}, so it can"
                " never settle a text; give one that scores every category of the dear one"
            )
        self._cheap, self._dear = cheap, dear
        self._columns = [cheap.categories.index(category) for category in dear.categories]
        self._low = self._numbers("low", low, default=None, most=1.0)
        self._high = self._numbers("high", {} if high is None else high, default=np.inf, most=1.0)
        self._blend = self._numbers("blend", {} if blend is None else blend, default=0.0, most=100.0)
        if not (self._low <= self._high).all():
            raise ConfigError(f"cascade of {cheap.name} and {dear.name}: low {low} is over high {high}")
        self._lock = threading.Lock()
        self._n_texts = self._n_skipped = 0

    def _numbers(self, what: str, given: float | Mapping[str, float], *, default: float | None, most: float) -> Floats:
        """Return one number a category of the dear filter."""
        categories = self._dear.categories
        table = given if isinstance(given, Mapping) else dict.fromkeys(categories, given)
        unknown = [category for category in table if category not in categories]
        absent = [category for category in categories if category not in table]
        if unknown or (absent and default is None):
            raise ConfigError(
                f"cascade, {what}: {', '.join(unknown or absent)} {'is unknown' if unknown else 'is missing'}; give one"
                f" number, or one for each of {', '.join(categories)}"
            )
        if not all(0 <= value <= most for value in table.values()):
            raise ConfigError(f"cascade, {what}: {dict(table)} must lie in [0, {most:g}]")
        return np.array([table.get(category, default) for category in categories], dtype=np.float64)

    @property
    def name(self) -> str:
        """``cascade@`` and 12 hexadecimal digits over the names of both filters and the three settings."""
        numbers = [values.tolist() for values in (self._low, self._high, self._blend)]
        text = "\n".join((self._cheap.name, self._dear.name, repr(numbers)))
        return f"cascade@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`score_batch`: that of the dear filter."""
        return self._dear.categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1].

        Raises
        ------
        FilterError
            One of the two filters failed.
        """
        scores = self._scores_of(self._cheap, items)[:, self._columns]
        read = self._read(items)
        left = np.flatnonzero(~self._settled(scores, read))
        if len(left):
            dear = self._scores_of(self._dear, [items[index] for index in left.tolist()])
            blended = blend_scores(scores[left], dear, self._blend.tolist())
            scores[left] = np.where(read[left, None], blended, dear)
        with self._lock:
            self._n_texts += len(items)
            self._n_skipped += len(items) - len(left)
        return scores

    def _scores_of(self, filter_: Filter[str], items: Sequence[str]) -> Scores:
        """Return checked scores: a NaN would settle nothing, and a wrong shape the wrong texts."""
        try:
            return check_scores(filter_.score_batch(items), n_items=len(items), filter_=filter_)
        except FilterError:
            raise
        except Exception as error:
            raise FilterError(f"cascade: {filter_.name} cannot score {len(items)} items ({error})") from error

    def _read(self, items: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Tell which texts a score of the cheap filter means anything for."""
        if not isinstance(self._cheap, Reader):
            return np.ones(len(items), dtype=bool)
        return np.array([self._cheap.reads(item) for item in items], dtype=bool)

    def _settled(self, scores: Scores, read: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Tell which texts need no dear filter."""
        harmless: npt.NDArray[np.bool_] = np.all(scores < self._low, axis=1)
        certain: npt.NDArray[np.bool_] = np.any(scores >= self._high, axis=1)
        return harmless & read | certain

    def stats(self) -> CascadeStats:
        """Return how many texts were scored and how many the dear filter was spared, since the filter was made."""
        with self._lock:
            return CascadeStats(self._n_texts, self._n_skipped)


@dataclass(frozen=True)
class CascadeFit:
    """What :func:`fit_cascade` chose, and what it may cost.

    Parameters
    ----------
    low : tuple of float
        One a category, for :class:`CascadeFilter`.
    n_fired : int
        Texts on which the dear filter reached a threshold.
    n_missed : int
        Those of them that the cascade settles, so that they no longer fire.
    bound : float
        Upper bound on the share of such texts, at the level asked.
    level : float
    share_skipped : float
        Share of all texts given that the cascade settles.
    """

    low: tuple[float, ...]
    n_fired: int
    n_missed: int
    bound: float
    level: float
    share_skipped: float


def fit_cascade(
    cheap_scores: npt.ArrayLike,
    dear_scores: npt.ArrayLike,
    thresholds: Sequence[float],
    *,
    max_added_miss: float,
    level: float = 0.95,
) -> CascadeFit:
    """Choose `low` as high as the misses that it adds allow.

    Parameters
    ----------
    cheap_scores, dear_scores : array-like of float, shape (n, k)
        Of the same texts, in the same order of categories: traffic like that to come, and not what either filter was
        trained on. With a blend, give the blended scores as the dear ones.
    thresholds : sequence of float, shape (k,)
        The policy's; a text fires when a dear score is at or over one. Infinite where the policy has no rule: that
        category then keeps no text from being settled.
    max_added_miss : float
        Largest share of the firing texts that may be settled, in (0, 1).
    level : float
        Confidence of the bound.

    Returns
    -------
    CascadeFit
        `low` stays below the thresholds, so what is settled does not fire, and the verdicts that change are misses
        alone. The categories share one quantile of the texts that do not fire.

    Raises
    ------
    DataError
        Wrong shapes, or too few firing texts for the bound: it needs log(1 - level) / log(1 - max_added_miss) of them.

    Notes
    -----
    More is settled as `low` rises, so the largest `low` whose exact one-sided binomial bound (Clopper & Pearson 1934)
    holds keeps the risk below `max_added_miss` with probability `level`, although it was chosen on the same texts
    (Bates et al. 2021, "Distribution-Free, Risk-Controlling Prediction Sets", theorem 1). The quantiles come from the
    texts that do not fire, which are independent of those that do. All of it holds for texts drawn like the given ones.
    """
    cheap, dear = np.asarray(cheap_scores, dtype=np.float64), np.asarray(dear_scores, dtype=np.float64)
    limits = np.asarray(thresholds, dtype=np.float64)
    if cheap.ndim != 2 or cheap.shape != dear.shape or cheap.shape[1:] != limits.shape or not (limits <= 1).any():
        raise DataError(
            f"scores of shapes {cheap.shape} and {dear.shape} do not fit each other, or thresholds {limits.tolist()}"
            " do not fit them, or none of these can fire"
        )
    fired = (dear.round(7) >= limits).any(axis=1)  # as a policy reads scores
    n_fired = int(fired.sum())
    allowed = _most_misses(n_fired, max_added_miss, level)
    ordered = np.sort(cheap[~fired], axis=0)
    ruled = limits <= 1
    columns = zip(ordered.T[ruled], cheap[fired].T[ruled], strict=True)
    ranks = np.stack([np.searchsorted(calm, loud, side="right") for calm, loud in columns])
    # A firing text is settled once every category's `low` is over its rank: from this many quantile steps on.
    steps = np.sort(ranks.max(axis=0) + 1)
    step = min(len(ordered), int(steps[allowed]) - 1 if allowed < n_fired else len(ordered))
    low = np.where(ruled, np.minimum(ordered[step - 1], limits - _BELOW), 1.0) if step else np.zeros(len(limits))
    settled = (cheap < low).all(axis=1)
    missed = int((settled & fired).sum())
    return CascadeFit(
        low=tuple(low.tolist()),
        n_fired=n_fired,
        n_missed=missed,
        bound=_upper_bound(missed, n_fired, level),
        level=level,
        share_skipped=float(settled.mean()),
    )


def _upper_bound(missed: int, n: int, level: float) -> float:
    """Return the exact one-sided upper bound on a share."""
    from scipy.stats import beta

    return 1.0 if missed >= n else float(beta.ppf(level, missed + 1, n - missed))


def _most_misses(n: int, most: float, level: float) -> int:
    """Return how many of n may be missed for the bound to hold."""
    if not (0 < most < 1 and 0 < level < 1):
        raise DataError(f"max_added_miss={most}, level={level}: both lie between 0 and 1")
    needed = int(np.ceil(np.log(1 - level) / np.log(1 - most)))
    if n < needed:
        raise DataError(
            f"{n} texts fire, and a bound of {most:.3g} at level {level:g} takes at least {needed}; give more harmful"
            " texts, or a larger max_added_miss"
        )
    missed = 0
    while _upper_bound(missed + 1, n, level) <= most:
        missed += 1
    return missed
