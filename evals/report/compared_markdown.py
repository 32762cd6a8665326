"""A comparison as GitHub-flavoured Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evals.compare import RunComparison
from evals.comparison.effects import ALL, Effect
from evals.report.compared_words import headline, p_value, reading
from evals.report.markdown import code, prose
from evals.report.wording import OUTCOMES, difference, interval, metric_title, number, wording_of
from evals.schema import Outcome

__all__ = ["to_markdown"]

_HEAD = ["Metric", "Arm", "Before", "After", "Effect", "p (Holm)", "p alone", "n", "Newly failing", "Newly passing"]
_SHOWN_FLIPS = 10


def to_markdown(comparison: RunComparison) -> str:
    """Return the comparison as Markdown: verdict, effects, what fails now by id, what the runs do not share.

    Texts of samples are left out, so that nobody meets offensive text in a pull request; the HTML page has them.
    """
    parts = [*_verdict(comparison), *_effects(comparison), *_failing(comparison), *_mismatches(comparison)]
    return "\n".join(parts) + "\n"


def _verdict(comparison: RunComparison) -> Iterator[str]:
    yield "# Assay: comparison"
    yield ""
    yield prose(f"{headline(comparison)}.")
    yield ""
    if comparison.outcome is not None:
        outcome = OUTCOMES[comparison.outcome]
        yield f"**{outcome.sign} {outcome.word}** on {len(comparison.checks)} allowed drops."
        yield ""
        for check in sorted(comparison.checks, key=lambda check: check.outcome is Outcome.PASS):
            yield f"- {OUTCOMES[check.outcome].sign} {prose(check.reason)}"
        yield ""
    if comparison.notes:
        yield from (f"- {prose(note)}" for note in comparison.notes)
        yield ""


def _effects(comparison: RunComparison) -> Iterator[str]:
    yield from _table(_HEAD, map(_cells, comparison.effects))
    yield ""
    if comparison.slices:
        changed = sum(effect.change in ("better", "worse", "moved") for effect in comparison.slices)
        yield f"<details><summary>By group: {changed} of {len(comparison.slices)} changed</summary>"
        yield ""
        yield from _table(_HEAD, map(_cells, comparison.slices))
        yield ""
        yield "</details>"
        yield ""
    yield prose(reading(comparison))
    yield ""


def _cells(effect: Effect) -> list[str]:
    wording = wording_of(effect.task, effect.metric)
    title = f"{prose(metric_title(effect.task, effect.metric))} {wording.arrow}".rstrip()
    named = title if effect.group == ALL else f"{title} {code(effect.group)}"
    if effect.value is None:
        return [named, effect.arm, *["–"] * 5, "0", "", ""]
    word = {"better": " better", "worse": " **worse**", "moved": " moved"}.get(effect.change, "")
    sides = ("–" if side is None else number(side) for side in (effect.before, effect.after))
    figure = f"{difference(effect.value)} {interval(effect.interval, signed=True)}{word}"
    tests = [p_value(p).replace("<", "&lt;") for p in (effect.p_corrected, effect.p)]
    counts = [f"{n:,}" for n in (effect.n_prompts, effect.newly_failing, effect.newly_passing)]
    return [named, effect.arm, *sides, figure, *tests, *counts]


def _failing(comparison: RunComparison) -> Iterator[str]:
    failing = [flip for flip in comparison.flips if flip.now == "failing"]
    if not failing:
        return
    yield "<details><summary>Newly failing</summary>"
    yield ""
    for effect in comparison.effects:
        ids = [f.sample_id or f.prompt_id for f in failing if (f.task, f.metric, f.arm) == _key(effect)]
        if ids:
            more = f" and {effect.newly_failing - _SHOWN_FLIPS:,} more" if effect.newly_failing > _SHOWN_FLIPS else ""
            yield f"- {code(effect.name)} {effect.arm}: {', '.join(map(code, ids[:_SHOWN_FLIPS]))}{more}"
    yield ""
    yield "</details>"
    yield ""


def _key(effect: Effect) -> tuple[str, str, str]:
    return effect.task, effect.metric, effect.arm


def _mismatches(comparison: RunComparison) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    yield f"Models: {code(before.digest)} before, {code(after.digest)} after."
    if comparison.mismatches:
        yield ""
        yield "<details><summary>What the runs do not share</summary>"
        yield ""
        rows = ([code(one.what), code(one.before), code(one.after)] for one in comparison.mismatches)
        yield from _table(["What", "Before", "After"], rows)
        yield ""
        yield "</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
