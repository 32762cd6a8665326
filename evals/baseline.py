"""A baseline: an earlier run and how much worse than it each metric may become, as checks beside those of the gate."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evals.compare import compare
from evals.comparison.drops import Drop, parse_drop, require_direction, require_known, worst_outcome
from evals.comparison.sides import Side, side_of
from evals.comparison.texts import Texts
from evals.directions import direction_of
from evals.schema import Arm, Check, Outcome
from evals.values import FILE, ModelValues, RunValues, read_values
from guard.errors import ConfigError, DataError, UsageError

__all__ = ["Baseline", "joined"]

_KEYS = ("run", "model", "drop")
_DROP_KEYS = ("metric", "max", "arm", "group", "max_unscored")
_WORDS = {Outcome.PASS: "Pass", Outcome.FAIL: "Fail", Outcome.INCONCLUSIVE: "Inconclusive"}
_NAMED = 3
"""How many checks a sentence names."""


@dataclass(frozen=True)
class Baseline:
    """An earlier run with the allowed drops.

    Parameters
    ----------
    run : str
        As the user named it.
    folder : pathlib.Path
        Where its journal is.
    values : RunValues
    drops : tuple of Drop
        At least one.
    model : str or None
        Which of its models; None takes its only one, or the one of the same name.

    Raises
    ------
    ConfigError
        No drop, or two for the same thing.
    """

    run: str
    folder: Path
    values: RunValues
    drops: tuple[Drop, ...]
    model: str | None = None

    def __post_init__(self) -> None:
        if not self.drops:
            raise ConfigError(
                f"baseline {self.run}: no allowed drop, so nothing could fail; give --max-drop METRIC=0.03, or a"
                " TOML file with [[drop]] tables"
            )
        seen: set[tuple[str, Arm | None, str]] = set()
        for drop in self.drops:
            key = (drop.metric, drop.arm, drop.group)
            if key in seen:
                raise ConfigError(f"baseline {self.run}: two allowed drops for {drop.metric}; keep one")
            seen.add(key)

    @classmethod
    def load(cls, source: Path, *, max_drops: Sequence[str] = ()) -> Baseline:
        """Read a baseline.

        Parameters
        ----------
        source : pathlib.Path
            The folder of a run, its ``values.jsonl``, or a TOML file that names one and has ``[[drop]]`` tables.
        max_drops : sequence of str
            ``METRIC[@ARM]=DROP`` each, besides those of the file.

        Raises
        ------
        ConfigError
            Not TOML, an unknown key, a wrong type, a number out of range, or no drop at all.
        DataError
            The run has no values.
        """
        inline = tuple(map(parse_drop, max_drops))
        if source.suffix.lower() != ".toml" or source.is_dir():
            return cls._of(str(source), source, inline)
        table = _read_toml(source)
        named = _text(table, "run", f"baseline {source}")
        run = source.parent / named
        drops = (*_drops(table, source), *inline)
        model = _text(table, "model", f"baseline {source}") if "model" in table else None
        return replace(cls._of(named, run, drops), model=model)

    @classmethod
    def _of(cls, name: str, run: Path, drops: tuple[Drop, ...]) -> Baseline:
        return cls(name, run if run.is_dir() else run.parent, read_values(run), drops)

    @property
    def digest(self) -> str:
        """``<run>@<first 12 hexadecimal digits of the SHA-256>`` of what ran and of the drops, for the provenance."""
        told = repr((sorted(self.values.identity.items()), [m.digest for m in self.values.models]))
        drops = repr(sorted(repr(sorted(asdict(drop).items(), key=lambda item: item[0])) for drop in self.drops))
        return f"{Path(self.run).name}@{hashlib.sha256((told + drops).encode()).hexdigest()[:12]}"

    def require(self, measured: Mapping[str, Iterable[Arm]], models: Iterable[str]) -> None:
        """Refuse what could not be compared, before the run has cost anything.

        Parameters
        ----------
        measured : mapping of str to iterable of Arm
            ``task/metric`` of everything that the run will give, and its arms.
        models : iterable of str
            Names of the models that will run.

        Raises
        ------
        ConfigError
            A drop on a metric or arm that the run will not give, or that the baseline does not have.
        DataError
            The baseline has several models, and none of that name.
        """
        require_known(self.drops, [(name, arm) for name, arms in measured.items() for arm in arms])
        for name in models:
            known = self._model(name).series
            require_known(self.drops, [(series.name, series.arm) for series in known])
            said = {series.name: series.better for series in known}
            for drop in self.drops:
                require_direction(drop, direction_of(drop.metric, better=said[drop.metric]).better)

    def checks(
        self, models: Sequence[ModelValues], identity: Mapping[str, str], *, folder: Path, level: float = 0.95
    ) -> tuple[Check, ...]:
        """Hold every model of a new run against the baseline.

        Parameters
        ----------
        models : sequence of ModelValues
            Of the new run.
        identity : mapping of str to str
            Of the new run, as in the header of its journal.
        folder : pathlib.Path
            Where its journal is.
        level : float

        Returns
        -------
        tuple of Check
            By model, then in the order of the drops. INCONCLUSIVE where nothing could be paired: the new run has been
            made by now, and its report must not be lost for it.
        """
        found: list[Check] = []
        for model in models:
            after = Side("this run", model, identity, Texts(folder / "journal.jsonl", model.digest))
            try:
                before = self.side(model.name)
                found += compare(before, after, level=level, drops=self.drops, examples=0).checks
            except UsageError as error:
                found += [self._open(drop, model, str(error)) for drop in self.drops]
        return tuple(found)

    def side(self, name: str) -> Side:
        """Return what the model `name` of a new run is compared with.

        Raises
        ------
        DataError
            The baseline has several models, and none of that name.
        """
        return side_of(self.run, self.values, self._model(name), folder=self.folder)

    def _open(self, drop: Drop, model: ModelValues, why: str) -> Check:
        """Return the check of a drop that nothing could be held against."""
        return Check(
            model=model.name,
            metric=f"{drop.metric} vs baseline",
            arm=drop.arm or "guarded",
            bound="max",
            limit=drop.drop,
            outcome=Outcome.INCONCLUSIVE,
            reason=f"{drop.metric} could not be compared: {why}",
            context={"baseline": self.run, "metric": drop.metric, "group": drop.group},
        )

    def _model(self, name: str) -> ModelValues:
        """Return the model to compare with."""
        wanted = self.model or (name if len(self.values.models) > 1 else None)
        found = [model for model in self.values.models if wanted in (None, model.name, model.digest)]
        if not found:
            names = ", ".join(model.name for model in self.values.models) or "none"
            raise DataError(
                f"baseline {self.run} has no model {wanted!r}; it has {names}: name one by model = ... in a TOML file"
            )
        return found[0]


def joined(
    verdict: tuple[Outcome, str, tuple[Check, ...]], drops: tuple[Check, ...]
) -> tuple[Outcome, str, tuple[Check, ...]]:
    """Return the verdict of a gate and of a baseline together.

    Parameters
    ----------
    verdict : (Outcome, str, tuple of Check)
        What :meth:`evals.gate.Gate.decide` returned.
    drops : tuple of Check
        What :meth:`Baseline.checks` returned.

    Returns
    -------
    (Outcome, str, tuple of Check)
        FAIL if any fails, else INCONCLUSIVE if any is, else PASS; the sentence begins with the joint outcome.
    """
    outcome, sentence, checks = verdict
    if not drops:
        return verdict
    together = worst_outcome([*checks, *drops])
    own = worst_outcome(drops)
    telling = [check.reason for check in drops if check.outcome is own]
    more = f" and {len(telling) - _NAMED} more" if len(telling) > _NAMED else ""
    said = {Outcome.PASS: "no drop beyond what is allowed", Outcome.FAIL: "worse", Outcome.INCONCLUSIVE: "open"}[own]
    figures = "" if own is Outcome.PASS else f" ({'; '.join(telling[:_NAMED])}{more})"
    gate = sentence.partition(":")[2].strip() or sentence
    told = f"{_WORDS[together]}: against the baseline {said}{figures}; the gate: {_WORDS[outcome].lower()}, {gate}"
    return together, told, (*checks, *drops)


def _read_toml(source: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(source.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(
            f"baseline {source}: {reason}; give the folder of a run, its {FILE}, or a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"baseline {source}: not TOML: {error}") from error
    _refuse_unknown(table, _KEYS, f"baseline {source}")
    return table


def _drops(table: Mapping[str, Any], source: Path) -> Iterable[Drop]:
    tables = table.get("drop", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise ConfigError(f"baseline {source}: drop must be written as [[drop]] tables")
    return [_drop(one, f"baseline {source}: [[drop]]") for one in tables]


def _drop(table: Mapping[str, Any], where: str) -> Drop:
    _refuse_unknown(table, _DROP_KEYS, where)
    return Drop(
        metric=_text(table, "metric", where),
        drop=_number(table, "max", where),
        arm=_text(table, "arm", where) if "arm" in table else None,  # type: ignore[arg-type]  # Drop refuses others
        group=_text(table, "group", where) if "group" in table else Drop.group,
        max_unscored=_number(table, "max_unscored", where) if "max_unscored" in table else Drop.max_unscored,
    )


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {key} must be a text, not {'missing' if value is None else repr(value)}")
    return value


def _number(table: Mapping[str, Any], key: str, where: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: {key} must be a number, not {'missing' if value is None else repr(value)}")
    return float(value)


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(known)}")
