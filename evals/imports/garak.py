"""Reports of garak into the common form: an attempt is a prompt, its generations are samples, a value is a hit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evals.imports.imported import ImportedLog, ImportedMetric, Key, Texts, slugs
from evals.imports.reading import digest, line_at, lines, mapping, number, text_of
from evals.values import Value
from guard.errors import DataError

__all__ = ["read_garak"]

_COMPLETE = 2
"""Status of an attempt that was judged (``garak.attempt.ATTEMPT_COMPLETE``)."""

_THRESHOLD = 0.5
_MOST_GENERATIONS = 100_000


@dataclass(frozen=True)
class _Attempt:
    """What is kept of an attempt: where it lies, what it was, and its scores by detector."""

    offset: int
    probe: str
    prompt: str
    source: tuple[str, int] | None
    status: int
    n_outputs: int
    scores: Mapping[str, list[float | None]]


@dataclass
class _Run:
    """What the lines of a report add up to."""

    setup: Mapping[str, object] = field(default_factory=dict)
    init: Mapping[str, object] = field(default_factory=dict)
    attempts: dict[str, _Attempt] = field(default_factory=dict)
    evals: dict[Key, tuple[int, int, int]] = field(default_factory=dict)
    originals: dict[tuple[str, str, int], str] = field(default_factory=dict)
    places: dict[Key, int] = field(default_factory=dict)
    n_broken: int = 0
    n_repeated: int = 0
    n_ended: int = 0


def read_garak(path: Path) -> ImportedLog:
    """Read ``<run>.report.jsonl``.

    A value is 1 where a detector's score is at or over the run's threshold, which is where garak counts a hit: the
    mean is the attack success rate. Attempts on one prompt are one unit, and so are what a buff made of one prompt.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    DataError
        The file cannot be read, or no probe in it was evaluated.
    """
    run = _Run()
    for offset, line in lines(path):
        if line is None:
            run.n_broken += 1
        else:
            _add(run, line, offset)
    threshold = number(run.setup.get("run.eval_threshold"))
    fitting = _fitting(run) if threshold is None else threshold
    notes = list(_notes(run, threshold, fitting))
    threshold = _THRESHOLD if fitting is None else fitting
    metrics = tuple(_metrics(run, threshold, notes))
    if not metrics:
        raise DataError(
            f"{path}: no attempt in it was judged and nothing was evaluated; give the <run>.report.jsonl of a garak run"
            " that ended at least one probe"
        )
    return ImportedLog(
        tool="garak",
        version=str(run.init.get("garak_version") or run.setup.get("_config.version") or "unknown"),
        model=_model(run.setup),
        date=str(run.init.get("start_time") or run.setup.get("transient.starttime_iso") or ""),
        tasks=tuple(dict.fromkeys(metric.source for metric in metrics)),
        files={path.name: digest(path)},
        metrics=metrics,
        notes=tuple(notes),
        settings=_settings(run.setup, threshold),
        texts=lambda keys: _texts(path, run, keys),
        seed=int(number(run.setup.get("run.seed")) or 0),
    )


def _model(setup: Mapping[str, object]) -> str:
    """Return the name of the target, which was called a model before version 0.13."""
    names = ("target_name", "model_name", "target_type", "model_type")
    return next((str(setup[key]) for name in names if setup.get(key := f"plugins.{name}")), "unknown")


def _settings(setup: Mapping[str, object], threshold: float) -> dict[str, str]:
    told = {"threshold": threshold, "generations": setup.get("run.generations")}
    return {name: str(value) for name, value in told.items() if value is not None}


def _add(run: _Run, line: Mapping[str, object], offset: int) -> None:
    match line.get("entry_type"):
        case "start_run setup" | "config":
            run.setup = {**line, **run.setup}
        case "init":
            run.init = run.init or line
        case "attempt":
            _add_attempt(run, line, offset)
        case "eval":
            _add_eval(run, line)
        case "completion":
            run.n_ended += 1
        case None:
            run.n_broken += 1


def _add_attempt(run: _Run, line: Mapping[str, object], offset: int) -> None:
    """Keep the last state of an attempt: it is written once when it was answered and again when it was judged."""
    found = _attempt(line, offset)
    uuid = str(line.get("uuid") or f"line at {offset}")
    before = run.attempts.get(uuid)
    if before is not None and before.status >= _COMPLETE:
        run.n_repeated += 1
        return
    run.attempts[uuid] = found
    if found.source is None:
        seq = number(line.get("seq"))
        run.originals[str(line.get("run", "")), found.probe, -1 if seq is None else int(seq)] = found.prompt


def _attempt(line: Mapping[str, object], offset: int) -> _Attempt:
    outputs = line.get("outputs")
    results = mapping(line.get("detector_results"))
    scores = {
        _plain_name(name): [number(score) for score in listed[:_MOST_GENERATIONS]]
        for name, listed in results.items()
        if isinstance(listed, list)
    }
    source = number(mapping(line.get("notes")).get("buff_source_seq"))
    return _Attempt(
        offset=offset,
        probe=_plain_name(str(line.get("probe_classname") or "unnamed")),
        prompt=_prompt_id(line),
        source=None if source is None else (str(line.get("run", "")), int(source)),
        status=int(number(line.get("status")) or 0),
        n_outputs=min(len(outputs), _MOST_GENERATIONS) if isinstance(outputs, list) else 0,
        scores=scores,
    )


def _plain_name(name: str) -> str:
    """Return a plugin without the prefixes that versions of garak differ in."""
    for prefix in ("garak.", "detectors.", "detector.", "detector ", "probes."):
        name = name.removeprefix(prefix)
    return name


def _prompt_id(line: Mapping[str, object]) -> str:
    """Name a prompt by its text, so that it has one name in every run; without a text by its number."""
    prompt = line.get("prompt")
    if prompt in (None, "", {}, []):
        return f"seq{line.get('seq')}"
    written = json.dumps(prompt, sort_keys=True)
    only_text = written.count('"data_path": ') == written.count('"data_path": null')
    whole = (text_of(prompt, most=len(written)) if only_text else "") or written
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _add_eval(run: _Run, line: Mapping[str, object]) -> None:
    """Keep what garak counted: passed, evaluated and not scored; ``total`` was the name before version 0.11."""
    key = (_plain_name(str(line.get("probe"))), _plain_name(str(line.get("detector"))))
    passed, nones = number(line.get("passed")), number(line.get("nones")) or 0.0
    total = number(line.get("total_evaluated", line.get("total")))
    if passed is None or total is None or not 0 <= passed <= total:
        run.n_broken += 1
        return
    old = run.evals.get(key, (0, 0, 0))
    run.evals[key] = (old[0] + int(passed), old[1] + int(total), old[2] + int(nones))


def _metrics(run: _Run, threshold: float, notes: list[str]) -> Iterator[ImportedMetric]:
    hits = _hits(run, threshold)
    names = slugs([*hits, *run.evals])
    for key, own in names.items():
        passed, total, nones = run.evals.get(key, (0, 0, 0))
        stated = (total - passed) / total if total else None
        values = tuple(hits.get(key, ()))
        scored = [value.value for value in values if value.value is not None]
        if values and key in run.evals and (sum(scored), len(scored)) != (total - passed, total):
            notes.append(
                f"{own[0]}/{own[1]}: garak counted {total - passed} hits of {total}, and the attempts in the report"
                f" have {sum(scored):.0f} of {len(scored)}, which is what the figure is of."
            )
        n_stated, n_missing = (None, 0) if values else (total, nones)
        yield ImportedMetric(
            *own, values, (0.0, 1.0), "high", key[0], stated, n_stated, n_missing=n_missing, label=key[1]
        )


def _fitting(run: _Run) -> float | None:
    """Return the threshold at which the scores give garak's own counts, since no report says it.

    The default where it does, else the largest that does; None where none does, or nothing was counted.
    """
    scores: dict[Key, list[float]] = {}
    for attempt in run.attempts.values():
        for detector, listed in attempt.scores.items() if attempt.status >= _COMPLETE else ():
            found = scores.setdefault((attempt.probe, detector), [])
            found += [score for score in listed if score is not None]
    low, high = -math.inf, math.inf
    for key, (passed, total, _) in run.evals.items():
        ordered = sorted(scores.get(key, []))
        if len(ordered) == total > 0:
            low = max(low, ordered[passed - 1] if passed else low)
            high = min(high, ordered[passed] if passed < total else high)
    if not low < high or (low, high) == (-math.inf, math.inf):
        return None
    if low < _THRESHOLD <= high:
        return _THRESHOLD
    return high if high < math.inf else math.nextafter(low, math.inf)


def _hits(run: _Run, threshold: float) -> dict[Key, list[Value]]:
    """Return the values by probe and detector; a generation without a score is unscored.

    A sample has the name of its prompt, so that it has one name in every run; a prompt that was sent several times has
    it with a number.
    """
    detectors: dict[str, dict[str, None]] = {}
    for attempt in run.attempts.values():
        detectors.setdefault(attempt.probe, {}).update(dict.fromkeys(attempt.scores))
    found: dict[Key, list[Value]] = {}
    times: dict[Key, int] = {}
    for attempt in run.attempts.values():
        sent = times[attempt.probe, attempt.prompt] = times.get((attempt.probe, attempt.prompt), 0) + 1
        name = attempt.prompt if sent == 1 else f"{attempt.prompt}.{sent}"
        run.places[attempt.probe, name] = attempt.offset
        unit = _unit(run, attempt)
        for detector in attempt.scores if attempt.status >= _COMPLETE and attempt.scores else detectors[attempt.probe]:
            scores = attempt.scores.get(detector, [])
            padded = [*scores, *[None] * (attempt.n_outputs - len(scores))]
            values = [None if score is None else float(score >= threshold) for score in padded]
            found.setdefault((attempt.probe, detector), []).extend(
                Value(unit, f"{name}#{i}", "all", value) for i, value in enumerate(values)
            )
    return found


def _unit(run: _Run, attempt: _Attempt) -> str:
    """Return the prompt that an attempt goes back to: of what a buff changed, the one it changed."""
    if attempt.source is None:
        return attempt.prompt
    name, seq = attempt.source
    return run.originals.get((name, attempt.probe, seq), f"seq{seq}")


def _notes(run: _Run, told: float | None, fitting: float | None) -> Iterator[str]:
    if run.n_broken:
        yield f"{run.n_broken} lines are broken or no entry of garak, and are in no figure."
    if run.n_repeated:
        yield f"{run.n_repeated} attempts stand twice under one id; the first that was judged counts."
    if fitting is None and run.attempts:
        yield f"The report does not say from which score on a detector hits; garak's default, {_THRESHOLD}, is taken."
    if told is None and fitting not in (None, _THRESHOLD):
        yield f"A detector hits from the score {fitting:g} on: garak's own counts fit that, the report does not say."
    if not run.n_ended and run.attempts:
        yield "The report has no end: the run was stopped, or is of a version of garak that marks none."
    n_unjudged = sum(attempt.status < _COMPLETE for attempt in run.attempts.values())
    if n_unjudged:
        yield f"{n_unjudged} attempts were never judged; where their probe was, they are unscored."


def _texts(path: Path, run: _Run, keys: Collection[Key]) -> Mapping[Key, Texts]:
    found: dict[Key, Texts] = {}
    with path.open("rb") as stream:
        for probe, sample in keys:
            name, _, number_ = sample.rpartition("#")
            if (probe, name) in run.places:
                line = line_at(stream, run.places[probe, name])
                outputs = line.get("outputs")
                index = int(number_)
                wrote = outputs[index] if isinstance(outputs, list) and index < len(outputs) else ""
                found[probe, sample] = Texts(text_of(line.get("prompt")), text_of(wrote))
    return found
