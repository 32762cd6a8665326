"""What a summary says against a baseline: the earlier figures under the names of now, and what newly fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evals.baseline import Baseline
from evals.comparison.effects import pairings
from evals.comparison.flips import crossed
from evals.comparison.sides import Side, mismatches, same_prompts
from evals.comparison.texts import Texts
from evals.report import read
from evals.report.summary import NewlyFailing
from evals.schema import Report
from evals.values import ModelValues, read_values
from guard.errors import UsageError

__all__ = ["earlier_report", "newly_failing"]


def earlier_report(baseline: Baseline, models: Sequence[str]) -> Report | None:
    """Return the report of the baseline, its models named as those of the new run that they are compared with.

    Parameters
    ----------
    baseline : Baseline
    models : sequence of str
        Names of the models of the new run.

    Returns
    -------
    Report or None
        None where the baseline's folder has no report that can be read: its values alone are enough for a verdict.
    """
    try:
        found = read(baseline.folder)
        sides = {name: baseline.side(name) for name in models}
    except UsageError:
        return None
    by_digest = {model.digest: model for model in found.models}
    renamed = [
        replace(by_digest[side.values.digest], name=name)
        for name, side in sides.items()
        if side.values.digest in by_digest
    ]
    return replace(found, models=tuple(renamed))


def newly_failing(baseline: Baseline, folder: Path, identity: Mapping[str, str]) -> tuple[NewlyFailing, ...]:
    """Return the samples of a finished run that fail now and did not in the baseline.

    Parameters
    ----------
    baseline : Baseline
    folder : pathlib.Path
        Of the finished run, with its values.
    identity : mapping of str to str
        Of the finished run, as in the header of its journal.

    Returns
    -------
    tuple of NewlyFailing
        By model and metric, the greatest changes of each metric first.
    """
    return tuple(one for model in read_values(folder).models for one in _of(baseline, model, folder, identity))


def _of(baseline: Baseline, model: ModelValues, folder: Path, identity: Mapping[str, str]) -> Iterator[NewlyFailing]:
    after = Side("this run", model, identity, Texts(folder / "journal.jsonl", model.digest))
    try:
        before = baseline.side(model.name)
    except UsageError:  # its checks are open for the same reason
        return
    before = same_prompts(before, after, mismatches(before, after))
    for flip in crossed(pairings(before, after)):
        if flip.now == "failing":
            name = f"{flip.task}/{flip.metric}"
            yield NewlyFailing(model.name, name, flip.sample_id or flip.prompt_id, flip.group, flip.arm)
