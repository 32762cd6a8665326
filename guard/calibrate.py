"""Labelled scores to a threshold whose miss rate or false-alarm rate has a distribution-free bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy import special

from guard.certificate import Certificate, Method, Risk, Unit
from guard.errors import ConfigError, DataError

__all__ = ["Calibration", "calibrate", "units_needed"]

_TICKS = 10_000_000
"""Steps of a score in [0, 1]: the guard compares scores at seven decimals."""

_ROUNDING = 1e-9
"""0.29 * 100 is 28.999999999999996 in floating point, and 29 texts are meant."""

_MOST_ROWS_NAMED = 5
_CLASSES = {"miss": "harmful", "false_alarm": "harmless"}
_VERBS = {"miss": "miss", "false_alarm": "flag"}


@dataclass(frozen=True)
class Calibration:
    """A threshold and what may be said of it. A unit is a text, or a group of them.

    Parameters
    ----------
    threshold : float
        In (0, 1], with at most seven decimals. A text fires when its score is at or over it.
    risk : {"miss", "false_alarm"}
    method : {"clopper-pearson", "conformal-risk-control"}
    level : float
        The rate asked for.
    confidence : float
    future_n : int
        The rate among the next so many units is at most `level` too, with `confidence`. 0: nothing is said of that.
    unit : {"text", "group"}
    n : int
        Units of the class at risk.
    n_events : int
        How many of them the threshold gets wrong.
    upper_bound : float
        With `confidence`, the rate in the population is at most this.
    mean_bound : float
        On average over calibrations like this one, the rate in the population is at most this.
    n_other, n_other_events : int
        Texts of the other class, and how many of those the threshold gets wrong: the price. Nothing is promised of it.
    """

    threshold: float
    risk: Risk
    method: Method
    level: float
    confidence: float
    future_n: int
    unit: Unit
    n: int
    n_events: int
    upper_bound: float
    mean_bound: float
    n_other: int
    n_other_events: int

    @property
    def bound(self) -> float:
        """The bound that `method` holds to `level`."""
        return self.upper_bound if self.method == "clopper-pearson" else self.mean_bound

    def certificate(self, *, data: str, filters: tuple[str, ...], created_by: str) -> Certificate:
        """Return the record of this calibration for a policy; see :class:`guard.certificate.Certificate`."""
        stated = self.method == "clopper-pearson"
        return Certificate(
            method=self.method,
            risk=self.risk,
            level=self.level,
            confidence=self.confidence if stated else None,
            future_n=self.future_n if stated else None,
            threshold=self.threshold,
            bound=self.bound,
            unit=self.unit,
            n=self.n,
            n_events=self.n_events,
            data=data,
            filters=filters,
            created_by=created_by,
        )


def calibrate(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    risk: Risk,
    level: float,
    confidence: float = 0.95,
    method: Method = "clopper-pearson",
    future_n: int | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Calibration:
    """Choose the threshold that errs least on the other side while one kind of error stays bounded.

    With ``risk="miss"`` it is the highest threshold that keeps the share of harmful texts below it at most at `level`;
    with ``risk="false_alarm"`` the lowest that keeps the share of harmless texts at or over it there.

    Parameters
    ----------
    scores : array_like of float, shape (n,)
        In [0, 1]; rounded to seven decimals, as the guard compares them.
    labels : array_like of int, shape (n,)
        1 harmful, 0 harmless.
    risk : {"miss", "false_alarm"}
    level : float
        The rate allowed, between 0 and 1.
    confidence : float
        Between 0 and 1.
    method : {"clopper-pearson", "conformal-risk-control"}
        The first bounds the rate with `confidence`; the second only its average over calibrations, so that about half
        of them exceed `level`, and needs fewer texts.
    future_n : int, optional
        Size of a later set of units on which the rate shall be at most `level` too, with the same confidence; as many
        as there are here by default, since that is how people check. 0 for the population alone.
    groups : sequence of hashable, optional
        What belongs together (near-duplicates, several outputs of one prompt). A group is then one unit, wrong as
        soon as one of its texts of the class at risk is: the bound is of the share of such groups.

    Returns
    -------
    Calibration

    Raises
    ------
    ConfigError
        An option that is impossible.
    DataError
        Scores, labels or groups that are none (with their rows, counted from 1), too few units for the bound, or
        scores so alike that the bound leaves only a threshold at which everything or nothing fires.

    Notes
    -----
    Of n independent units, let k be the most that the threshold may get wrong. The threshold is set beside the unit of
    rank k + 1, so that the rate is at most a Beta(k + 1, n - k) variable, whatever the distribution of the scores, with
    ties too (Wilks 1941, "Determination of sample sizes for setting tolerance limits").

    *clopper-pearson*: the largest k whose upper bound of Clopper and Pearson (1934) is at most `level`. The loss is
    monotone in the threshold, so the bound holds although the same data chose the threshold (Bates et al. 2021,
    "Distribution-free, risk-controlling prediction sets", theorem 1; Angelopoulos et al. 2021, "Learn then test", with
    fixed-sequence testing). Among the next m units the number wrong is at most a beta-binomial variable with m, k + 1
    and n - k; k is made so small that this is at most ``level * m`` with `confidence`.

    *conformal-risk-control*: the largest k with ``(k + 1) / (n + 1) <= level`` (Angelopoulos et al. 2024, "Conformal
    risk control", theorem 1, for a loss of 0 or 1).

    Examples
    --------
    >>> scores = [i / 100 for i in range(1, 101)]
    >>> found = calibrate(scores, [1] * 100, risk="miss", level=0.05, future_n=0)
    >>> found.threshold, found.n_events, round(found.upper_bound, 4)
    (0.02, 1, 0.0466)
    """
    _check_options(risk, level, confidence, method, future_n)
    ticks, harmful = _checked_scores(scores), _checked_labels(labels)
    if len(ticks) != len(harmful):
        raise DataError(f"there are {len(ticks)} scores and {len(harmful)} labels: each text needs both")
    at_risk = harmful if risk == "miss" else ~harmful
    # Worst first: of harmful texts the lowest scores, of harmless ones the highest.
    sign = 1 if risk == "miss" else -1
    units = np.sort(sign * (ticks[at_risk] if groups is None else _worst(ticks, at_risk, groups, sign)))
    n, unit = len(units), "text" if groups is None else "group"
    future = n if future_n is None else future_n
    k = _allowed(n, level, confidence, method, future)
    if k < 0:
        need = units_needed(level, confidence=confidence, method=method, future_n=future_n)
        raise DataError(_too_few(risk, unit, level, confidence, method, need=need, found=n))
    tick = int(units[k]) if risk == "miss" else 1 - int(units[k])
    if not 0 < tick <= _TICKS:
        raise DataError(_no_threshold(risk, unit, level, alike=int((units == units[k]).sum()), n=n))
    fires = ticks[~at_risk] >= tick
    return Calibration(
        threshold=tick / _TICKS,
        risk=risk,
        method=method,
        level=level,
        confidence=confidence,
        future_n=future if method == "clopper-pearson" else 0,
        unit=unit,  # type: ignore[arg-type]
        n=n,
        n_events=int((units < units[k]).sum() if risk == "miss" else (-units >= tick).sum()),
        upper_bound=float(special.betaincinv(k + 1, n - k, confidence)),
        mean_bound=(k + 1) / (n + 1),
        n_other=len(fires),
        n_other_events=int(fires.sum() if risk == "miss" else (~fires).sum()),
    )


def units_needed(
    level: float, *, confidence: float = 0.95, method: Method = "clopper-pearson", future_n: int | None = None
) -> int:
    """Return how many units of the class at risk always do for a bound; see :func:`calibrate`.

    Parameters
    ----------
    level : float
    confidence : float
    method : {"clopper-pearson", "conformal-risk-control"}
    future_n : int, optional

    Raises
    ------
    ConfigError
        An option that is impossible.

    Examples
    --------
    >>> units_needed(0.05), units_needed(0.05, future_n=0), units_needed(0.05, method="conformal-risk-control")
    (80, 59, 19)
    """
    _check_options("miss", level, confidence, method, future_n)
    if method == "conformal-risk-control":
        return math.ceil(1 / level - 1 - _ROUNDING)
    population = math.ceil(math.log1p(-confidence) / math.log1p(-level) - _ROUNDING)
    if future_n is None:
        # None wrong here, and more than j wrong among as many again: at most 2 ** -(j + 1), whatever their number.
        j = max(0, math.ceil(-math.log2(1 - confidence) - _ROUNDING) - 1)
        return max(population, math.ceil(j / level - _ROUNDING))
    if future_n == 0:
        return population
    high = population
    while not _holds_later(0, high, future_n, level, confidence):
        high *= 2
    low = high // 2 if high > population else high - 1
    return low + 1 + _first(lambda step: _holds_later(0, low + 1 + step, future_n, level, confidence), high - low - 1)


def _allowed(n: int, level: float, confidence: float, method: Method, future_n: int) -> int:
    """Return the most of n units that the threshold may get wrong; -1 where even none is too many."""
    if method == "conformal-risk-control":
        return math.floor(level * (n + 1) + _ROUNDING) - 1

    def too_many(k: int) -> bool:
        # The bound of Clopper and Pearson is over the level just when so few errors are no longer rare at it.
        if special.bdtr(k, n, level) > (1 - confidence) * (1 + _ROUNDING):
            return True
        return future_n > 0 and not _holds_later(k, n, future_n, level, confidence)

    return _first(too_many, min(n, math.floor(level * n) + 1)) - 1


def _first(holds: Callable[[int], bool], last: int) -> int:
    """Return the first of 0, 1, ..., `last` from which on it holds; `last` is taken to be one."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _holds_later(k: int, n: int, m: int, level: float, confidence: float) -> bool:
    """Whether at most ``level * m`` of the next m are wrong, with `confidence`, when k of n may be (beta-binomial)."""
    x = np.arange(min(m, math.floor(level * m + _ROUNDING)) + 1, dtype=np.float64)
    ways = _log_choose(k + x, x) + _log_choose(m - x + n - k - 1, m - x) - _log_choose(float(m + n), float(m))
    return bool(np.exp(special.logsumexp(ways)) >= confidence - _ROUNDING)


def _log_choose(n: Any, k: Any) -> Any:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def _worst(
    ticks: npt.NDArray[np.int64], at_risk: npt.NDArray[np.bool_], groups: Sequence[Hashable], sign: int
) -> npt.NDArray[np.int64]:
    """Return the score that errs most of each group's texts of the class at risk."""
    if len(groups) != len(ticks):
        raise DataError(f"there are {len(ticks)} scores and {len(groups)} groups: each text needs both")
    missing = [row for row, group in enumerate(groups) if group is None or group == "" or group != group]
    if missing:
        raise DataError(f"{_rows(missing)}: no group; give a text that stands alone one of its own")
    worst: dict[Hashable, int] = {}
    for place in np.flatnonzero(at_risk).tolist():
        tick = sign * int(ticks[place])
        worst[groups[place]] = min(tick, worst.get(groups[place], tick))
    return sign * np.array(list(worst.values()), dtype=np.int64)


def _check_options(risk: str, level: float, confidence: float, method: str, future_n: int | None) -> None:
    for name, value, known in (("risk", risk, get_args(Risk)), ("method", method, get_args(Method))):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}: expected one of {', '.join(known)}")
    for name, number in (("level", level), ("confidence", confidence)):
        if not 0 < number < 1:
            raise ConfigError(f"{name} is {number}: expected a number between 0 and 1, neither included")
    if future_n is not None and future_n < 0:
        raise ConfigError(f"future_n is {future_n}: expected a whole number of at least 0")


def _checked_scores(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the scores in steps of the seventh decimal."""
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"a score is no number ({error})") from error
    if values.ndim != 1:
        raise DataError(f"scores have the shape {values.shape}: expected one number a text")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))  # NaN compares false
    if len(bad):
        raise DataError(f"{_rows(bad)}: score is {values[bad[0]]:g}, expected a number in [0, 1]")
    return np.rint(values * _TICKS).astype(np.int64)


def _checked_labels(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether each text is harmful."""
    values = np.asarray(labels)
    if values.ndim != 1:
        raise DataError(f"labels have the shape {values.shape}: expected one a text")
    if values.dtype.kind not in "biufO":
        raise DataError(f"labels are {values.dtype}: expected 0 (harmless) or 1 (harmful)")
    bad = np.flatnonzero(~((values == 0) | (values == 1)))
    if len(bad):
        raise DataError(f"{_rows(bad)}: label is {values[bad[0]]!s:.20}, expected 0 (harmless) or 1 (harmful)")
    return np.asarray(values == 1)


def _rows(places: Sequence[int] | npt.NDArray[np.int64]) -> str:
    """Name rows, from 1, and how many more there are."""
    named = ", ".join(str(place + 1) for place in places[:_MOST_ROWS_NAMED])
    more = f" and {len(places) - _MOST_ROWS_NAMED} more" if len(places) > _MOST_ROWS_NAMED else ""
    return f"row{'s' if len(places) > 1 else ''} {named}{more}"


def _too_few(risk: str, unit: str, level: float, confidence: float, method: str, *, need: int, found: int) -> str:
    what = f"{_CLASSES[risk]} texts" if unit == "text" else f"groups with {_CLASSES[risk]} texts"
    sure = f" at {100 * confidence:.6g}% confidence" if method == "clopper-pearson" else " on average"
    way_out = "label more, or allow a higher rate"
    return f"needs at least {need:,} {what} for a bound of {100 * level:.6g}%{sure}: found {found:,}; {way_out}"


def _no_threshold(risk: str, unit: str, level: float, *, alike: int, n: int) -> str:
    end, effect = ("0", "every text fires") if risk == "miss" else ("1", "no text fires")
    return (
        f"{alike:,} of {n:,} {_CLASSES[risk]} {unit}s score {end}, so that a threshold which may {_VERBS[risk]} "
        f"{100 * level:.6g}% of them is one at which {effect}: use other filters, or allow a higher rate"
    )
