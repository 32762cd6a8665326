"""Texts to verdicts: canonical form, every filter of the stage, the policy, and the spans of what fired."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guard.canonical import Canonical, canonicalize
from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.schema import Action, Filter, Locator, Span, Stage, Verdict
from guard.scoring import FilterRunner, RowScores, score_rows

__all__ = ["Judge"]


class Judge:
    """Applies the filters of a stage and a policy.

    Parameters
    ----------
    policy : Policy
    filters : mapping of Stage to sequence of Filter
    timeout_s : float
        Seconds one filter may take over a batch.

    Raises
    ------
    ConfigError
        When there is no filter at all, something in the list is no filter, the timeout is not positive and finite,
        or the policy has a threshold on a category that no filter of that stage provides.
    """

    def __init__(self, policy: Policy, filters: Mapping[Stage, Sequence[Filter[str]]], *, timeout_s: float) -> None:
        if not 0 < timeout_s < math.inf:
            raise ConfigError(f"filter_timeout_s is {timeout_s}: expected a positive, finite number of seconds")
        _check_filters(policy, filters)
        self.policy = policy
        # One runner a filter, also where it judges both stages: what hangs in one hangs in the other.
        runners = {id(f): FilterRunner(f, timeout_s=timeout_s) for given in filters.values() for f in given}
        self._runners = {stage: [runners[id(f)] for f in given] for stage, given in filters.items()}
        self.names = tuple(dict.fromkeys(runner.filter.name for runner in runners.values()))

    def judge(self, texts: Sequence[str], stage: Stage) -> list[Verdict]:
        """Return a verdict for each text; a REDACT or REGENERATE in it is not yet carried out."""
        forms = [canonicalize(text) for text in texts]
        rows = score_rows(self._runners[stage], [form.text for form in forms])
        return [self._verdict(row, form, stage) for row, form in zip(rows, forms, strict=True)]

    def enforce(self, texts: Sequence[str], stage: Stage) -> list[tuple[Verdict, str]]:
        """Judge texts and redact where the policy says so.

        Returns
        -------
        list of (Verdict, str)
            The verdict that holds and the text it lets through, redacted or as given. Where redaction is not
            possible, or something still fires on the redacted text, the verdict is to block.
        """
        verdicts = self.judge(texts, stage)
        results = list(zip(verdicts, texts, strict=True))
        wanted = [i for i, verdict in enumerate(verdicts) if verdict.action == Action.REDACT]
        redacted = [self._redacted(texts[i], verdicts[i]) for i in wanted]
        again = iter(self.judge([text for text in redacted if text is not None], stage))
        for i, text in zip(wanted, redacted, strict=True):
            if text is None or next(again).action >= Action.REDACT:
                results[i] = replace(verdicts[i], action=Action.BLOCK), texts[i]
            else:
                results[i] = verdicts[i], text
        return results

    def _verdict(self, row: RowScores, form: Canonical, stage: Stage) -> Verdict:
        unknown = dict.fromkeys((c for c in self.policy.categories(stage) if c not in row.scores), 0.0)
        # Where a filter failed, the others still count: they may ask for more than on_error does.
        verdict = replace(self.policy.decide({**unknown, **row.scores}, stage), scores=dict(row.scores))
        errors, spans = list(row.errors), []
        for runner in self._runners[stage] if verdict.triggered else ():
            try:
                spans += _spans(runner, form, verdict.triggered)
            except FilterError as error:
                errors.append(" ".join(str(error).split()))
        verdict = replace(verdict, spans=tuple(sorted(spans, key=lambda span: (span.start, span.end))))
        if not errors:
            return verdict
        return replace(verdict, action=max(verdict.action, self.policy.on_error), error="; ".join(errors))

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
    if not isinstance(runner.filter, Locator) or not set(categories) & set(runner.filter.categories):
        return []
    found = [span for span in runner.locate(form.text) if span.category in categories]
    return [Span(*form.span(span.start, span.end), span.category, span.score) for span in found]


def _check_filters(policy: Policy, filters: Mapping[Stage, Sequence[Filter[str]]]) -> None:
    everything = [f for given in filters.values() for f in given]
    if not everything:
        raise ConfigError("no filters were given, for inputs or for outputs: a guard without any would judge nothing")
    for f in everything:
        if not isinstance(f, Filter):
            raise ConfigError(
                f"{f!r} is no filter: it needs name, categories and score_batch (or wrap it: CallableFilter)"
            )
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
