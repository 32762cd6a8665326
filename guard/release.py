"""What of one text may be released, segment by segment, and the verdict on all of it so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from guard.policy import Policy
from guard.schema import Action, Span, Stage, Verdict
from guard.segments import Segment

__all__ = ["BARE", "Release", "Wording", "redacted"]

_STOPPING = Action.REGENERATE
"""From this action on, nothing more of a text is released."""


@dataclass(frozen=True)
class Wording:
    """How redacted text reads.

    Parameters
    ----------
    placeholder : callable
        From a category and the text that was found to what stands in its place.
    plain : callable
        Goes over what is not redacted.
    """

    placeholder: Callable[[str, str], str]
    plain: Callable[[str], str]


BARE = Wording(lambda category, _value: f"[{category}]", lambda text: text)
"""The category in place of what was found, and everything else as it is."""


def redacted(text: str, spans: Sequence[Span], wording: Wording = BARE) -> str:
    """Put placeholders in the place of spans.

    Parameters
    ----------
    text : str
    spans : sequence of Span
        Offsets of `text`, in any order. Where two overlap, the one that starts first stands for both.
    wording : Wording
    """
    return _Cutter(wording).up_to(len(text), text, 0, spans)


@dataclass
class _Cutter:
    """Writes out a text from left to right, with placeholders for spans."""

    wording: Wording
    place: int = 0  # all before it is written or taken out

    def up_to(self, end: int, window: str, base: int, spans: Sequence[Span]) -> str:
        """Write from where it stands to `end`; ``window[0]`` is the character at offset `base`."""
        pieces: list[str] = []
        for span in sorted(spans, key=lambda span: (span.start, -span.end)):
            if span.end <= self.place or span.start >= end:
                continue
            if span.start >= self.place:
                value = window[span.start - base : span.end - base]
                before = self.wording.plain(window[self.place - base : span.start - base])
                pieces += [before, self.wording.placeholder(span.category, value)]
            self.place = span.end
        if self.place < end:
            pieces.append(self.wording.plain(window[self.place - base : end - base]))
            self.place = end
        return "".join(pieces)


@dataclass
class Release:
    """Takes the verdicts on the segments of one text in their order.

    Parameters
    ----------
    policy : Policy
    stage : {"input", "output"}
    wording : Wording
        How redacted text reads.
    """

    policy: Policy
    stage: Stage
    wording: Wording = BARE
    stopped: bool = False
    """Whether a segment was not to be released; the ones after it are not judged."""
    errors: list[str] = field(default_factory=list)
    briefs: list[str] = field(default_factory=list)
    _action: Action = Action.ALLOW
    _scores: dict[str, float] = field(default_factory=dict)
    _spans: dict[Span, None] = field(default_factory=dict)
    _to_redact: list[Span] = field(default_factory=list)
    _cutter: _Cutter = field(init=False)

    def __post_init__(self) -> None:
        self._cutter = _Cutter(self.wording)

    def add(self, segment: Segment, window: str, verdict: Verdict, brief: str | None) -> str:
        """Take the verdict on the next segment; return what may be released on top of what was.

        Parameters
        ----------
        segment : Segment
        window : str
            Its text.
        verdict : Verdict
            With spans in offsets of `window`.
        brief : str or None
            ``verdict.error`` without the words of exceptions.

        Raises
        ------
        ValueError
            After a segment that stopped the text.
        """
        if self.stopped:
            raise ValueError("this text was stopped: no further segment counts")
        self._merge(segment, verdict, brief)
        if verdict.action >= _STOPPING:
            self.stopped = True
            return ""
        self._to_redact = [span for span in self._to_redact if span.end > self._cutter.place]
        return self._cutter.up_to(segment.release, window, segment.start, self._to_redact)

    def verdict(self) -> Verdict:
        """Return the verdict on all segments so far: the highest scores, the strictest action, all spans."""
        known = {**dict.fromkeys(self.policy.categories(self.stage), 0.0), **self._scores}
        return Verdict(
            action=self._action,
            stage=self.stage,
            scores=dict(self._scores),
            triggered=self.policy.decide(known, self.stage).triggered,
            spans=tuple(sorted(self._spans, key=lambda span: (span.start, span.end, span.category))),
            error="; ".join(dict.fromkeys(self.errors)) or None,
        )

    def brief(self) -> str | None:
        """Return the error of :meth:`verdict` without the words of exceptions."""
        return "; ".join(dict.fromkeys(self.briefs)) or None

    def _merge(self, segment: Segment, verdict: Verdict, brief: str | None) -> None:
        self._action = max(self._action, verdict.action)
        for category, score in verdict.scores.items():
            self._scores[category] = max(score, self._scores.get(category, 0.0))
        for span in verdict.spans:
            moved = replace(span, start=span.start + segment.start, end=span.end + segment.start)
            if moved not in self._spans and self._redacts(span.category):
                self._to_redact.append(moved)
            self._spans[moved] = None
        self.errors += [verdict.error] if verdict.error else []
        self.briefs += [brief] if brief else []

    def _redacts(self, category: str) -> bool:
        rule = self.policy.thresholds.get((self.stage, category))
        return rule is not None and rule[1] == Action.REDACT
