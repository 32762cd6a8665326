"""Logs of lm-evaluation-harness, its results and its samples, into the common form; a document is a prompt."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evals.imports.imported import ImportedLog, ImportedMetric, Key, Texts, mean_of, slugs, unit_bounds
from evals.imports.lm_eval_likelihood import LIKELIHOODS, likelihood, perplexity
from evals.imports.lm_eval_results import Results
from evals.imports.reading import digest, line_at, lines, number, read_document, text_of
from evals.values import Value
from guard.errors import DataError

__all__ = ["read_lm_eval", "read_lm_eval_samples"]

_DATE = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl?$")
_NO_METRIC = frozenset(
    {"arguments", "doc", "doc_hash", "doc_id", "filter", "filtered_resps", "metrics", "prompt_hash", "resps", "target"}
    | {"target_hash"}
)
_CLOSE = 1e-6


@dataclass
class _Task:
    """The samples of one task: by metric and filter, and by document and place in the list."""

    values: dict[str, dict[Key, float | None]] = field(default_factory=dict)
    prompts: set[str] = field(default_factory=set)
    places: dict[str, tuple[Path, int]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    likelihoods: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    n_broken: int = 0
    n_repeated: int = 0


def read_lm_eval(path: Path) -> ImportedLog:
    """Read ``results_<date>.json``, and the samples of the same date that lie beside it.

    Without samples (``--log_samples`` was not given) the figures are those of the harness.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    DataError
        No results of lm-evaluation-harness, or a file that cannot be read.
    """
    results = Results(read_document(path), str(path))
    found = _DATE.search(path.name)
    beside = sorted(path.parent.glob(f"samples_*_{found.group(1)}.jsonl")) if found else []
    tasks = {_task_name(file): _read_samples(file) for file in beside}
    for name, listed in results.samples():
        tasks.setdefault(name, _Task())
        for sample in listed:
            _add(tasks[name], sample, None)
    return _log(results, tasks, [path, *beside])


def read_lm_eval_samples(path: Path) -> ImportedLog:
    """Read ``samples_<task>_<date>.jsonl``, and what the results of the same date beside it say of the run.

    Raises
    ------
    DataError
        As :func:`read_lm_eval`, or no line is a sample.
    """
    found = _DATE.search(path.name)
    beside = [file for file in path.parent.glob(f"*_{found.group(1)}.json") if file.is_file()] if found else []
    document = read_document(beside[0]) if len(beside) == 1 else {}
    name = _task_name(path)
    results = Results(document, str(path), only=name)
    task = _read_samples(path)
    if not task.values:
        raise DataError(f"{path}: no line is a sample with a metric; give samples_<task>_<date>.jsonl of --log_samples")
    return _log(results, {name: task}, [path, *(beside if document else [])])


def _task_name(path: Path) -> str:
    """Return the task in the name of a file of samples."""
    return _DATE.sub("", path.name).removesuffix(".jsonl").removeprefix("samples_") or path.stem


def _read_samples(path: Path) -> _Task:
    task = _Task()
    for offset, sample in lines(path):
        if sample is None or "doc_id" not in sample:
            task.n_broken += 1
        else:
            _add(task, sample, (path, offset))
    return task


def _add(task: _Task, sample: Mapping[str, object], place: tuple[Path, int] | None) -> None:
    """Add the metrics of one sample; a document that comes twice under one filter counts once."""
    prompt = _prompt_id(sample)
    task.prompts.add(prompt)
    filter_ = str(sample.get("filter") or "none")
    named = sample.get("metrics")
    names = [str(name) for name in named] if isinstance(named, list) else [k for k in sample if k not in _NO_METRIC]
    for name in names:
        full = name if filter_ == "none" else f"{name},{filter_}"
        if name in LIKELIHOODS and (found := likelihood(sample.get(name))) is not None:
            task.likelihoods.setdefault(full, {}).setdefault(prompt, found)
        values = task.values.setdefault(full, {})
        parts = _values(sample.get(name))
        if parts is None:
            task.whole.add(full)
            continue
        if (prompt, prompt) in values or (prompt, f"{prompt}/0") in values:
            task.n_repeated += 1
            continue
        several = isinstance(sample.get(name), list)
        for i, part in enumerate(parts):
            values[prompt, f"{prompt}/{i}" if several else prompt] = part
    if place is not None:
        task.places.setdefault(prompt, place)


def _prompt_id(sample: Mapping[str, object]) -> str:
    """Name a document by its number and what it holds, so that two runs on unlike data do not share it."""
    held = sample.get("doc_hash")
    number_ = str(sample.get("doc_id"))
    return f"{number_}-{held[:8]}" if isinstance(held, str) else number_


def _values(raw: object) -> list[float | None] | None:
    """Return what a sample contributes to a mean; None where it only contributes to a figure of the whole set.

    A list of truth values (the instructions of one document) is as many samples of one prompt; any other list, such as
    a gold label and a prediction, is what the harness computes a figure of the whole set from.
    """
    if isinstance(raw, list):
        return [float(part) for part in raw] if raw and all(isinstance(part, bool) for part in raw) else None
    if isinstance(raw, dict):
        return None
    if isinstance(raw, str):
        return [_parsed(raw)]
    return [number(raw)]


def _parsed(raw: str) -> float | None:
    """Return the number in a text: the harness writes some kinds of number as text."""
    words = {"true": 1.0, "false": 0.0}
    try:
        return words[raw.lower()] if raw.lower() in words else number(float(raw[:40]))
    except ValueError:
        return None


def _log(results: Results, tasks: Mapping[str, _Task], files: Sequence[Path]) -> ImportedLog:
    notes: list[str] = []
    metrics = tuple(_metrics(results, tasks, notes))
    if not metrics:
        raise DataError(f"{files[0]}: no metric of lm-evaluation-harness in it; give results_<date>.json of a run")
    for name, task in tasks.items():
        notes += _task_notes(name, task, _missing(results, tasks, name))
    return ImportedLog(
        tool="lm-evaluation-harness",
        version=results.version,
        model=results.model or _folder_model(files[0]),
        date=_date(results.date),
        tasks=tuple(dict.fromkeys([*tasks, *(metric.source for metric in metrics)])),
        files={file.name: digest(file) for file in files},
        metrics=metrics,
        notes=tuple(notes),
        settings=results.settings(),
        texts=lambda keys: _texts(tasks, keys),
        seed=results.seed,
    )


def _folder_model(path: Path) -> str:
    """Return the name that the harness gives to the folder of a model."""
    return path.absolute().parent.name.replace("__", "/") or "unknown"


def _date(seconds: float | None) -> str:
    try:
        return (
            "" if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat("T", "seconds")
        )
    except (OverflowError, ValueError, OSError):
        return ""


def _task_notes(name: str, task: _Task, n_missing: int) -> Iterator[str]:
    if task.n_broken:
        yield f"{name}: {task.n_broken} lines are broken or no sample."
    if n_missing:
        yield f"{name}: {n_missing} documents that the harness scored are not in the log; they count as unscored."
    if task.n_repeated:
        yield f"{name}: {task.n_repeated} values of a document came twice under one filter; the first counts."


def _metrics(results: Results, tasks: Mapping[str, _Task], notes: list[str]) -> Iterator[ImportedMetric]:
    """Yield every metric of the samples, and those that only the results have."""
    stated, groups = results.stated(), results.groups()
    sampled = {
        (name, metric): values
        for name, task in tasks.items()
        for metric, values in task.values.items()
        if metric not in task.whole
    }
    for key in stated:
        if key not in sampled and key[0] in groups and (pooled := _pooled(groups[key[0]], key[1], sampled)):
            sampled[key] = pooled
    whole = [(name, metric) for name, task in tasks.items() for metric in sorted(task.whole)]
    names = slugs([*sampled, *stated, *whole])
    for key, own in names.items():
        n_missing = sum(_missing(results, tasks, leaf) for leaf in groups.get(key[0], [key[0]]))
        documents = tasks[key[0]].likelihoods.get(key[1], {}) if key[0] in tasks else {}
        pooled_figure = _perplexity(results, key, own, documents, n_missing)
        yield pooled_figure or _metric(results, key, own, sampled.get(key, {}), n_missing, notes)


def _pooled(
    leaves: Iterable[str], metric: str, sampled: Mapping[Key, dict[Key, float | None]]
) -> dict[Key, float | None]:
    """Return the samples of a group's tasks together; nothing where one of them has none."""
    found: dict[Key, float | None] = {}
    for leaf in leaves:
        values = sampled.get((leaf, metric))
        if not values:
            return {}
        found |= {(f"{leaf}:{prompt}", f"{leaf}:{sample}"): value for (prompt, sample), value in values.items()}
    return found


def _missing(results: Results, tasks: Mapping[str, _Task], task: str) -> int:
    """Return how many documents of a task the harness scored and the log does not hold."""
    return max(0, (results.n_samples(task) or 0) - len(tasks[task].prompts)) if task in tasks else 0


def _perplexity(
    results: Results, key: Key, names: Key, documents: Mapping[str, tuple[float, float]], n_missing: int
) -> ImportedMetric | None:
    """Return a perplexity, where the log-likelihoods in the log give the harness's own figure."""
    if not documents:
        return None
    stated = results.stated().get(key)
    value, interval = perplexity(key[1].partition(",")[0], documents)
    agrees = all(log <= 0 for log, _ in documents.values()) if stated is None else _close(value, stated)
    if not (agrees or n_missing) or not math.isfinite(value):
        return None
    return ImportedMetric(
        *names,
        (),
        None,
        "high",
        key[0],
        value,
        len(documents),
        interval=interval,
        n_missing=n_missing,
        label=key[1],
    )


def _close(found: float, stated: float) -> bool:
    return abs(found - stated) <= _CLOSE * max(1, abs(stated))


def _metric(
    results: Results,
    key: Key,
    names: Key,
    sampled: Mapping[Key, float | None],
    n_missing: int,
    notes: list[str],
) -> ImportedMetric:
    values = tuple(Value(prompt, sample, "all", value) for (prompt, sample), value in sampled.items())
    stated = results.stated().get(key)
    worse: Literal["low", "high"] = "low" if results.higher_is_better(key) else "high"
    if not values:
        bounds = (0.0, 1.0) if results.is_rate(key[1]) else None
        return ImportedMetric(*names, (), bounds, worse, key[0], stated, results.n_samples(key[0]), label=key[1])
    mean = mean_of(values)
    if mean is not None and stated is not None and not n_missing and not _close(mean, stated):
        notes.append(
            f"{key[0]}/{key[1]}: lm-eval says {stated:.4g}, and the mean over the samples in the log is {mean:.4g}: it"
            " is another figure than the mean. The figure of lm-eval stands, without an interval."
        )
        return ImportedMetric(*names, (), None, worse, key[0], stated, results.n_samples(key[0]), label=key[1])
    bounds = unit_bounds(values, known=results.is_share(key[1]))
    return ImportedMetric(*names, values, bounds, worse, key[0], stated, n_missing=n_missing, label=key[1])


def _texts(tasks: Mapping[str, _Task], keys: Collection[Key]) -> Mapping[Key, Texts]:
    """Read the texts of samples out of their lines."""
    found: dict[Key, Texts] = {}
    for task, sample in keys:
        name, _, prompt = sample.partition(":") if sample.partition(":")[0] in tasks else (task, "", sample)
        place = tasks[name].places.get(prompt.partition("/")[0]) if name in tasks else None
        if place is not None:
            with place[0].open("rb") as stream:
                found[task, sample] = _text(line_at(stream, place[1]))
    return found


def _text(sample: Mapping[str, object]) -> Texts:
    """Return the prompt, which is the first argument of the first request, and the answers as they were scored."""
    arguments = sample.get("arguments")
    first = next(iter(arguments.values()), None) if isinstance(arguments, dict) else arguments
    while isinstance(first, dict | list) and first:
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    return Texts(text_of(first), text_of(_written(sample.get("filtered_resps") or sample.get("resps"))))


def _written(raw: object) -> object:
    """Return answers as texts; log-likelihoods of choices as their numbers."""
    if isinstance(raw, list):
        return [" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in raw]
    return raw
