"""The values behind the figures of a run, one line a value: written beside the report, read without any scorer."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast, get_args

from evals.directions import Better
from evals.schema import Arm
from guard.errors import DataError, OutputError

__all__ = [
    "FILE",
    "ModelValues",
    "RunValues",
    "SampleValue",
    "Series",
    "Value",
    "read_values",
    "sample_values",
    "write_values",
]

FILE = "values.jsonl"
"""Name of the file in the folder of a run."""

_SCHEMA = "assay.values/1"
_BESIDE = ("report.json", "journal.jsonl")


@dataclass(frozen=True)
class Value:
    """One value of a metric: of a sample, or of a prompt where the metric reduces a prompt's samples to one.

    Parameters
    ----------
    prompt_id : str
        The statistical unit.
    sample_id : str
        Empty where the value is the prompt's, such as the maximum over its samples.
    group : str
        Slice of the data that it belongs to.
    value : float or None
        None = unscored.
    n_samples : int
        Samples behind it.
    n_unscored : int
        Those of them that could not be scored.
    """

    prompt_id: str
    sample_id: str
    group: str
    value: float | None
    n_samples: int = 1
    n_unscored: int = 0


@dataclass(frozen=True)
class Series:
    """All values of one metric in one arm.

    Parameters
    ----------
    task, metric : str
    arm : Arm
    bounds : (float, float) or None
        Least and greatest possible value; None where there is none.
    values : tuple of Value
    groups : tuple of str
        The slices that the report gives besides ``all``.
    better : {"lower", "higher", ""}
        Which way is better, for a metric of somebody else; those of ours are in :data:`evals.directions.DIRECTIONS`.
    """

    task: str
    metric: str
    arm: Arm
    bounds: tuple[float, float] | None
    values: tuple[Value, ...]
    groups: tuple[str, ...] = ()
    better: Better = ""

    @property
    def name(self) -> str:
        """``task/metric``."""
        return f"{self.task}/{self.metric}"


@dataclass(frozen=True)
class ModelValues:
    """Everything measured on one model.

    Parameters
    ----------
    name, digest : str
        As in the report.
    series : tuple of Series
    unpaired : tuple of str
        ``task/metric`` of what the report has and no single value stands for, such as a figure of the whole corpus.
    """

    name: str
    digest: str
    series: tuple[Series, ...]
    unpaired: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleValue:
    """One value of one sample, with everything that says what it is: a row of a flat table.

    Parameters
    ----------
    model, task, metric : str
    arm : Arm
    group, prompt_id, sample_id : str
    value : float or None
        None = unscored.
    """

    model: str
    task: str
    metric: str
    arm: Arm
    group: str
    prompt_id: str
    sample_id: str
    value: float | None


def sample_values(models: Iterable[ModelValues]) -> Iterator[SampleValue]:
    """Yield the values of single samples; those of whole prompts are left out."""
    for model in models:
        for s in model.series:
            for v in s.values:
                if v.sample_id:
                    yield SampleValue(model.name, s.task, s.metric, s.arm, v.group, v.prompt_id, v.sample_id, v.value)


@dataclass(frozen=True)
class RunValues:
    """What a file of values holds.

    Parameters
    ----------
    identity : mapping of str to str
        What the figures depend on, by digest: the header of the run's journal.
    models : tuple of ModelValues
    """

    identity: Mapping[str, str]
    models: tuple[ModelValues, ...] = field(default=())


def write_values(path: Path, identity: Mapping[str, str], models: Iterable[ModelValues]) -> None:
    """Write a file of values: a line each for the header, a model, a metric and a value, and a last one that counts.

    The same values give the same bytes, and every float is read back as it was. Models may come one at a time.

    Parameters
    ----------
    path : pathlib.Path
        Replaced in one step.
    identity : mapping of str to str
    models : iterable of ModelValues

    Raises
    ------
    OutputError
        No permission, no space, or a value that is not finite.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as stream:
            n_lines = 0
            for line in _lines(identity, models):
                stream.write(json.dumps(line, sort_keys=True, allow_nan=False) + "\n")
                n_lines += 1
            stream.write(json.dumps({"lines": n_lines}) + "\n")
        part.replace(path)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {path}: {reason}; free space or name another folder with --out") from error


def _lines(identity: Mapping[str, str], models: Iterable[ModelValues]) -> Iterator[object]:
    yield {"schema": _SCHEMA, "identity": dict(identity)}
    for model in models:
        yield {"model": model.name, "digest": model.digest, "unpaired": list(model.unpaired)}
        for series in model.series:
            head = {"task": series.task, "metric": series.metric, "arm": series.arm, "groups": list(series.groups)}
            bounds = None if series.bounds is None else list(series.bounds)
            yield {**head, "bounds": bounds, "better": series.better}
            for v in series.values:
                yield [v.prompt_id, v.sample_id, v.group, v.value, v.n_samples, v.n_unscored]


def read_values(run: Path) -> RunValues:
    """Read the values of a run.

    Parameters
    ----------
    run : pathlib.Path
        The run's folder, its file of values, or its report or journal beside that.

    Raises
    ------
    DataError
        There is none, it is damaged or cut short, or it is of another version.
    """
    path = run / FILE if run.is_dir() else run.with_name(FILE) if run.name in _BESIDE else run
    try:
        with path.open(encoding="utf-8") as stream:
            return _Reader(path).read(stream)
    except FileNotFoundError as error:
        raise DataError(
            f"no {FILE} in {run}; give the folder of a finished run (assay audit --resume finishes one, and writes"
            " the file where an older version did not)"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8; give the {FILE} of a run") from error


class _Reader:
    """Puts the lines of one file together again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._models: list[ModelValues] = []
        self._head: dict[str, Any] | None = None
        self._series: list[Series] = []
        self._metric: Series | None = None
        self._values: list[Value] = []

    def read(self, stream: IO[str]) -> RunValues:
        identity: Mapping[str, str] = {}
        number = 0
        for number, text in enumerate(stream, 1):
            try:
                line = json.loads(text)
                if number == 1:
                    identity = self._header(line)
                elif isinstance(line, dict) and "lines" in line:
                    return self._end(identity, line["lines"], number - 1)
                else:
                    self._add(line)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise self._damaged(f"line {number} is damaged ({type(error).__name__})") from error
        raise self._damaged("the file is empty" if number == 0 else f"it is cut short after line {number}")

    def _header(self, line: Any) -> Mapping[str, str]:
        if line.get("schema") != _SCHEMA:
            raise DataError(
                f"{self._path} has schema {line.get('schema')!r}, this version reads {_SCHEMA!r}; run the audit again"
            )
        return {str(key): str(value) for key, value in line["identity"].items()}

    def _add(self, line: Any) -> None:
        if isinstance(line, list):
            if self._metric is None:
                raise ValueError("a value before any metric")
            self._values.append(_value(line))
        elif "model" in line:
            self._close_model()
            self._head = line
        elif self._head is None:
            raise ValueError("a metric before any model")
        else:
            self._close_series()
            self._metric = _known_metric(line)

    def _close_series(self) -> None:
        if self._metric is not None:
            self._series.append(replace(self._metric, values=tuple(self._values)))
        self._metric, self._values = None, []

    def _close_model(self) -> None:
        self._close_series()
        if self._head is not None:
            unpaired = tuple(map(str, self._head["unpaired"]))
            name, digest = str(self._head["model"]), str(self._head["digest"])
            self._models.append(ModelValues(name, digest, tuple(self._series), unpaired))
        self._head, self._series = None, []

    def _end(self, identity: Mapping[str, str], n_lines: object, found: int) -> RunValues:
        if n_lines != found:
            raise self._damaged(f"it has {found} lines and says {n_lines}")
        self._close_model()
        return RunValues(identity, tuple(self._models))

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{self._path}: {what}; run assay audit --resume on its folder to write it again")


def _known_metric(line: dict[str, Any]) -> Series:
    """Return the series that a line begins, still without values."""
    if line["arm"] not in get_args(Arm) or line["better"] not in get_args(Better):
        raise ValueError(f"arm {line['arm']!r}, better {line['better']!r}")
    bounds = None if line["bounds"] is None else (float(line["bounds"][0]), float(line["bounds"][1]))
    groups = tuple(map(str, line["groups"]))
    own = str(line["task"]), str(line["metric"]), cast(Arm, line["arm"])
    return Series(*own, bounds, (), groups, cast(Better, line["better"]))


def _value(line: list[Any]) -> Value:
    prompt_id, sample_id, group, value, n_samples, n_unscored = line
    if value is not None and not math.isfinite(value):
        raise ValueError("a value that is not finite")
    return Value(
        str(prompt_id),
        str(sample_id),
        str(group),
        None if value is None else float(value),
        int(n_samples),
        int(n_unscored),
    )
