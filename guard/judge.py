"""Texts to verdicts: canonical form and other readings, every filter of the stage, the policy, and where it fired."""

from __future__ import annotations

import difflib
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

from guard.batcher import Batcher
from guard.canonical import Canonical, canonicalize
from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.release import BARE, Release, Wording, redacted
from guard.schema import Action, Filter, Locator, Span, Stage, Verdict
from guard.scoring import Fault, FilterRunner, RowScores, score_rows
from guard.segments import Segment, segments
from guard.views import views

__all__ = ["Judge", "Judgement"]

_TEXTS_A_BATCH = 128  # of different callers; what one caller asks for is never parted


@dataclass(frozen=True)
class Judgement:
    """A verdict, the text that it lets through, and what a log without texts may say of its errors.

    Parameters
    ----------
    verdict : Verdict
    text : str
        As given, or redacted. Of an output that is stopped, what stands before the segment that stops it.
    brief : str or None
        ``verdict.error`` without the words of exceptions: names of filters and kinds of faults.
    """

    verdict: Verdict
    text: str
    brief: str | None = None


@dataclass(frozen=True)
class _Reading:
    """One form of a piece of text, and what the filters said about it."""

    form: Canonical
    row: RowScores


class Judge:
    """Applies the filters of a stage and a policy.

    Parameters
    ----------
    policy : Policy
    filters : mapping of Stage to sequence of Filter
    timeout_s : float
        Seconds one filter may take over a batch, see :class:`guard.scoring.FilterRunner`.

    Raises
    ------
    ConfigError
        When there is no filter at all, something in the list is no filter or names a category twice, the timeout
        is not positive or longer than a thread can wait, or the policy has a threshold on a category that no filter
        of that stage provides, an ``on_error_for`` of a kind that is not in use, or a certificate of other filters.

    Notes
    -----
    A prompt is judged whole. An output is judged segment by segment (:mod:`guard.segments`) up to the first one that is
    not to be released, so that a text that streams gets the verdict of the same text as a whole.

    Every piece of text is read in its canonical form and in each of its other readings (:mod:`guard.views`); the
    highest score of a category counts.

    Texts that many threads want scored at the same moment are scored together (:mod:`guard.batcher`).
    """

    def __init__(self, policy: Policy, filters: Mapping[Stage, Sequence[Filter[str]]], *, timeout_s: float) -> None:
        _check_timeout(timeout_s)
        _check_filters(policy, filters)
        self.policy = policy
        # One runner a filter, also where it judges both stages: what hangs in one hangs in the other.
        runners = {id(f): FilterRunner(f, timeout_s=timeout_s) for given in filters.values() for f in given}
        self._runners = {stage: [runners[id(f)] for f in given] for stage, given in filters.items()}
        self.names = tuple(dict.fromkeys(runner.name for runner in runners.values()))
        self._scoring = {
            stage: Batcher(functools.partial(score_rows, given), max_items=_TEXTS_A_BATCH)
            for stage, given in self._runners.items()
        }

    def has_filters(self, stage: Stage) -> bool:
        """Whether anything judges texts of the stage."""
        return bool(self._runners.get(stage))

    def judge(self, texts: Sequence[str], stage: Stage) -> list[Judgement]:
        """Judge each text; a REDACT or REGENERATE in the verdict is not yet carried out."""
        found = self._whole(texts, stage, self._pieces, BARE)
        return [replace(judged, text=text) for judged, text in zip(found, texts, strict=True)]

    def enforce(self, texts: Sequence[str], stage: Stage, *, wording: Wording = BARE) -> list[Judgement]:
        """Judge texts and redact where the policy says so.

        Where redaction is not possible, or something still fires on the redacted text, the verdict is to block.
        Where a filter fails on the redacted text, the verdict says so.
        """
        return self._whole(texts, stage, self.enforce_pieces, wording)

    def enforce_pieces(self, pieces: Sequence[str], stage: Stage) -> list[Judgement]:
        """Judge pieces of text, each as it stands, and again where something in it is to be redacted."""
        results = self._pieces(pieces, stage)
        wanted = [i for i, judged in enumerate(results) if judged.verdict.action == Action.REDACT]
        texts = [self._redacted(pieces[i], results[i].verdict) for i in wanted]
        again = iter(self._pieces([text for text in texts if text is not None], stage))
        for i, text in zip(wanted, texts, strict=True):
            results[i] = _after_redaction(results[i], None if text is None else next(again))
        return results

    def scores(self, texts: Sequence[str], stage: Stage) -> list[dict[str, float]]:
        """Return the score of every category that the policy would see, for each text.

        An output counts with its highest segment, of all its segments.

        Raises
        ------
        FilterError
            When a filter failed on a text.
        """
        cuts, pieces = _cut_all(texts, stage)
        readings = iter(self._read(pieces, stage))
        return [_highest([reading for _ in found for reading in next(readings)]) for found in cuts]

    def _whole(
        self,
        texts: Sequence[str],
        stage: Stage,
        judge_pieces: Callable[[Sequence[str], Stage], list[Judgement]],
        wording: Wording,
    ) -> list[Judgement]:
        """Judge all segments of all texts in one go, and put them together text by text."""
        cuts, pieces = _cut_all(texts, stage)
        judged = iter(zip(pieces, judge_pieces(pieces, stage), strict=True))
        results = []
        for found in cuts:
            release, released = Release(self.policy, stage, wording), []
            windows = [next(judged) for _ in found]
            for cut, (window, one) in zip(found, windows, strict=True):
                if not release.stopped:
                    released.append(release.add(cut, window, one.verdict, one.brief))
            results.append(Judgement(release.verdict(), "".join(released), release.brief()))
        return results

    def _read(self, pieces: Sequence[str], stage: Stage) -> list[list[_Reading]]:
        """Score every piece in its canonical form and in its other readings."""
        plain = [canonicalize(piece) for piece in pieces]
        forms = [[form, *(view.form for view in views(form))] for form in plain]
        rows = iter(self._scoring[stage].submit_all([form.text for given in forms for form in given]))
        return [[_Reading(form, next(rows)) for form in given] for given in forms]

    def _pieces(self, pieces: Sequence[str], stage: Stage) -> list[Judgement]:
        """Judge pieces of text, each as it stands; spans are in offsets of the piece."""
        read = self._read(pieces, stage)
        return [self._judged(piece, readings, stage) for piece, readings in zip(pieces, read, strict=True)]

    def _judged(self, piece: str, readings: Sequence[_Reading], stage: Stage) -> Judgement:
        scores = _merged(readings)
        faults = [fault for reading in readings for fault in reading.row.faults]
        unscored = [category for category in self.policy.categories(stage) if category not in scores]
        # Where a filter failed, the others still count: they may ask for more than on_error does.
        verdict = self.policy.decide({**dict.fromkeys(unscored, 0.0), **scores}, stage)
        if unscored and not faults:
            missing = f"no filter scored {', '.join(unscored)}"
            faults.append(Fault(missing, missing))
        spans: set[Span] = set()
        for runner in self._runners[stage] if verdict.triggered else ():
            try:
                spans.update(self._located(runner, readings, verdict))
            except FilterError as error:
                faults.append(runner.fault(error))
        ordered = tuple(sorted(spans, key=lambda span: (span.start, span.end, span.category)))
        verdict = replace(verdict, scores=scores, spans=ordered)
        return self._with_faults(Judgement(verdict, piece), faults)

    def _with_faults(self, judged: Judgement, faults: Sequence[Fault]) -> Judgement:
        if not faults:
            return judged
        wanted = [self.policy.on_error_of(fault.filter_name) for fault in faults]
        action = max(judged.verdict.action, *wanted)
        detail = "; ".join(dict.fromkeys(fault.detail for fault in faults))
        brief = "; ".join(dict.fromkeys(fault.brief for fault in faults))
        return Judgement(replace(judged.verdict, action=action, error=detail), judged.text, brief)

    def _located(self, runner: FilterRunner, readings: Sequence[_Reading], verdict: Verdict) -> list[Span]:
        """Where a filter finds what fired, in offsets of the piece, in every reading in which it fired."""
        fired = set(verdict.triggered) & set(runner.categories)
        if not isinstance(runner.filter, Locator) or not fired:
            return []
        found: list[Span] = []
        for reading in readings:
            here = {c for c in fired if reading.row.scores.get(c, 0.0) >= self._threshold(verdict.stage, c)}
            for span in runner.locate(reading.form.text) if here else ():
                if span.category in here:
                    start, end = reading.form.span(span.start, span.end)
                    found.append(replace(span, start=start, end=end))
        return found

    def _threshold(self, stage: Stage, category: str) -> float:
        return self.policy.thresholds[stage, category][0]

    def _redacted(self, piece: str, verdict: Verdict) -> str | None:
        """Take out what is to be redacted; None when that cannot be told."""
        rules = self.policy.thresholds
        wanted = {c for c in verdict.triggered if rules[verdict.stage, c][1] == Action.REDACT}
        spans = [span for span in verdict.spans if span.category in wanted]
        if verdict.error is not None or wanted - {span.category for span in spans}:
            return None
        return redacted(piece, spans)


def _cuts(text: str, stage: Stage) -> list[Segment]:
    return segments(text) if stage == "output" else [Segment(0, len(text), len(text))]


def _cut_all(texts: Sequence[str], stage: Stage) -> tuple[list[list[Segment]], list[str]]:
    """Return the segments of each text, and the pieces of all texts in a row."""
    cuts = [_cuts(text, stage) for text in texts]
    return cuts, [text[cut.start : cut.end] for text, found in zip(texts, cuts, strict=True) for cut in found]


def _merged(readings: Sequence[_Reading]) -> dict[str, float]:
    merged: dict[str, float] = {}
    for reading in readings:
        for category, score in reading.row.scores.items():
            merged[category] = max(score, merged.get(category, 0.0))
    return merged


def _highest(readings: Sequence[_Reading]) -> dict[str, float]:
    for reading in readings:
        for fault in reading.row.faults:
            raise FilterError(fault.detail)
    return _merged(readings)


def _after_redaction(first: Judgement, second: Judgement | None) -> Judgement:
    """Return what holds once the redacted text was judged (`second`; None where there is no such text)."""
    if second is None:
        return replace(first, verdict=replace(first.verdict, action=Action.BLOCK))
    if second.verdict.action >= Action.REDACT:
        verdict = replace(first.verdict, action=Action.BLOCK, error=second.verdict.error)
        return replace(first, verdict=verdict, brief=second.brief)
    return Judgement(replace(first.verdict, error=second.verdict.error), second.text, second.brief)


def _check_timeout(timeout_s: float) -> None:
    rule = f"expected a positive number of seconds, {threading.TIMEOUT_MAX:.0f} at most"
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, Real):
        raise ConfigError(f"filter_timeout_s is {type(timeout_s).__name__}: {rule}")
    if not 0 < timeout_s <= threading.TIMEOUT_MAX:
        shown = "too large" if timeout_s > threading.TIMEOUT_MAX else f"{float(timeout_s):g}"
        raise ConfigError(f"filter_timeout_s is {shown}: {rule}")


def _check_filters(policy: Policy, filters: Mapping[Stage, Sequence[Filter[str]]]) -> None:
    everything = [f for given in filters.values() for f in given]
    if not everything:
        raise ConfigError("no filters were given, for inputs or for outputs: a guard without any would judge nothing")
    for f in everything:
        if not isinstance(f, Filter):
            raise ConfigError(
                f"{f!r} is no filter: it needs name, categories and score_batch (or wrap it: CallableFilter)"
            )
        if len(set(f.categories)) != len(f.categories):
            raise ConfigError(f"filter {f.name} has the categories {list(f.categories)}: each may be named once")
    _check_named(policy, everything)
    for stage, given in filters.items():
        provided = sorted({category for f in given for category in f.categories})
        for category in policy.categories(stage):
            if category not in provided:
                near = difflib.get_close_matches(category, provided, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise ConfigError(
                    f"policy {policy.name} has a threshold on {stage}.{category}{hint}, which no {stage} filter "
                    f"provides; provided: {', '.join(provided) or 'nothing'}"
                )


def _check_named(policy: Policy, filters: Sequence[Filter[str]]) -> None:
    """Refuse what the policy says of filters that are not there."""
    kinds = sorted({f.name.partition("@")[0] for f in filters})
    for kind in policy.on_error_for:
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(
                f"policy {policy.name} has on_error_for.{kind}{hint}, and no filter of this kind is in use; "
                f"in use: {', '.join(kinds)}"
            )
    for (stage, category), certificate in policy.certificates.items():
        names = sorted({f.name for f in filters if category in f.categories})
        if sorted(certificate.filters) != names:
            raise ConfigError(
                f"policy {policy.name}: {stage}.{category} was calibrated with {', '.join(certificate.filters)}, and "
                f"{', '.join(names) or 'nothing'} gives it here: calibrate again or delete the certificate"
            )
