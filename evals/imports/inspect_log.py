"""Logs of Inspect, an ``.eval`` archive or a JSON document, into the common form; epochs are samples of one prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evals.imports.archive import Archive
from evals.imports.imported import ImportedLog, ImportedMetric, Key, Texts, mean_of, slugs, unit_bounds
from evals.imports.reading import digest, mapping, number, read_document, text_of
from evals.values import Value
from guard.errors import DataError

__all__ = ["read_inspect_archive", "read_inspect_document"]

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""What Inspect makes of a score that is a text (``inspect_ai.scorer.value_to_float``)."""

_SHARES = frozenset(
    {"answer", "choice", "exact", "f1", "includes", "match", "math", "model_graded_fact", "model_graded_qa", "pattern"}
)
"""Scorers of Inspect whose values lie in [0, 1] by definition."""

_HEADER, _START, _SUMMARIES = "header.json", "_journal/start.json", "summaries.json"
_CLOSE = 1e-6
_MOST_PLANNED = 1e12


@dataclass
class _Scores:
    """The values of one metric as they come: by sample and epoch, and how many were unscored and why."""

    values: dict[tuple[str, str], float | None] = field(default_factory=dict)
    n_unreadable: int = 0
    only_letters: bool = True

    def add(self, sample: tuple[str, str], raw: object) -> None:
        self.values[sample] = value = _number(raw)
        if value is None:
            self.n_unreadable += not (raw is None or isinstance(raw, float))
        elif not isinstance(raw, bool) and not (isinstance(raw, str) and _letter(raw) is not None):
            self.only_letters = False


def read_inspect_archive(path: Path) -> ImportedLog:
    """Read an ``.eval`` archive.

    The summaries hold every score, so that the samples themselves, which hold every event, are opened only where a
    summary is missing and for the texts that a report shows. A log whose run was stopped is read as far as it goes.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    DataError
        No archive, no log of Inspect, or nothing in it was scored.
    """
    with Archive(path) as archive:
        header = _header(archive, path)
        notes = [f"{archive.n_superseded} samples were written again later; the last one counts."]
        samples = list(_summaries(archive, header))
    return _log(path, header, samples, notes if archive.n_superseded else [], lambda keys: _archived(path, keys))


def read_inspect_document(path: Path) -> ImportedLog:
    """Read a log of Inspect in JSON; raises as :func:`read_inspect_archive`."""
    document = read_document(path)
    samples = document.get("samples")
    listed = [mapping(sample) for sample in samples] if isinstance(samples, list) else []
    by_id = {_identity(sample): sample for sample in listed}

    def texts(keys: Collection[Key]) -> Mapping[Key, Texts]:
        return {key: _texts(by_id[_parts(key[1])]) for key in keys if _parts(key[1]) in by_id}

    return _log(path, document, listed, [], texts)


def _header(archive: Archive, path: Path) -> Mapping[str, object]:
    """Return the header, or what was known at the start where the run never ended."""
    name = _HEADER if _HEADER in archive.names else _START
    if name not in archive.names:
        raise DataError(f"{path} has neither {_HEADER} nor {_START}: it is no log of Inspect")
    return mapping(archive.read(name))


def _summaries(archive: Archive, header: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield what is known of each sample: its summary, or the sample itself where it has none."""
    names = [name for name in archive.names if name == _SUMMARIES]
    names = names or sorted(name for name in archive.names if name.startswith("_journal/summaries/"))
    seen: set[str] = set()
    for name in [] if header.get("invalidated") else names:  # summaries do not say which samples were invalidated
        found = archive.read(name)
        for summary in found if isinstance(found, list) else []:
            seen.add(_member(*_identity(mapping(summary))))
            yield mapping(summary)
    for name in archive.names:
        if name.startswith("samples/") and name.endswith(".json") and name not in seen:
            yield mapping(archive.read(name))


def _member(sample: str, epoch: str) -> str:
    return f"samples/{sample}_epoch_{epoch}.json"


def _identity(sample: Mapping[str, object]) -> tuple[str, str]:
    return str(sample.get("id", "")), str(sample.get("epoch", 1))


def _sample_id(sample: tuple[str, str]) -> str:
    return f"{sample[0]}#{sample[1]}"


def _parts(sample_id: str) -> tuple[str, str]:
    name, _, epoch = sample_id.rpartition("#")
    return name, epoch


def _log(
    path: Path,
    header: Mapping[str, object],
    samples: Iterable[Mapping[str, object]],
    notes: list[str],
    texts: Callable[[Collection[Key]], Mapping[Key, Texts]],
) -> ImportedLog:
    spec = mapping(header.get("eval"))
    task = str(spec.get("task") or "unnamed")
    unique: dict[tuple[str, str], Mapping[str, object]] = {}
    n_samples = 0
    for sample in samples:
        n_samples += 1
        unique[_identity(sample)] = sample
    if n_samples > len(unique):
        notes.append(f"{n_samples - len(unique)} samples have the id and epoch of another; the last one counts.")
    scores = _scores(unique, header)
    if not scores:
        raise DataError(f"{path}: the log of Inspect holds no score of any sample, so there is nothing to estimate")
    metrics = tuple(_metrics(task, scores, header, max(0, _planned(header) - len(unique))))
    dataset = mapping(spec.get("dataset"))
    return ImportedLog(
        tool="inspect_ai",
        version=str(mapping(spec.get("packages")).get("inspect_ai") or "unknown"),
        model=str(spec.get("model") or "unknown"),
        date=str(spec.get("created") or ""),
        tasks=(task,),
        files={path.name: digest(path)},
        metrics=metrics,
        notes=(*_notes(header, unique), *notes, *_score_notes(scores), *_stated_notes(metrics)),
        settings={"dataset": f"{dataset.get('name') or task} ({dataset.get('samples') or len(unique)} samples)"},
        texts=texts,
    )


def _scores(
    samples: Mapping[tuple[str, str], Mapping[str, object]], header: Mapping[str, object]
) -> dict[str, _Scores]:
    """Return the values of every metric; a sample that lacks one, or failed, or was invalidated, is unscored in it."""
    found: dict[str, _Scores] = {}
    for key, sample in samples.items():
        lost = sample.get("invalidation") is not None
        for name, value in _parted(sample, header):
            found.setdefault(name, _Scores()).add(key, None if lost else value)
    keyed = {name for name in found if any(other.startswith(f"{name}_") for other in found)}
    for name in keyed:  # a scorer with several values gives one NaN where it could give none
        if all(value is None for value in found[name].values.values()):
            del found[name]
    for scores in found.values():
        scores.values = {key: scores.values.get(key) for key in samples}
    return found


def _parted(sample: Mapping[str, object], header: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the scores of a sample by metric: a scorer with several values is as many metrics."""
    scores = mapping(sample.get("scores"))
    if not scores and "score" in sample:  # of a log before version 2, which had one scorer
        scores = {_first_scorer(header): sample["score"]}
    for scorer, score in scores.items():
        value = mapping(score).get("value")
        if isinstance(value, dict):
            yield from ((f"{scorer}_{key}", part) for key, part in value.items())
        elif isinstance(value, list):
            yield from ((f"{scorer}_{i}", part) for i, part in enumerate(value[:1000]))
        else:
            yield str(scorer), value


def _first_scorer(header: Mapping[str, object]) -> str:
    results = mapping(header.get("results"))
    return str(mapping(results.get("scorer")).get("name") or "score")


def _letter(raw: str) -> float | None:
    return _LETTERS.get(raw, _LETTERS.get(raw.lower()) if len(raw) > 1 else None)


def _number(raw: object) -> float | None:
    """Return a score as Inspect reads it; None for NaN, which is its word for unscored, and for any other text."""
    if not isinstance(raw, str):
        return number(raw)
    letter = _letter(raw)
    if letter is not None:
        return letter
    try:
        return number(float(raw)) if len(raw) < 40 else None
    except ValueError:
        return None


def _metrics(
    task: str, scores: Mapping[str, _Scores], header: Mapping[str, object], n_missing: int
) -> Iterator[ImportedMetric]:
    stated = dict(_stated(header))
    names = slugs((task, name) for name in scores)
    for name, found in scores.items():
        values = tuple(Value(key[0], _sample_id(key), "all", value) for key, value in found.values.items())
        known = found.only_letters or name in _SHARES
        own_task, own_name = names[task, name]
        bounds = unit_bounds(values, known=known)
        worse: Literal["low", ""] = "low" if bounds is not None else ""
        yield ImportedMetric(
            own_task, own_name, values, bounds, worse, task, stated.get(name), n_missing=n_missing, label=name
        )


def _stated(header: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield what Inspect itself says of each metric: its accuracy, or its mean."""
    listed = mapping(header.get("results")).get("scores")
    for entry in map(mapping, listed if isinstance(listed, list) else []):
        scorer, name = str(entry.get("scorer")), str(entry.get("name"))
        metrics = mapping(entry.get("metrics"))
        value = next(
            (number(mapping(metrics[key]).get("value")) for key in ("accuracy", "mean") if key in metrics), None
        )
        if value is not None:
            yield (name if name == scorer else f"{scorer}_{name}"), value


def _notes(header: Mapping[str, object], samples: Mapping[tuple[str, str], Mapping[str, object]]) -> Iterator[str]:
    status = str(header.get("status") or "started")
    if status != "success":
        yield f"Inspect says of this run: {status}. The figures are of what was scored until then."
    planned = _planned(header)
    if len(samples) < planned:
        yield f"{planned - len(samples)} of {planned} planned samples are not in the log; they count as unscored."
    failed = sum(bool(sample.get("error")) for sample in samples.values())
    if failed:
        yield f"{failed} samples ended in an error; where they have no score they count as unscored."
    lost = sum(sample.get("invalidation") is not None for sample in samples.values())
    if lost:
        yield f"{lost} samples were marked invalid, and count as unscored."


def _planned(header: Mapping[str, object]) -> int:
    """Return how many samples the run was to have: of the ids that were selected, in every epoch."""
    spec = mapping(header.get("eval"))
    dataset = mapping(spec.get("dataset"))
    selected = dataset.get("sample_ids")
    n_selected = float(len(selected)) if isinstance(selected, list) else number(dataset.get("samples"))
    epochs = number(mapping(spec.get("config")).get("epochs")) or 1.0
    total = number(mapping(header.get("results")).get("total_samples"))
    return int(min((n_selected or 0.0) * epochs if total is None else total, _MOST_PLANNED))


def _score_notes(scores: Mapping[str, _Scores]) -> Iterator[str]:
    for name, found in scores.items():
        if found.n_unreadable:
            yield (
                f"{name}: {found.n_unreadable} scores are neither a number nor one of C, P, I and N; they count as"
                " unscored, where Inspect counts them as 0."
            )


def _stated_notes(metrics: Iterable[ImportedMetric]) -> Iterator[str]:
    for metric in metrics:
        mean = mean_of(metric.values)
        if mean is not None and metric.stated is not None and abs(mean - metric.stated) > _CLOSE * max(1, abs(mean)):
            yield (
                f"{metric.task}/{metric.name}: Inspect says {metric.stated:.4g}, and the mean over scored samples is"
                f" {mean:.4g}; they differ where epochs are reduced by something else than the mean, where some epochs"
                " of a sample are unscored, or where a scorer has a mean of its own."
            )


def _archived(path: Path, keys: Collection[Key]) -> Mapping[Key, Texts]:
    """Return texts out of the members of an archive; a member that cannot be read has none."""
    found: dict[Key, Texts] = {}
    with Archive(path) as archive:
        for key in keys:
            name = _member(*_parts(key[1]))
            if name in archive.names:
                try:
                    found[key] = _texts(mapping(archive.read(name)))
                except DataError:
                    continue  # the figures stand without it
    return found


def _texts(sample: Mapping[str, object]) -> Texts:
    output = mapping(sample.get("output"))
    choices = output.get("choices")
    first = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    wrote = text_of(first.get("message")) or text_of(output.get("completion"))
    return Texts(_attached(sample, text_of(sample.get("input"))), _attached(sample, wrote))


def _attached(sample: Mapping[str, object], text: str) -> str:
    """Return the text that a reference stands for: Inspect keeps long ones apart."""
    kind, _, name = text.partition("attachment://")
    return text_of(mapping(sample.get("attachments")).get(name)) if name and not kind else text
