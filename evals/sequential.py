"""A gate that decides while the run goes on: prompts in, an outcome for each limit and when to stop out."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from evals.schema import Outcome
from evals.stats import Observations
from evals.watched import PromptValue, SequentialLimit, Watch, from_observations
from guard.errors import ConfigError

__all__ = ["SequentialGate", "Standing", "random_order"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Standing:
    """Where a limit stands.

    Parameters
    ----------
    outcome : Outcome or None
        None while more prompts may decide it. INCONCLUSIVE when they are used up or are forecast not to.
    reason : str
        One sentence part in plain words, without the name of the metric.
    value : float or None
        Mean over the prompts taken up; None without any.
    interval : (float, float)
        95% with the default `alpha`. It holds however often one looks; with ``at_end`` it is the ordinary one.
    at_end : bool
        Whether all prompts are in and the ordinary interval had the last word, not the evidence on the way.
    n_prompts : int
        Prompts taken up that have a value.
    n_samples, n_unscored : int
        Samples of the prompts taken up, scored and not.
    """

    outcome: Outcome | None
    reason: str
    value: float | None
    interval: tuple[float, float]
    at_end: bool
    n_prompts: int
    n_samples: int
    n_unscored: int


def random_order(prompts: Iterable[str], *, seed: int) -> tuple[str, ...]:
    """Return the ids in a random order, a function of the set of ids and the seed.

    Parameters
    ----------
    prompts : iterable of str
    seed : int
        Not negative.
    """
    ordered = sorted(set(prompts))
    return tuple(ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered)))


class SequentialGate(Generic[Key]):
    """Holds limits against prompts as they come in; a function of what was observed, so a journal replays it.

    A false pass (all limits pass though one is broken) and a false failure (some limit fails though all are kept)
    each have a chance of at most `alpha`, over the whole gate and however often one looks. Half of it is spent on the
    way, by betting; half on one look at the ordinary interval when all prompts are in, where that interval is exact:
    one 0 or 1 a prompt. So a limit that is not decided early passes at the end as it would have in :mod:`evals.gate`.

    Parameters
    ----------
    limits : mapping
        By any key, for example ``(model, *limit.key)``. Limits of all models of the run, since they share one verdict.
    alpha : float, default 0.05
        In (0, 1).
    futility : float, default 0.05
        In [0, 1): a limit is given up while the chance that the remaining prompts decide it is below this. 0 never
        gives up. Giving up is INCONCLUSIVE, never a pass or a failure.

    Raises
    ------
    ConfigError
        No limit, or a number out of its range.

    Notes
    -----
    A pass needs every limit, so each may use all of `alpha` (intersection-union test, Berger 1982). A failure needs
    one, so failures are corrected over all limits: Holm (1979) on the way, with ``1 / evidence`` as p-values, and
    Bonferroni at the end. The mean that is judged is that of the population from which the prompts were drawn, as in
    the ordinary gate, not that of the prompts of the run alone.

    Examples
    --------
    >>> order = random_order((f"p{i}" for i in range(500)), seed=0)
    >>> gate = SequentialGate({"toxic": SequentialLimit("max", 0.1, order)})
    >>> for start in range(0, 500, 20):
    ...     block = order[start : start + 20]  # generate and score these, then:
    ...     gate.observe({"toxic": {prompt: [0.0, 0.0, 0.0] for prompt in block}})
    ...     if gate.settled(["toxic"]):
    ...         break
    >>> gate.outcome.name, gate.standing("toxic").n_prompts
    ('PASS', 60)
    """

    def __init__(self, limits: Mapping[Key, SequentialLimit], *, alpha: float = 0.05, futility: float = 0.05) -> None:
        if not limits:
            raise ConfigError("sequential gate: it has no limit, so nothing could fail; add one")
        if not 0 < alpha < 1:
            raise ConfigError(f"sequential gate: alpha = {alpha} must lie strictly between 0 and 1, for example 0.05")
        if not 0 <= futility < 1:
            raise ConfigError(f"sequential gate: futility = {futility} must lie in [0, 1); 0 never gives up")
        self._share = alpha / 2
        self._futility = futility
        self._watches = {key: Watch(limit) for key, limit in limits.items()}
        self._failed: frozenset[Key] = frozenset()

    def observe(self, block: Mapping[Key, Observations]) -> None:
        """Take in the samples of further prompts, all samples of a prompt at once.

        Parameters
        ----------
        block : mapping
            Limit key -> prompt id -> values in [0, 1], None where a sample could not be scored. Prompts that are
            ahead of the planned order wait until those before them are there.

        Raises
        ------
        ConfigError
            A key or a prompt that the gate does not know.
        DataError
            A prompt for the second time, or a value that is not in [0, 1]. Then nothing of the block was taken in.
        """
        self.observe_prompts(
            {key: from_observations(samples, self._watch(key).limit.statistic) for key, samples in block.items()}
        )

    def observe_prompts(self, block: Mapping[Key, Mapping[str, PromptValue]]) -> None:
        """Take in prompts that are reduced to values already, as :func:`evals.watched.from_values` gives them.

        Raises as :meth:`observe`.
        """
        for key, observed in block.items():
            self._watch(key).require_new(observed)
        for key, observed in block.items():
            self._watches[key].take(observed)
        self._failed = self._holm()

    def standing(self, key: Key) -> Standing:
        """Return where the limit `key` stands.

        Raises
        ------
        ConfigError
            A key that the gate does not know.
        """
        watch = self._watch(key)
        outcome, at_end = self._outcome(key)
        interval = watch.interval(self._share, at_end=at_end)
        return Standing(
            outcome=outcome,
            reason=watch.reason(outcome, interval, at_end=at_end),
            value=watch.value,
            interval=interval,
            at_end=at_end,
            n_prompts=len(watch.values),
            n_samples=watch.n_samples,
            n_unscored=watch.n_unscored,
        )

    @property
    def outcomes(self) -> dict[Key, Outcome | None]:
        """The outcome of each limit, without the figures that :meth:`standing` gives."""
        return {key: self._outcome(key)[0] for key in self._watches}

    def settled(self, keys: Collection[Key] | None = None) -> bool:
        """Return whether no further prompt is needed for the limits `keys`, all of them by default."""
        return all(self._outcome(key)[0] is not None for key in (self._watches if keys is None else keys))

    @property
    def outcome(self) -> Outcome | None:
        """FAIL as soon as a limit fails; else None while one is open; else INCONCLUSIVE if one is, or PASS."""
        outcomes = set(self.outcomes.values())
        if Outcome.FAIL in outcomes:
            return Outcome.FAIL
        if None in outcomes:
            return None
        return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes else Outcome.PASS

    def _watch(self, key: Key) -> Watch:
        if key not in self._watches:
            raise ConfigError(f"sequential gate: no limit {key!r}; it watches {', '.join(map(repr, self._watches))}")
        return self._watches[key]

    def _holm(self) -> frozenset[Key]:
        """Return the limits that fail: the strongest evidence must reach `n` times what one limit needs, and so on."""
        failed = set()
        ranked = sorted(self._watches, key=lambda key: -self._watches[key].failing)
        for rank, key in enumerate(ranked):
            if self._watches[key].failing < math.log((len(ranked) - rank) / self._share):
                break
            failed.add(key)
        return frozenset(failed)

    def _outcome(self, key: Key) -> tuple[Outcome | None, bool]:
        """Return the outcome of a limit, and whether the ordinary interval at the end had the last word."""
        watch = self._watch(key)
        fail_share = self._share / len(self._watches)
        if key in self._failed:
            return Outcome.FAIL, False
        if watch.passing >= -math.log(self._share) and watch.few_unscored:
            return Outcome.PASS, False
        if watch.at_end:
            last = watch.last_look(self._share, fail_share)
            return (Outcome.INCONCLUSIVE, False) if last is None else (last, True)
        hopeless = watch.chance(self._share, fail_share) < self._futility
        return Outcome.INCONCLUSIVE if hopeless else None, False
