"""Requests for, and offers of, medical, financial and legal advice, by a small phrase model."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ahocorasick
import numpy as np

from guard.canonical import Canonical, canonicalize, fold
from guard.errors import ConfigError
from guard.schema import Scores, Span

__all__ = ["DomainFilter"]

_MODEL = Path(__file__).with_name("domain.toml")
_SENTENCE = re.compile(
    r"[^.!?\u3002\uff01\uff1f]+(?:[.!?\u3002\uff01\uff1f]+(?!\s|\Z)[^.!?\u3002\uff01\uff1f]+)*[.!?]*"
)
_LONGEST_SENTENCE = 600
_TOPIC_ALONE = 0.1  # a text of the field that asks for nothing
_WEIGHTS = ("strong", "weak", "personal", "task", "previous")
_SECTIONS = frozenset(("strong", "weak", "never"))


@dataclass(frozen=True)
class _Term:
    domain: int
    weight: str
    open_ended: bool


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    scores: tuple[float, ...]


class DomainFilter:
    """Tells advice on somebody's own case from mere talk of the field. Also a Locator.

    A sentence scores high when it has a term of the field *and* a phrase that asks for or gives advice ("should I",
    "you should", "I recommend"), more so when it speaks of a person's own case; a term alone scores at most 0.1. A
    term of the sentences before counts too, less and less. English only. For policies that review such text, or add
    a notice.

    Parameters
    ----------
    model : str or Path or None
        A phrase model in the form of ``domain.toml`` beside this file, which is the default. Its tables, but for
        ``weights`` and ``frames``, are the categories.

    Raises
    ------
    ConfigError
        When the file cannot be read, is not TOML, or lacks a part or has an unknown one.

    Examples
    --------
    >>> advice = DomainFilter().score_batch(["Should I take aspirin?", "Aspirin was invented in 1897."])
    >>> (advice[:, 2] >= 0.5).tolist()
    [True, False]
    """

    def __init__(self, model: str | Path | None = None) -> None:
        path = Path(model) if model is not None else _MODEL
        table, self._digest = _read(path)
        try:
            weights = table.pop("weights")
            self._weights = {key: _share(weights.pop(key)) for key in _WEIGHTS}
            frames = table.pop("frames")
            self._task, self._personal = _any_of(frames.pop("task")), _any_of(frames.pop("personal"))
            self._frames = sorted(((_share(key), _any_of(value)) for key, value in frames.items()), reverse=True)
            self._domains = tuple(sorted(table))
            self._never = [_any_of(table[domain].get("never", ())) for domain in self._domains]
            self._terms = _automaton(table, self._domains)
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            rule = "weights, frames with task and personal, and a table with strong, weak and never for each domain"
            raise ConfigError(f"phrase model {path}: {error!r}; expected {rule}") from error

    @property
    def name(self) -> str:
        """``domain@`` and 12 hexadecimal digits of the SHA-256 of the phrase model."""
        return f"domain@{self._digest}"

    @property
    def categories(self) -> tuple[str, ...]:
        """The domains, sorted: financial_advice, legal_advice and medical_advice by default."""
        return self._domains

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text by its best sentence, for each domain.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1]; 0 where no term of the field occurs.
        """
        scores = np.zeros((len(items), len(self._domains)), dtype=np.float32)
        for row, item in enumerate(items):
            for found in self._find(fold(canonicalize(item)).text):
                scores[row] = np.maximum(scores[row], np.array(found.scores, dtype=np.float32))
        return scores

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the sentences that have a score, one span for each domain, in order of their start."""
        folded: Canonical = fold(canonicalize(text))
        spans = [
            Span(*folded.span(found.start, found.end), domain, score)
            for found in self._find(folded.text)
            for domain, score in zip(self._domains, found.scores, strict=True)
            if score > 0
        ]
        return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.category)))

    def _find(self, text: str) -> Iterator[_Found]:
        hits = list(self._hits(text))
        if not hits:
            return
        is_task = self._task.search(text) is not None
        nothing = tuple(0.0 for _ in self._domains)
        before, place = nothing, 0
        for start, end in _sentences(text):
            sentence = text[start:end]
            own = []
            while place < len(hits) and hits[place][0] < end:
                own.append(hits[place])
                place += 1
            topics = self._topics(sentence, start, own) if own else nothing
            kept = tuple(max(now, then * self._weights["previous"]) for now, then in zip(topics, before, strict=True))
            before = kept
            if any(kept):
                frame = self._frame(sentence) * (self._weights["task"] if is_task else 1.0)
                scores = tuple(_rounded(topic * max(frame, _TOPIC_ALONE)) for topic in kept)
                yield _Found(start, end, scores)

    def _hits(self, text: str) -> Iterator[tuple[int, int, tuple[_Term, ...]]]:
        for last, (length, terms) in self._terms.iter(text):
            start, end = last - length + 1, last + 1
            if start > 0 and text[start - 1].isalnum():
                continue
            whole = _ends_word(text, end)
            fitting = tuple(term for term in terms if whole or term.open_ended)
            if fitting:
                yield start, end, fitting

    def _topics(
        self, sentence: str, offset: int, hits: Sequence[tuple[int, int, tuple[_Term, ...]]]
    ) -> tuple[float, ...]:
        """How much a sentence is of each field: its distinct terms, without those that mean something else here."""
        totals = []
        for domain, never in enumerate(self._never):
            barred = [match.span() for match in never.finditer(sentence)]
            strong: set[int] = set()
            weak: set[int] = set()
            for start, end, terms in hits:
                inside = any(a <= start - offset and end - offset <= b for a, b in barred)
                for term in () if inside else terms:
                    if term.domain == domain:
                        (strong if term.weight == "strong" else weak).add(start)
            first = self._weights["strong"] if strong else 0.0
            further = max(len(strong) - 1, 0) + len(weak - strong)
            totals.append(min(1.0, first + self._weights["weak"] * further))
        return tuple(totals)

    def _frame(self, sentence: str) -> float:
        """How clearly a sentence asks for or gives advice."""
        sentence = sentence.strip()
        best = next((weight for weight, pattern in self._frames if pattern.search(sentence)), 0.0)
        return best + self._weights["personal"] if best and self._personal.search(sentence) else best


def _rounded(score: float) -> float:
    return round(min(score, 1.0), 4)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = path.read_bytes()
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigError(f"phrase model {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"phrase model {path} is not valid TOML: {error}") from error
    return table, hashlib.sha256(content).hexdigest()[:12]


def _share(value: object) -> float:
    number = float(str(value))
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} lies outside [0, 1]")
    return number


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{phrase})" for phrase in phrases) or r"(?!)")


def _automaton(table: Mapping[str, Mapping[str, Sequence[str]]], domains: Sequence[str]) -> Any:
    by_text: dict[str, list[_Term]] = {}
    for i, domain in enumerate(domains):
        if unknown := set(table[domain]) - _SECTIONS:
            raise ValueError(f"unknown key {sorted(unknown)[0]!r} in {domain}")
        for weight in ("strong", "weak"):
            for text in table[domain][weight]:
                by_text.setdefault(text.rstrip("*"), []).append(_Term(i, weight, text.endswith("*")))
    automaton = ahocorasick.Automaton()
    for text, terms in by_text.items():
        automaton.add_word(text, (len(text), tuple(terms)))
    automaton.make_automaton()
    return automaton


def _ends_word(text: str, end: int) -> bool:
    """Whether the word ends here, but for a plural ending."""
    for ending in ("", "s", "es"):
        after = end + len(ending)
        if text.startswith(ending, end) and not text[after : after + 1].isalnum():
            return True
    return False


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text into sentences, long ones into pieces, so that no expression meets a text without bound."""
    for match in _SENTENCE.finditer(text):
        for start in range(match.start(), match.end(), _LONGEST_SENTENCE):
            yield start, min(start + _LONGEST_SENTENCE, match.end())
