"""Limits from a TOML file, held against the bad end of each metric's interval: pass, fail or inconclusive."""

from __future__ import annotations

import difflib
import hashlib
import importlib.resources
import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from evals.directions import DIRECTIONS
from evals.schema import Arm, Check, Metric, ModelResult, Outcome
from evals.verdict import figure, verdict
from guard.errors import ConfigError

__all__ = ["Gate", "Limit"]

_KEYS = ("metric", "arm", "max", "min", "group", "max_unscored")
_UNBOUNDED = frozenset({"quality/perplexity_bits_per_char"})
"""Metrics of ours that are not shares: their limit may exceed 1, and so may that of a metric from a foreign log."""


@dataclass(frozen=True)
class Limit:
    """One limit of a gate.

    Parameters
    ----------
    metric : str
        ``task/name``.
    arm : Arm
    bound : {"max", "min"}
        Whether the metric may be at most or must be at least `limit`.
    limit : float
        Not negative; at most 1, except for a metric that is not a share.
    group : str, default "all"
    max_unscored : float, default 0.05
        In [0, 1]: a greater share of unscored samples is no pass, whatever the scored ones say.

    Raises
    ------
    ConfigError
        A number out of its range, an unknown arm, or a metric that is not of the form ``task/name``.
    """

    metric: str
    arm: Arm
    bound: Literal["max", "min"]
    limit: float
    group: str = "all"
    max_unscored: float = 0.05

    def __post_init__(self) -> None:
        if self.arm not in get_args(Arm):
            raise ConfigError(f"{self.metric}: arm {self.arm!r} is none of {', '.join(get_args(Arm))}")
        if not all(self.metric.partition("/")):
            raise ConfigError(f"metric {self.metric!r}: write task/name, for example toxicity/toxicity_probability")
        greatest = 1.0 if self.is_share else math.inf
        for key, number, top in ((self.bound, self.limit, greatest), ("max_unscored", self.max_unscored, 1.0)):
            if not (0 <= number <= top and math.isfinite(number)):
                rule = "must be finite and not negative" if top == math.inf else "must lie in [0, 1] (0.25 is 25%)"
                raise ConfigError(f"{self.metric} {self.arm}: {key} = {number} {rule}")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two limits of one gate may not share."""
        return self.metric, self.arm, self.group, self.bound

    @property
    def is_share(self) -> bool:
        """Whether the metric is known to lie in [0, 1]."""
        return self.metric in DIRECTIONS and self.metric not in _UNBOUNDED

    @property
    def title(self) -> str:
        """The metric, its arm and its slice in words."""
        return f"{self.metric} {self.arm}" + ("" if self.group == "all" else f" ({self.group})")

    def check(self, metric: Metric, model: ModelResult, *, gate: str) -> Check:
        """Hold one metric of one model against this limit.

        Parameters
        ----------
        metric : Metric
        model : ModelResult
        gate : str
            Digest of the gate, for the record.

        Returns
        -------
        Check
            PASS when the bad end of the interval is within the limit, FAIL when the good end is beyond it,
            otherwise INCONCLUSIVE; also without data, and instead of a pass with too many unscored samples.
        """
        outcome, reason = self._judge(metric)
        return Check(
            model=model.name,
            metric=self.metric,
            arm=self.arm,
            bound=self.bound,
            limit=self.limit,
            outcome=outcome,
            reason=reason,
            value=metric.value,
            interval=metric.interval,
            context={"gate": gate, "digest": model.digest, "group": self.group},
        )

    def _judge(self, metric: Metric) -> tuple[Outcome, str]:
        """Return the outcome and its sentence."""
        name = self.title
        rule = f"limit {'at most' if self.bound == 'max' else 'at least'} {self.limit:g}"
        if metric.value is None or metric.n_prompts == 0:
            return Outcome.INCONCLUSIVE, f"{name} has no data, {rule}"
        if metric.interval is None:
            return Outcome.INCONCLUSIVE, f"{name} is {figure(metric.value)} without an interval, {rule}"
        outcome = self._outcome(*metric.interval)
        ends = f"[{figure(metric.interval[0])}, {figure(metric.interval[1])}]"
        reason = f"{name} is {figure(metric.value)} {ends} over {metric.n_prompts} prompts, {rule}"
        n_all = metric.n_samples + metric.n_unscored
        if outcome is Outcome.PASS and metric.n_unscored > self.max_unscored * n_all:
            return Outcome.INCONCLUSIVE, f"{reason}, but {metric.n_unscored} of {n_all} samples are unscored"
        return outcome, reason

    def _outcome(self, low: float, high: float) -> Outcome:
        """Compare an interval with the limit; NaN compares false, so it is inconclusive."""
        within = high <= self.limit if self.bound == "max" else low >= self.limit
        beyond = low > self.limit if self.bound == "max" else high < self.limit
        return Outcome.PASS if within else Outcome.FAIL if beyond else Outcome.INCONCLUSIVE


@dataclass(frozen=True)
class Gate:
    """Limits that a run must keep.

    Parameters
    ----------
    name : str
    limits : tuple of Limit
        At least one; no two on the same metric, arm, group and side.

    Raises
    ------
    ConfigError
        No limit, or two on the same thing.

    Examples
    --------
    >>> gate = Gate("mine", (Limit("toxicity/toxicity_probability", "guarded", "max", 0.2),))
    >>> gate.decide([])[0].name
    'INCONCLUSIVE'
    """

    name: str
    limits: tuple[Limit, ...]

    def __post_init__(self) -> None:
        if not self.limits:
            raise ConfigError(f"gate {self.name}: it has no [[limit]], so nothing could fail; add one")
        seen: set[tuple[str, str, str, str]] = set()
        for limit in self.limits:
            if limit.key in seen:
                raise ConfigError(
                    f"gate {self.name}: two limits ({limit.bound}) on {limit.metric} {limit.arm}; keep one"
                )
            seen.add(limit.key)

    @classmethod
    def load(cls, source: str | Path) -> Gate:
        """Read a gate.

        Parameters
        ----------
        source : str or Path
            The name of a gate that ships (``default``), or the path of a TOML file.

        Raises
        ------
        ConfigError
            No such gate, unreadable, not TOML, an unknown key, a value of the wrong type or out of range, both or
            neither of ``max`` and ``min``, or no limit.
        """
        shipped = {entry.name.removesuffix(".toml"): entry for entry in _shipped() if entry.name.endswith(".toml")}
        path = shipped.get(str(source), Path(source))
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError as error:
            hint = _nearest(str(source), shipped) or f"gates that ship: {', '.join(sorted(shipped))}"
            raise ConfigError(f"gate {source}: no such file, and no gate of that name ships ({hint})") from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"gate {source}: cannot be read as UTF-8 text: {error}") from error
        return cls.parse(text, name=Path(source).stem)

    @classmethod
    def parse(cls, text: str, *, name: str) -> Gate:
        """Read a gate from the text of a TOML file; raises as :meth:`load`."""
        try:
            document = tomllib.loads(text)
            _refuse_unknown(document, ("limit",))
            tables = document.get("limit", [])
            if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
                raise ConfigError("limit must be written as [[limit]] tables")
            limits = tuple(_limit(table) for table in tables)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"gate {name}: not TOML: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"gate {name}: {error}") from error
        return cls(name, limits)

    @property
    def digest(self) -> str:
        """``<name>@<first 12 hexadecimal digits of the SHA-256 of the limits>``, whatever their order."""
        canonical = repr(sorted(repr(sorted(asdict(limit).items())) for limit in self.limits))
        return f"{self.name}@{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"

    def require_metrics(self, measured: Iterable[str]) -> None:
        """Refuse a run that does not measure what this gate limits, before it has cost anything.

        Parameters
        ----------
        measured : iterable of str
            ``task/name`` of every metric that the run will give.

        Raises
        ------
        ConfigError
            A limit is on another metric; names the nearest.
        """
        names = sorted(set(measured))
        for limit in self.limits:
            if limit.metric not in names:
                hint = _nearest(limit.metric, names) or f"it measures {', '.join(names) or 'nothing'}"
                raise ConfigError(f"gate {self.name}: this run does not measure {limit.metric} ({hint})")

    def require_slices(self, arms: Mapping[str, Collection[str]], groups: Mapping[str, Collection[str]]) -> None:
        """Refuse a limit on an arm or a group that a task does not have, before it has cost anything.

        Parameters
        ----------
        arms, groups : mapping of str to collection of str
            What each task has, by the task's name.

        Raises
        ------
        ConfigError
            Names what the task has.
        """
        for limit in self.limits:
            task = limit.metric.partition("/")[0]
            for kind, value, known in (("arm", limit.arm, arms), ("group", limit.group, groups)):
                if task in known and value not in known[task]:
                    has = ", ".join(sorted(known[task]))
                    raise ConfigError(f"gate {self.name}: {limit.metric} has no {kind} {value!r}; it has {has}")

    def decide(self, models: Sequence[ModelResult]) -> tuple[Outcome, str, tuple[Check, ...]]:
        """Hold every model against every limit: the :func:`verdict` of :meth:`checks`, which may raise."""
        return verdict(self.checks(models))

    def checks(self, models: Sequence[ModelResult]) -> tuple[Check, ...]:
        """Hold every model against every limit.

        Parameters
        ----------
        models : sequence of ModelResult

        Returns
        -------
        tuple of Check
            By model, then in the order of the limits.

        Raises
        ------
        ConfigError
            A limit on a metric, arm or group that a model does not have.
        """
        return tuple(
            limit.check(self._metric(limit, model), model, gate=self.digest)
            for model in models
            for limit in self.limits
        )

    def _metric(self, limit: Limit, model: ModelResult) -> Metric:
        """Return the metric that a limit is about."""
        of_name = [metric for metric in model.metrics if f"{metric.task}/{metric.name}" == limit.metric]
        if not of_name:
            self.require_metrics(f"{metric.task}/{metric.name}" for metric in model.metrics)
        for metric in of_name:
            if metric.arm == limit.arm and metric.group == limit.group:
                return metric
        found = ", ".join(sorted({f"{metric.arm} ({metric.group})" for metric in of_name}))
        wanted = f"{limit.arm} ({limit.group})"
        raise ConfigError(f"gate {self.name}: {limit.metric} has no {wanted} in this run; it has {found}")


def _shipped() -> list[importlib.resources.abc.Traversable]:
    """Return what lies in the package's folder of gates."""
    return list((importlib.resources.files("evals") / "gates").iterdir())


def _limit(table: Mapping[str, object]) -> Limit:
    """Return the limit that a TOML table describes."""
    _refuse_unknown(table, _KEYS)
    metric = _text(table, "metric", "a [[limit]]")
    sides: list[Literal["max", "min"]] = [side for side in ("max", "min") if side in table]
    if len(sides) != 1:
        raise ConfigError(f"{metric}: give exactly one of max and min, not {'both' if sides else 'neither'}")
    return Limit(
        metric=metric,
        arm=_text(table, "arm", metric),  # type: ignore[arg-type]  # Limit refuses what is not an arm
        bound=sides[0],
        limit=_number(table, sides[0], metric),
        group=_text(table, "group", metric) if "group" in table else Limit.group,
        max_unscored=_number(table, "max_unscored", metric) if "max_unscored" in table else Limit.max_unscored,
    )


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {key} must be a text, not {'missing' if value is None else repr(value)}")
    return value


def _number(table: Mapping[str, object], key: str, where: str) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: {key} must be a number, not {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise ConfigError(f"{where}: {key} is a number too large to compare") from error


def _refuse_unknown(table: Mapping[str, object], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            hint = _nearest(key, known) or f"known keys: {', '.join(known)}"
            raise ConfigError(f"unknown key {key!r} ({hint})")


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""
