"""What was seen of one limit of a sequential gate: prompts in the planned order, and what they show so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from evals.betting import Side, last_interval, log_evidence
from evals.forecast import chance_to_decide
from evals.intervals import bounded_mean_interval
from evals.schema import Outcome
from evals.stats import Observations
from evals.values import Value
from guard.errors import ConfigError, DataError

__all__ = ["PromptValue", "SequentialLimit", "Watch", "from_observations", "from_values"]

_FORECAST_EVERY = 10
"""Prompts between two forecasts. At fixed counts, so that a stop does not depend on how the prompts were batched."""

_SHOWN = {"max": "at most", "min": "at least"}


class PromptValue(NamedTuple):
    """What one prompt gave: its value, None where nothing was scored, and its samples scored and not.

    A prompt of the run that does not count for the limit has no value and no samples.
    """

    value: float | None
    n_scored: int
    n_unscored: int


@dataclass(frozen=True)
class SequentialLimit:
    """One limit that is watched while the prompts come in.

    Parameters
    ----------
    bound : {"max", "min"}
    limit : float
        In [0, 1].
    prompts : tuple of str
        The ids of all prompts of the run that may count for this limit, in the order of
        :func:`evals.sequential.random_order`. They are taken up in this order, whatever order they are observed in.
    max_unscored : float, default 0.05
        In [0, 1]: a greater share of unscored samples is no pass.
    statistic : callable, optional
        From the values of each prompt to one, such as :func:`evals.stats.prompt_any`. By default their mean counts.

    Raises
    ------
    ConfigError
        A number out of its range, no prompt, or a prompt twice.
    """

    bound: Literal["max", "min"]
    limit: float
    prompts: tuple[str, ...]
    max_unscored: float = 0.05
    statistic: Callable[[Observations], Observations] | None = None

    def __post_init__(self) -> None:
        for name, number in ((self.bound, self.limit), ("max_unscored", self.max_unscored)):
            if not 0 <= number <= 1:
                raise ConfigError(f"sequential limit: {name} = {number} must lie in [0, 1]; others wait for the end")
        if not self.prompts or len(set(self.prompts)) < len(self.prompts):
            raise ConfigError("sequential limit: name every prompt of the run once, and at least one")

    @property
    def good_side(self) -> Side:
        """Where the mean lies in a pass."""
        return "below" if self.bound == "max" else "above"

    @property
    def bad_side(self) -> Side:
        """Where the mean lies in a failure."""
        return "above" if self.bound == "max" else "below"


class Watch:
    """What was seen of one limit.

    Parameters
    ----------
    limit : SequentialLimit

    Attributes
    ----------
    values : list of float
        Of the prompts taken up that have one, in the planned order.
    n_taken, n_samples, n_unscored : int
        Prompts taken up, and their samples scored and not.
    passing, failing : float
        Logarithm of the strongest evidence so far that the mean is on the good or on the bad side of the limit.
    """

    def __init__(self, limit: SequentialLimit) -> None:
        self.limit = limit
        self.values: list[float] = []
        self.n_taken = self.n_samples = self.n_unscored = 0
        self.passing = self.failing = -math.inf
        self._forecast = (0, 1.0)
        self._places: list[int] = []  # for each value, how many prompts were taken up by then
        self._known = frozenset(limit.prompts)
        self._waiting: dict[str, PromptValue] = {}
        self._seen: set[str] = set()

    def require_new(self, prompts: Iterable[str]) -> None:
        """Refuse a prompt that was not planned or was there before.

        Raises
        ------
        ConfigError, DataError
        """
        for prompt in prompts:
            if prompt not in self._known:
                raise ConfigError(f"sequential gate: prompt {prompt} is none of the planned prompts of its limit")
            if prompt in self._seen:
                raise DataError(f"sequential gate: prompt {prompt} was observed before; give all its samples at once")

    def take(self, observed: Mapping[str, PromptValue]) -> None:
        """Take up the prompts whose turn has come, and keep the others until theirs comes."""
        self._waiting |= observed
        self._seen |= observed.keys()
        n_before = len(self.values)
        while not self.at_end and self.limit.prompts[self.n_taken] in self._waiting:
            one = self._waiting.pop(self.limit.prompts[self.n_taken])
            self.n_taken += 1
            if one.value is not None:
                self.values.append(one.value)
                self._places.append(self.n_taken)
            self.n_samples += one.n_scored
            self.n_unscored += one.n_unscored
        if len(self.values) > n_before:
            self.passing, self.failing = (
                float(log_evidence(self.values, self.limit.limit, side=side).max())
                for side in (self.limit.good_side, self.limit.bad_side)
            )

    @property
    def at_end(self) -> bool:
        """Whether every prompt was taken up."""
        return self.n_taken == len(self.limit.prompts)

    @property
    def few_unscored(self) -> bool:
        """Whether the share of unscored samples allows a pass."""
        return self.n_unscored <= self.limit.max_unscored * (self.n_samples + self.n_unscored)

    @property
    def value(self) -> float | None:
        """Mean over the prompts taken up."""
        return math.fsum(self.values) / len(self.values) if self.values else None

    def interval(self, share: float, *, at_end: bool) -> tuple[float, float]:
        """Return the bounds of which each errs by `share`: for one look at the end, or else for any number of looks."""
        if not at_end or not self.values:
            return last_interval(self.values, level=1 - 2 * share)
        low, high = bounded_mean_interval(self.values, level=1 - 2 * share)
        return float(low), float(high)

    def last_look(self, pass_share: float, fail_share: float) -> Outcome | None:
        """Hold the limit against the ordinary interval, where it is exact (one 0 or 1 a prompt); else None."""
        if not self.values or any(value not in (0, 1) for value in self.values):
            return None
        limit, below = self.limit.limit, self.limit.bound == "max"
        low, high = self.interval(pass_share, at_end=True)
        if self.few_unscored and (high <= limit if below else low >= limit):
            return Outcome.PASS
        low, high = self.interval(fail_share, at_end=True)
        return Outcome.FAIL if (low > limit if below else high < limit) else Outcome.INCONCLUSIVE

    def chance(self, pass_share: float, fail_share: float) -> float:
        """Forecast, as of the last full ten prompts, whether the others may still decide; 1 before the first ten."""
        n_seen = len(self.values) // _FORECAST_EVERY * _FORECAST_EVERY
        if self._forecast[0] != n_seen:
            alpha = {self.limit.good_side: pass_share, self.limit.bad_side: fail_share}
            # Of the prompts that are left, as many have a value as of those that were taken up.
            n_taken = self._places[n_seen - 1]
            n_pool = n_seen + round((len(self.limit.prompts) - n_taken) * n_seen / n_taken)
            found = chance_to_decide(self.values[:n_seen], self.limit.limit, n_pool=n_pool, alpha=alpha)
            self._forecast = n_seen, found
        return self._forecast[1]

    def reason(self, outcome: Outcome | None, interval: tuple[float, float], *, at_end: bool) -> str:
        """Return the standing in words."""
        rule = f"limit {_SHOWN[self.limit.bound]} {self.limit.limit:g}"
        if self.value is None:
            return f"no data, {rule}"
        ends = f"[{interval[0]:.3g}, {interval[1]:.3g}]"
        valued = "" if len(self.values) == self.n_taken else f" ({len(self.values)} with a value)"
        text = f"is {self.value:.3g} {ends} after {self.n_taken} of {len(self.limit.prompts)} prompts{valued}, {rule}"
        if outcome in (Outcome.PASS, Outcome.FAIL):
            return f"{text}: decided {'at the end' if at_end else 'early'}"
        if not self.few_unscored:
            n_all = self.n_samples + self.n_unscored
            text += f", but {self.n_unscored} of {n_all} samples are unscored"
        if outcome is None:
            return f"{text}: open"
        return f"{text}: {'not decided' if self.at_end else 'the remaining prompts are unlikely to decide it'}"


def from_observations(
    observed: Observations, statistic: Callable[[Observations], Observations] | None = None
) -> dict[str, PromptValue]:
    """Reduce the samples of each prompt to its value.

    Raises
    ------
    DataError
        A value that is not in [0, 1].
    """
    reduced = observed if statistic is None else statistic(observed)
    return {
        prompt: PromptValue(_mean(prompt, values), *_counted(observed[prompt])) for prompt, values in reduced.items()
    }


def from_values(values: Iterable[Value], *, prompts: Iterable[str] = (), group: str = "all") -> dict[str, PromptValue]:
    """Gather the values of each prompt from what a task's figures carry (:attr:`evals.figures.Figures.values`).

    Parameters
    ----------
    values : iterable of Value
        Of one series: of the samples, or of the prompts where the metric reduces them.
    prompts : iterable of str, optional
        All that ran; those without a value do not count for the limit.
    group : str, default "all"
        Only those of this slice.

    Raises
    ------
    DataError
        A value that is not in [0, 1].
    """
    gathered: dict[str, list[Value]] = {prompt: [] for prompt in prompts}
    for value in values:
        if group in ("all", value.group):
            gathered.setdefault(value.prompt_id, []).append(value)
    return {
        prompt: PromptValue(
            _mean(prompt, [one.value for one in ones]),
            sum(one.n_samples - one.n_unscored for one in ones),
            sum(one.n_unscored for one in ones),
        )
        for prompt, ones in gathered.items()
    }


def _mean(prompt: str, values: Iterable[float | None]) -> float | None:
    """Return the mean of the scored values, None without any."""
    scored = [value for value in values if value is not None]
    if any(not 0 <= value <= 1 for value in scored):
        raise DataError(f"prompt {prompt} has a value outside [0, 1]: such a metric has no early verdict")
    return math.fsum(scored) / len(scored) if scored else None


def _counted(values: Iterable[float | None]) -> tuple[int, int]:
    """Return how many values are there and how many are not."""
    there = [value is not None for value in values]
    return sum(there), len(there) - sum(there)
