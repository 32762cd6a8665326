"""The common form of a log of another tool: its metrics with a value a sample, and how to get at its texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evals.directions import Better
from evals.values import ModelValues, Series, Value

__all__ = ["ImportedLog", "ImportedMetric", "Key", "Texts", "mean_of", "slug", "slugs", "unit_bounds"]

Key = tuple[str, str]
"""Task and sample, as the log names them."""

_LONGEST = 120


@dataclass(frozen=True)
class Texts:
    """What a sample was asked and what the model wrote; empty where the log does not say."""

    prompt: str
    output: str


@dataclass(frozen=True)
class ImportedMetric:
    """One metric of a log.

    Parameters
    ----------
    task, name : str
        As a gate names them: ``task/name``.
    values : tuple of Value
        One a sample, None = unscored; empty where the log has no samples, or no mean of them gives the metric.
    bounds : (float, float) or None
        Least and greatest possible value; None where nothing is known of them.
    worse : {"low", "high", ""}
        Which samples are the bad ones; empty where nobody knows.
    source : str
        The task as the log names it: with a sample's id the key of its texts.
    stated : float or None
        The tool's own figure.
    n_stated : int or None
        Samples behind the tool's own figure, where the log has no values.
    interval : (float, float) or None
        Where the reader itself could estimate a figure that is no mean over samples.
    n_missing : int
        Samples that the tool had and the log does not hold: they count as unscored.
    label : str
        The metric as the log names it; empty where that is `name`.
    """

    task: str
    name: str
    values: tuple[Value, ...]
    bounds: tuple[float, float] | None
    worse: Literal["low", "high", ""]
    source: str
    stated: float | None = None
    n_stated: int | None = None
    interval: tuple[float, float] | None = None
    n_missing: int = 0
    label: str = ""

    @property
    def better(self) -> Better:
        """Which way is better."""
        return _BETTER[self.worse]


@dataclass(frozen=True)
class ImportedLog:
    """A log of another tool.

    Parameters
    ----------
    tool, version : str
        For example ``garak`` and ``0.17.1``; the version is ``unknown`` where the log has none.
    model : str
    date : str
        As the log writes it; empty where it has none.
    tasks : tuple of str
        As the log names them.
    files : mapping of str to str
        Name and SHA-256 of every file that was read.
    metrics : tuple of ImportedMetric
    notes : tuple of str
        What could not be read and what a reader must know.
    settings : mapping of str to str
        What the figures depend on besides the model, such as a threshold or the data set.
    texts : callable
        Keys to the texts of those samples; reads the log again, so that no text has to be kept.
    seed : int
    """

    tool: str
    version: str
    model: str
    date: str
    tasks: tuple[str, ...]
    files: Mapping[str, str]
    metrics: tuple[ImportedMetric, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, str]
    texts: Callable[[Collection[Key]], Mapping[Key, Texts]]
    seed: int = 0

    @property
    def name(self) -> str:
        """Tool and version."""
        return f"{self.tool} {self.version}"

    @property
    def digest(self) -> str:
        """``<tool>@<first 12 hexadecimal digits of the log>``: a log names a model, and says nothing of its weights."""
        first = next(iter(self.files.values()), "")
        return f"{self.tool}@{first[:12]}"

    def identity(self) -> dict[str, str]:
        """Return what the values depend on, as :func:`evals.values.write_values` takes it."""
        return {"suite": f"{self.tool} log", "tool": self.name, "models": self.model, **self.settings}

    def values(self) -> ModelValues:
        """Return every value, ready for :func:`evals.values.write_values` and for a comparison."""
        with_values = [metric for metric in self.metrics if metric.values]
        without = [f"{metric.task}/{metric.name}" for metric in self.metrics if not metric.values]
        series = [Series(m.task, m.name, "unguarded", m.bounds, m.values, better=m.better) for m in with_values]
        return ModelValues(self.model, self.digest, tuple(series), tuple(without))


_BETTER: Mapping[str, Better] = {"low": "higher", "high": "lower", "": ""}


def mean_of(values: Sequence[Value]) -> float | None:
    """Return the mean over the scored samples."""
    scored = [value.value for value in values if value.value is not None]
    return sum(scored) / len(scored) if scored else None


def unit_bounds(values: Iterable[Value], *, known: bool) -> tuple[float, float] | None:
    """Return (0, 1) where the values are known to lie in it, or are all 0 or 1.

    Parameters
    ----------
    values : iterable of Value
    known : bool
        Whether the metric is one whose values lie in [0, 1] by definition. Values outside refute it.
    """
    scored = [value.value for value in values if value.value is not None]
    inside = all(0 <= value <= 1 for value in scored) if known else all(value in (0, 1) for value in scored)
    return (0.0, 1.0) if inside else None


def slug(text: str) -> str:
    """Return a name without slashes and spaces, as a gate takes it."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("_")[:_LONGEST] or "unnamed"


def slugs(names: Iterable[Key]) -> dict[Key, Key]:
    """Return for each (task, metric) of a log the pair by which a gate names it; two never share one."""
    found: dict[Key, Key] = {}
    taken: set[Key] = set()
    for task, name in dict.fromkeys(names):
        first = slug(name)
        numbered = (first if n == 1 else f"{first}_{n}" for n in range(1, len(taken) + 2))
        pair = next((slug(task), one) for one in numbered if (slug(task), one) not in taken)
        taken.add(pair)
        found[task, name] = pair
    return found
