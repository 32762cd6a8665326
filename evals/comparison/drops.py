"""Allowed drops: how much worse a metric may become, held against the bad end of the paired interval."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast, get_args

from evals.comparison.effects import ALL, Effect
from evals.directions import Direction
from evals.schema import Arm, Check, Outcome
from guard.errors import ConfigError

__all__ = ["Drop", "check_drops", "parse_drop", "require_direction", "require_known", "worst_outcome"]

_FORM = "write METRIC=DROP or METRIC@ARM=DROP, for example toxicity/toxicity_probability@guarded=0.03"


@dataclass(frozen=True)
class Drop:
    """How much worse a metric may become.

    Parameters
    ----------
    metric : str
        ``task/metric``.
    drop : float
        In the metric's own unit: 0.03 is three points of a share. Not negative.
    arm : Arm or None
        None: every arm that was compared.
    group : str, default "all"
    max_unscored : float, default 0.05
        In [0, 1]: a greater share of unscored samples on either side is no pass.

    Raises
    ------
    ConfigError
        A number out of range, or an unknown arm.
    """

    metric: str
    drop: float
    arm: Arm | None = None
    group: str = ALL
    max_unscored: float = 0.05

    def __post_init__(self) -> None:
        if not (self.drop >= 0 and math.isfinite(self.drop)):
            raise ConfigError(f"allowed drop {self.metric} = {self.drop}: must be finite and not negative")
        if not 0 <= self.max_unscored <= 1:
            raise ConfigError(f"allowed drop {self.metric}: max_unscored = {self.max_unscored} must lie in [0, 1]")
        if self.arm is not None and self.arm not in get_args(Arm):
            raise ConfigError(f"allowed drop {self.metric}: arm {self.arm!r} is none of {', '.join(get_args(Arm))}")

    def check(self, effect: Effect, *, model: str, baseline: str, confounded: str = "") -> Check:
        """Hold one effect against the allowed drop.

        Parameters
        ----------
        effect : Effect
        model, baseline : str
            What was measured, and against what.
        confounded : str
            Why the difference says nothing about the model; empty where nothing does.

        Returns
        -------
        Check
            Value and interval are the change for the worse: positive is worse. PASS when the whole interval is within
            the drop, FAIL when all of it is beyond, else INCONCLUSIVE; also without data, with too many unscored
            samples, and where the sides were not measured alike.
        """
        value, interval = _worsening(effect)
        outcome, reason = self._judge(effect, value, interval)
        if confounded and outcome is not Outcome.INCONCLUSIVE:
            outcome, reason = Outcome.INCONCLUSIVE, f"{reason}, but {confounded}"
        return Check(
            model=model,
            metric=f"{effect.name} vs baseline",
            arm=effect.arm,
            bound="max",
            limit=self.drop,
            outcome=outcome,
            reason=reason,
            value=value,
            interval=interval,
            context={"baseline": baseline, "metric": effect.name, "group": effect.group},
        )

    def _judge(self, effect: Effect, value: float | None, interval: tuple[float, float] | None) -> tuple[Outcome, str]:
        name = f"{effect.name} {effect.arm}" + ("" if effect.group == ALL else f" ({effect.group})")
        rule = f"allowed drop {self.drop:g}"
        if value is None:
            return Outcome.INCONCLUSIVE, f"{name} has no prompt that both runs scored, {rule}"
        if interval is None:
            return Outcome.INCONCLUSIVE, f"{name} is {_worse(value)} without an interval, {rule}"
        low, high = interval
        outcome = Outcome.INCONCLUSIVE
        if high <= self.drop:
            outcome = Outcome.PASS
        elif low > self.drop:
            outcome = Outcome.FAIL
        ends = f"[{low:+.3f}, {high:+.3f}]"
        reason = f"{name} is {_worse(value)} {ends} over {effect.n_prompts} shared prompts, {rule}"
        if outcome is Outcome.PASS and effect.unscored > self.max_unscored:
            return Outcome.INCONCLUSIVE, f"{reason}, but {effect.unscored:.0%} of its samples are unscored"
        return outcome, reason


def _worse(value: float) -> str:
    return "unchanged" if value == 0 else f"{abs(value):.3f} {'worse' if value > 0 else 'better'}"


def _worsening(effect: Effect) -> tuple[float | None, tuple[float, float] | None]:
    """Return the effect as a change for the worse."""
    direction = Direction(effect.better)
    if effect.value is None:
        return None, None
    value = direction.worsening(effect.value) + 0.0  # never minus zero
    if effect.interval is None:
        return value, None
    low, high = sorted(direction.worsening(end) + 0.0 for end in effect.interval)
    return value, (low, high)


def parse_drop(text: str) -> Drop:
    """Read ``METRIC[@ARM]=DROP``.

    Raises
    ------
    ConfigError
        Not of that form, or as :class:`Drop`.
    """
    name, equals, number = text.rpartition("=")
    metric, at, arm = name.partition("@")
    try:
        drop = float(number)
    except ValueError as error:
        raise ConfigError(f"allowed drop {text!r}: {_FORM}") from error
    if not (equals and all(metric.partition("/"))) or (at and not arm):
        raise ConfigError(f"allowed drop {text!r}: {_FORM}")
    return Drop(metric, drop, cast(Arm, arm) if at else None)


def require_known(drops: Iterable[Drop], measured: Iterable[tuple[str, Arm]]) -> None:
    """Refuse a drop that nothing could be held against, before it has cost anything.

    Parameters
    ----------
    drops : iterable of Drop
    measured : iterable of (str, Arm)
        ``task/metric`` and arm of what the run gives.

    Raises
    ------
    ConfigError
        Names the nearest metric, or the arms that there are.
    """
    arms: dict[str, set[str]] = {}
    for name, arm in measured:
        arms.setdefault(name, set()).add(arm)
    for drop in drops:
        if drop.metric not in arms:
            near = difflib.get_close_matches(drop.metric, arms, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(arms)) or 'none'}"
            raise ConfigError(f"allowed drop: no metric {drop.metric} to compare ({hint})")
        if drop.arm is not None and drop.arm not in arms[drop.metric]:
            raise ConfigError(
                f"allowed drop: {drop.metric} has no arm {drop.arm}; it has {', '.join(sorted(arms[drop.metric]))}"
            )


def require_direction(drop: Drop, better: str) -> None:
    """Refuse a drop of a metric of which nobody knows which way is worse."""
    if not better:
        raise ConfigError(f"allowed drop: {drop.metric} has no better and no worse direction; leave it out")


def check_drops(
    drops: Sequence[Drop],
    found: Sequence[Effect],
    *,
    model: str,
    baseline: str,
    confounded: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Check, ...]:
    """Hold effects against every allowed drop, in the order of the drops.

    Parameters
    ----------
    drops : sequence of Drop
    found : sequence of Effect
    model, baseline : str
    confounded : mapping of str to str
        From a task to why a difference of its figures says nothing about the model.

    Raises
    ------
    ConfigError
        As :func:`require_known` and :func:`require_direction`, or a group that was not compared.
    """
    require_known(drops, [(effect.name, effect.arm) for effect in found])
    for drop in drops:
        require_direction(drop, next(effect.better for effect in found if effect.name == drop.metric))
    return tuple(
        drop.check(
            effect,
            model=model,
            baseline=baseline,
            confounded=confounded.get(effect.task, ""),
        )
        for drop in drops
        for effect in _matching(drop, found)
    )


def _matching(drop: Drop, found: Sequence[Effect]) -> Iterator[Effect]:
    named = [effect for effect in found if effect.name == drop.metric and drop.arm in (None, effect.arm)]
    matching = [effect for effect in named if effect.group == drop.group]
    if not matching:
        groups = ", ".join(sorted({effect.group for effect in named}))
        raise ConfigError(f"allowed drop: {drop.metric} has no group {drop.group!r} in both runs; it has {groups}")
    yield from matching


def worst_outcome(checks: Iterable[Check]) -> Outcome:
    """Return FAIL if any check fails, else INCONCLUSIVE if any is or there is none, else PASS."""
    outcomes = {check.outcome for check in checks}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.INCONCLUSIVE
