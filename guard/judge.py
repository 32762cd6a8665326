"""Texts to verdicts: canonical form, every filter of the stage, the policy, and the spans of what fired."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

from guard.canonical import Canonical, canonicalize
from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.schema import Action, Filter, Locator, Span, Stage, Verdict
from guard.scoring import Fault, FilterRunner, RowScores, score_rows

__all__ = ["Judge", "Judgement"]


@dataclass(frozen=True)
class Judgement:
    """A verdict, the text that it lets through, and what a log without texts may say of its errors.

    Parameters
    ----------
    verdict : Verdict
    text : str
        As given, or redacted.
    brief : str or None
        ``verdict.error`` without the words of exceptions: names of filters and kinds of faults.
    """

    verdict: Verdict
    text: str
    brief: str | None = None


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
        of that stage provides.
    """

    def __init__(self, policy: Policy, filters: Mapping[Stage, Sequence[Filter[str]]], *, timeout_s: float) -> None:
        _check_timeout(timeout_s)
        _check_filters(policy, filters)
        self.policy = policy
        # One runner a filter, also where it judges both stages: what hangs in one hangs in the other.
        runners = {id(f): FilterRunner(f, timeout_s=timeout_s) for given in filters.values() for f in given}
        self._runners = {stage: [runners[id(f)] for f in given] for stage, given in filters.items()}
        self.names = tuple(dict.fromkeys(runner.name for runner in runners.values()))

    def judge(self, texts: Sequence[str], stage: Stage) -> list[Judgement]:
        """Judge each text; a REDACT or REGENERATE in the verdict is not yet carried out."""
        forms = [canonicalize(text) for text in texts]
        rows = score_rows(self._runners[stage], [form.text for form in forms])
        return [self._judged(t, r, f, stage) for t, r, f in zip(texts, rows, forms, strict=True)]

    def has_filters(self, stage: Stage) -> bool:
        """Whether anything judges texts of the stage."""
        return bool(self._runners.get(stage))

    def enforce(self, texts: Sequence[str], stage: Stage) -> list[Judgement]:
        """Judge texts and redact where the policy says so.

        Where redaction is not possible, or something still fires on the redacted text, the verdict is to block.
        Where a filter fails on the redacted text, the verdict says so.
        """
        results = self.judge(texts, stage)
        wanted = [i for i, judged in enumerate(results) if judged.verdict.action == Action.REDACT]
        redacted = [self._redacted(texts[i], results[i].verdict) for i in wanted]
        again = iter(self.judge([text for text in redacted if text is not None], stage))
        for i, text in zip(wanted, redacted, strict=True):
            results[i] = _after_redaction(results[i], None if text is None else next(again))
        return results

    def _judged(self, text: str, row: RowScores, form: Canonical, stage: Stage) -> Judgement:
        unscored = [category for category in self.policy.categories(stage) if category not in row.scores]
        # Where a filter failed, the others still count: they may ask for more than on_error does.
        known = {**dict.fromkeys(unscored, 0.0), **row.scores}
        verdict = replace(self.policy.decide(known, stage), scores=dict(row.scores))
        faults, spans = list(row.faults), []
        if unscored and not faults:
            missing = f"no filter scored {', '.join(unscored)}"
            faults.append(Fault(missing, missing))
        for runner in self._runners[stage] if verdict.triggered else ():
            try:
                spans += _spans(runner, form, verdict.triggered)
            except FilterError as error:
                faults.append(runner.fault(error))
        verdict = replace(verdict, spans=tuple(sorted(spans, key=lambda span: (span.start, span.end))))
        if not faults:
            return Judgement(verdict, text)
        action, details = max(verdict.action, self.policy.on_error), "; ".join(fault.detail for fault in faults)
        return Judgement(replace(verdict, action=action, error=details), text, "; ".join(f.brief for f in faults))

    def _redacted(self, text: str, verdict: Verdict) -> str | None:
        """Take out what is to be redacted; None when that cannot be told."""
        rules = self.policy.thresholds
        wanted = {c for c in verdict.triggered if rules[verdict.stage, c][1] == Action.REDACT}
        spans = [span for span in verdict.spans if span.category in wanted]
        if verdict.error is not None or wanted - {span.category for span in spans}:
            return None
        pieces, place = [], 0
        for span in spans:  # in order of their start
            if span.end <= place:
                continue
            pieces += [text[place : span.start], f"[{span.category}]"] if span.start >= place else []
            place = span.end
        return "".join([*pieces, text[place:]])


def _spans(runner: FilterRunner, form: Canonical, categories: Sequence[str]) -> list[Span]:
    """Where a filter finds what fired, in offsets of the original text."""
    if not isinstance(runner.filter, Locator) or not set(categories) & set(runner.categories):
        return []
    found = [span for span in runner.locate(form.text) if span.category in categories]
    return [Span(*form.span(span.start, span.end), span.category, span.score) for span in found]


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
