"""Why a sample of an audit fired: its text as the filter read it, explained by the filters of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals.explaining.explained import Explained
from evals.explaining.filters import FilterView, explain_texts
from evals.explaining.trusting import with_trust
from evals.journal import JOURNAL, read_journal
from evals.report import read
from evals.schema import Record, Report
from guard.canonical import canonicalize
from guard.errors import ConfigError, DataError
from guard.policy import Policy
from guard.schema import Filter, Stage, Verdict
from guard.segments import segments
from guard.views import views

__all__ = ["Fired", "explain_sample", "find_fired"]

_SAME = 0.02
"""Scores nearer than this are the same verdict, by another batch or number format."""


@dataclass(frozen=True)
class Fired:
    """What of a sample is to be explained.

    Parameters
    ----------
    model, sample_id : str
    arm : str
    verdict : Verdict
    text : str
        The prompt or the output that was judged.
    category : str
    filters : tuple of str
        Names of the run's filters of that stage.
    threshold : float or None
        Of the run's policy.
    """

    model: str
    sample_id: str
    arm: str
    verdict: Verdict
    text: str
    category: str
    filters: tuple[str, ...]
    threshold: float | None

    @property
    def title(self) -> str:
        """What people read above the text."""
        what = "prompt" if self.verdict.stage == "input" else "output"
        return f"{self.sample_id}, {what} of {self.model}, {self.arm}"


def find_fired(run: Path, sample_id: str, *, model: str | None = None, category: str | None = None) -> Fired:
    """Find a sample of a run, and the verdict on it that fired.

    Parameters
    ----------
    run : Path
        The run's folder, or its ``report.json``.
    sample_id : str
    model : str, optional
        Which, where the run has several.
    category : str, optional
        None takes the worst that fired; where none did, the highest score.

    Raises
    ------
    DataError
        No such run or sample, or a sample on which no filter said anything.
    ConfigError
        The sample is of several models.
    """
    report = read(run)
    folder = run if run.is_dir() else run.parent
    name, record = _record(report, folder, sample_id, model)
    verdicts = [(arm, v, t) for arm, v, t in _judged(record) if v.scores and (category is None or category in v.scores)]
    if not verdicts:
        what = "score" if category is None else f"score of {category}"
        raise DataError(f"sample {sample_id} has no {what}: no filter judged it, or all failed on it")
    arm, verdict, text = max(verdicts, key=lambda one: _urgency(one[1], category))
    chosen = category or _worst(verdict)
    stage = verdict.stage
    filters, limits = report.provenance.get(f"{stage} filters"), report.provenance.get("thresholds")
    found: Any = limits.get(stage, {}).get(chosen) if isinstance(limits, Mapping) else None
    names = tuple(map(str, filters)) if isinstance(filters, Sequence) and not isinstance(filters, str) else ()
    return Fired(name, sample_id, arm, verdict, text, chosen, names, None if found is None else float(found))


def _record(report: Report, folder: Path, sample_id: str, model: str | None) -> tuple[str, Record]:
    names = {one.digest: one.name for one in report.models}
    journal = folder / JOURNAL
    if not journal.exists():
        raise DataError(
            f"{folder} has no {JOURNAL}, which holds the samples; give the folder of a run as it was written"
        )
    found = {names.get(d, d): record for d, record in read_journal(journal) if record.sample.id == sample_id}
    found = {name: record for name, record in found.items() if model in (None, name)}
    if not found:
        raise DataError(f"no sample {sample_id!r}{f' of {model}' if model else ''} in {folder}; report.html lists them")
    if len(found) > 1:
        raise ConfigError(f"sample {sample_id} is of several models; give one with --model: {', '.join(sorted(found))}")
    return next(iter(found.items()))


def _judged(record: Record) -> Iterator[tuple[str, Verdict, str]]:
    for arm, made in record.arms.items():
        yield arm, made.prompt_verdict, record.sample.prompt
        if made.output_verdict is not None and record.output is not None:
            yield arm, made.output_verdict, record.output


def _urgency(verdict: Verdict, category: str | None) -> tuple[bool, float]:
    fired = verdict.triggered if category is None else set(verdict.triggered) & {category}
    return bool(fired), verdict.scores[category or _worst(verdict)]


def _worst(verdict: Verdict) -> str:
    if verdict.triggered:
        return verdict.triggered[0]
    return max(verdict.scores, key=lambda name: (verdict.scores[name], name))


def explain_sample(
    fired: Fired,
    filters: Sequence[Filter[str]],
    policy: Policy,
    *,
    method: str | None,
    seed: int,
    edit: bool = False,
    faithful: bool = False,
) -> Explained:
    """Explain the verdict on a sample.

    Parameters
    ----------
    fired : Fired
    filters : sequence of Filter
        Of these the one that scores highest.
    policy : Policy
    method : str or None
    seed : int
    edit : bool
        Find the least edit that turns the verdict.
    faithful : bool
        Measure how far the explanation can be trusted.

    Raises
    ------
    ConfigError
        None of the filters has the category.
    FilterError
        A filter failed.
    """
    able = [one for one in filters if fired.category in one.categories]
    if not able:
        names = ", ".join(one.name for one in filters)
        raise ConfigError(f"no filter of {names} has the category {fired.category}; name it with --filter")
    readings = list(_readings(fired.text, fired.verdict.stage))
    best: tuple[float, FilterView, str, str] | None = None
    for one in able:
        view = FilterView(one, policy, method, fired.threshold, fired.verdict.stage, seed)
        scores = view.scores([text for _, text in readings], fired.category)
        at = int(scores.argmax())
        if best is None or float(scores[at]) > best[0]:
            best = (float(scores[at]), view, *readings[at])
    assert best is not None
    score, view, kind, text = best
    explained = explain_texts(view, [text], fired.category, titles=[fired.title], edit=edit)
    (made,) = with_trust(view, explained)[0] if faithful else explained
    return replace(made, facts=(*_facts(fired), *made.facts), notes=(*made.notes, *_notes(fired, view, score, kind)))


def _readings(text: str, stage: Stage) -> Iterator[tuple[str, str]]:
    """Yield every form in which the guard reads a text: its segments, in canonical form and in other readings."""
    pieces = [text[cut.start : cut.end] for cut in segments(text)] if stage == "output" else [text]
    for piece in pieces:
        yield ("" if piece == text else "the segment that scores highest"), piece
    for piece in pieces:
        yield from ((f"another reading ({view.kind})", view.form.text) for view in views(canonicalize(piece)))


def _facts(fired: Fired) -> tuple[tuple[str, str], ...]:
    verdict = fired.verdict
    spans = ", ".join(
        f"{fired.text[span.start : span.end]!r} {span.category}"
        for span in verdict.spans
        if span.category == fired.category
    )
    recorded = f"{verdict.action.name.lower()}, {fired.category} {verdict.scores[fired.category]:.3f}"
    return (("recorded", recorded), *((("located", spans),) if spans else ()))


def _notes(fired: Fired, view: FilterView, score: float, kind: str) -> Iterator[str]:
    if kind:
        yield f"explained is {kind}, not the whole text"
    if fired.filters and view.filter_.name not in fired.filters:
        yield f"the run's filters were {', '.join(fired.filters)}; this one is {view.filter_.name}"
    recorded = fired.verdict.scores[fired.category]
    if abs(score - recorded) > _SAME:
        yield f"the run recorded {recorded:.3f}, and this filter now gives {score:.3f}: it may be another's finding"
