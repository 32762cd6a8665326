"""Personal data: Presidio's recognisers on the few places of a canonical text that could hold any."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from guard.canonical import canonicalize
from guard.errors import ConfigError, FilterError
from guard.filters.pii_rules import CONTEXT_AFTER, CONTEXT_BEFORE, RULES, Window, read_rules, score_of
from guard.schema import Scores, Span

if TYPE_CHECKING:
    from spacy.language import Language

    from guard.filters.pii_recognizers import Recognizer

__all__ = ["REGIONS", "PiiFilter"]

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "CN", "BR", "AU", "JP")
"""Whose national phone numbers are read; an international one, with a plus, is read from anywhere."""

_ALL = "pii"
_DEFAULT_MODEL = "en_core_web_sm"
_NAME_SCORE = 0.85  # Presidio's own for what spaCy finds
_NAME_LABELS = MappingProxyType({"PERSON": "pii_name", "PER": "pii_name", "GPE": "pii_place", "LOC": "pii_place"})

_WINDOW, _OVERLAP = 600, 200
_WORD_REACH, _WORDS_BEFORE, _WORDS_AFTER = 80, 4, 5
_MOST_PHONE_DIGITS = 15  # ITU-T E.164
_Heard = dict[str, list[tuple[int, int, float]]]

_HINTS = (*"1203456789@", "dot", "Dot", "DOT")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_DIGIT = re.compile(r"\d")
# Places that could hold an identifier. Each alternative runs in time that is linear in the text.
_PLACE = re.compile(
    r"@"
    r"|[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){5,}"
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
    r"|(?<![0-9A-Za-z:])[0-9A-Fa-f]{0,4}(?:[:-][0-9A-Fa-f]{0,4}){5,7}"
    r"|(?<![0-9A-Za-z])(?=[A-Za-z]{0,16}[0-9])[0-9A-Za-z]{8,}"
    r"|(?<![0-9A-Za-z])[0-9][0-9A-Za-z]{3}-[0-9A-Za-z]{3}-[0-9A-Za-z]{4}(?![0-9A-Za-z])"
    r"|\b(?:[Ss][Ss][Nn]|[Ss]ocial)\b"
    r"|[(\[{ ][Dd][Oo][Tt][)\]} ]"
)
# What looks like a number of a person, and is none: it is blanked out first.
_OTHER_THINGS = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\b[12]\d{3}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    r"(?:[T ]\d{1,2}:\d{2}(?::\d{2})?(?:\.\d{1,9})?)?(?![-\d])"
    r"|(?<![\d/.-])\d{1,2}([-/.])\d{1,2}\1(?:19|20)\d{2}(?![-\d])"
    r"|[$\u20ac\u00a3\u00a5\u20b9] ?\d{1,3}(?:,?\d{3}){0,3}(?:\.\d{1,2})?(?![ -]?\d)"
    r"|(?<![\d.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])"
    r"|(?<![\d.])\d+\.\d{5,}(?![\d.])"
    r"|\b(?=[0-9]{0,12}[a-fA-F])(?=[a-fA-F]{0,12}[0-9])[0-9a-fA-F]{32,}\b(?!@)"
    r"|(?<![0-9A-Za-z])(?:97[89][- ]?)(?:\d[- ]?){9}[\dXx](?![\d-])"
)
_BLANK = "\u00a7"
# Digits one by one, or in groups with a mark that no recogniser knows.
_SPACED = re.compile(r"(?<![0-9A-Za-z])[0-9](?:([ ._*~|/-])[0-9])(?:\1[0-9]){6,30}(?![0-9A-Za-z])")
_GROUPED = re.compile(r"(?<![0-9A-Za-z])[0-9]{1,8}(?:([ ._*~|/-])[0-9]{2,8})(?:\1[0-9]{2,8}){1,8}(?![0-9A-Za-z])")
_PERHAPS_PHONE = re.compile(r"(?<![0-9A-Za-z])[+(]{0,2}[0-9](?:[ ().+/-]{0,3}[0-9]){6,16}(?![0-9A-Za-z])")
_SELF_EVIDENT = frozenset(("pii_card", "pii_identity"))


@dataclass(frozen=True)
class _Found:
    start: int
    end: int
    category: str
    score: float


class PiiFilter:
    """Finds personal data by its form, its check digits and the words beside it. Also a Locator.

    Categories are one for each kind, so that a policy can redact addresses and block cards, and ``pii`` for the
    highest of them: ``pii_email``, ``pii_phone``, ``pii_card``, ``pii_bank`` (IBAN, account and routing numbers),
    ``pii_crypto``, ``pii_network`` (IP and MAC), ``pii_identity`` (social security, tax, passport, licence, resident
    numbers), ``pii_health``, and with `names` also ``pii_name`` and ``pii_place``. A score is the confidence that
    `pii.toml` gives to the form, to the form with a passed check, and to both with a context word; 0.5 is the
    threshold that its numbers are made for.

    Presidio is imported, and recognisers are built, when the first text with a digit or an @ comes, or by
    :meth:`prepare`.

    Parameters
    ----------
    names : bool or str
        Find names and places too, with an installed spaCy model of this name or path; True takes en_core_web_sm.
    regions : sequence of str
        Whose national phone numbers are read, as ISO 3166 codes.

    Raises
    ------
    ConfigError
        When the model of `names` is not installed, or there are no regions.

    Examples
    --------
    >>> finder = PiiFilter()
    >>> finder.locate("Card 4111 1111 1111 1111")[0]
    Span(start=5, end=24, category='pii', score=1.0)
    """

    def __init__(self, *, names: bool | str = False, regions: Sequence[str] = REGIONS) -> None:
        if isinstance(regions, str) or not regions:
            raise ConfigError(f"regions is {regions!r}: expected a list of ISO 3166 codes, such as ['US', 'DE']")
        self._regions = tuple(regions)
        self._rules = read_rules()
        self._model = (_DEFAULT_MODEL if names is True else names) or None
        self._language = _spacy_model(self._model) if self._model else None
        kinds = {rule.category for rule in self._rules} | (set(_NAME_LABELS.values()) if self._model else set())
        self._categories = (_ALL, *sorted(kinds))
        self._lock = threading.Lock()
        self._made: Mapping[str, Recognizer] | None = None

    @property
    def name(self) -> str:
        """``pii@`` and 12 hexadecimal digits of the SHA-256 of the rules, the libraries' versions and the options."""
        return self._name

    @functools.cached_property
    def _name(self) -> str:
        libraries = [importlib.metadata.version(name) for name in ("presidio-analyzer", "phonenumbers")]
        options = repr((libraries, self._regions, self._model)).encode()
        return f"pii@{hashlib.sha256(RULES.read_bytes() + options).hexdigest()[:12]}"

    @property
    def categories(self) -> tuple[str, ...]:
        """``pii``, then the kinds, sorted."""
        return self._categories

    def prepare(self) -> None:
        """Import Presidio and build the recognisers now: it takes seconds, which no request should wait for.

        Raises
        ------
        FilterError
            When Presidio cannot be imported.
        """
        self._recognizers()

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text by the surest finding of each kind.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1]; 0 where nothing was found.

        Raises
        ------
        FilterError
            When Presidio cannot be imported.
        """
        scores = np.zeros((len(items), len(self._categories)), dtype=np.float32)
        column = {category: i for i, category in enumerate(self._categories)}
        for row, item in enumerate(items):
            for found in self._find(canonicalize(item).text):
                for category in (_ALL, found.category):
                    place = row, column[category]
                    scores[place] = max(scores[place], found.score)
        return scores

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return where personal data is, in offsets of `text`: one span for its kind and one for ``pii``.

        Parameters
        ----------
        text : str

        Returns
        -------
        tuple of Span
            In order of their start. Findings do not overlap.
        """
        canonical = canonicalize(text)
        spans = [
            Span(*canonical.span(found.start, found.end), category, found.score)
            for found in self._find(canonical.text)
            for category in (_ALL, found.category)
        ]
        return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.category)))

    def _find(self, text: str) -> list[_Found]:
        named = list(self._names(text)) if self._language else []
        plain = _plain(text)
        if not any(hint in plain for hint in _HINTS) or not _PLACE.search(plain):
            return named
        plain = _OTHER_THINGS.sub(lambda match: _BLANK * len(match[0]), plain)
        lowered = text.lower() if len(text.lower()) == len(text) else text
        found = [*named, *self._numbers(plain, lowered)]
        return _apart(_Found(f.start, f.end, f.category, round(min(f.score, 1.0), 4)) for f in found if f.score > 0)

    def _numbers(self, plain: str, lowered: str) -> Iterator[_Found]:
        heard: _Heard = {}
        for start, end in _windows(plain):
            cut_at_start = start > 0 and not plain[start - 1].isspace()
            cut_at_end = end < len(plain) and not plain[end].isspace()
            for found in self._in_window(plain[start:end], lowered, start, heard):
                # What touches such an edge may be a part of a number: the window beside it has it whole.
                is_part = (cut_at_start and found.start == start) or (cut_at_end and found.end == end)
                if not is_part or found.category == "pii_email":
                    yield found
        for match in (*_SPACED.finditer(plain), *_GROUPED.finditer(plain)):
            joined = match[0].replace(match[1], "")
            for found in self._in_window(joined, lowered, match.start(), heard):
                whole = (found.start, found.end) == (match.start(), match.start() + len(joined))
                if whole and (match.re is _SPACED or found.category in _SELF_EVIDENT):
                    yield _Found(match.start(), match.end(), found.category, found.score)

    def _in_window(self, window: str, lowered: str, offset: int, heard: _Heard) -> Iterator[_Found]:
        near = lowered[max(0, offset - CONTEXT_BEFORE) : offset + len(window) + CONTEXT_AFTER]
        asked = Window(window, near)
        for rule in self._rules:
            if not rule.fits(asked):
                continue
            for start, end, confidence in self._matches(rule.recognizer, window, heard):
                score = score_of(rule, window[start:end], confidence, lowered, offset + start)
                yield _Found(offset + start, offset + end, rule.category, score)

    def _matches(self, name: str, window: str, heard: _Heard) -> Iterator[tuple[int, int, float]]:
        recognizer = self._recognizers()[name]
        if name != "PhoneRecognizer":
            for result in recognizer.analyze(window, recognizer.supported_entities):
                yield result.start, result.end, result.score
            return
        # phonenumbers reads a text once a region, so it gets only what could be a number, and each of those once.
        for match in _PERHAPS_PHONE.finditer(window):
            piece, place = match[0], match.start()
            if len(_DIGIT.findall(piece)) > _MOST_PHONE_DIGITS:
                continue
            if piece not in heard:
                found = recognizer.analyze(piece, recognizer.supported_entities)
                heard[piece] = [(result.start, result.end, result.score) for result in found]
            yield from ((place + start, place + end, score) for start, end, score in heard[piece])

    def _recognizers(self) -> Mapping[str, Recognizer]:
        """Build once, on first need: importing Presidio takes seconds."""
        made = self._made
        if made is not None:
            return made
        with self._lock:
            if self._made is None:
                try:
                    from guard.filters.pii_recognizers import recognizers
                except ImportError as error:
                    raise FilterError(f"filter pii needs presidio-analyzer: {error}") from error
                self._made = recognizers([rule.recognizer for rule in self._rules], regions=self._regions)
            return self._made

    def _names(self, text: str) -> Iterator[_Found]:
        assert self._language is not None
        step = self._language.max_length // 10
        for start in range(0, len(text), step):
            for entity in self._language(text[start : start + step]).ents:
                if entity.label_ in _NAME_LABELS:
                    place = start + entity.start_char, start + entity.end_char
                    yield _Found(*place, _NAME_LABELS[entity.label_], _NAME_SCORE)


def _spacy_model(name: str) -> Language:
    import spacy

    try:
        return spacy.load(name)
    except OSError as error:
        way_out = f"install it (python -m spacy download {name}), or leave names out"
        raise ConfigError(f"names need the spaCy model {name!r}, which is not installed: {way_out}") from error


def _plain(text: str) -> str:
    """Digits of all scripts as ASCII, and scripts without spaces as spaces, so that word boundaries are there."""
    if text.isascii():
        return text
    text = _DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)
    return _UNSPACED.sub(" ", text)


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Pieces of text around places, cut at spaces; a long piece as overlapping windows, so that cost stays linear."""
    current: list[int] | None = None
    for match in _PLACE.finditer(text):
        start, end = _word_start(text, match.start()), _word_end(text, match.end())
        if current is not None and start <= current[1]:
            current[1] = max(current[1], end)
            continue
        if current is not None:
            yield from _cut(*current)
        current = [start, end]
    if current is not None:
        yield from _cut(*current)


def _word_start(text: str, place: int) -> int:
    """Return where the words before a place begin, as far as they are near."""
    low = max(0, place - _WORD_REACH)
    start = place
    for _ in range(_WORDS_BEFORE):
        space = text.rfind(" ", low, start)
        if space < 0:
            return low if low == 0 or start == place else start + 1
        start = space
    return start + 1


def _word_end(text: str, place: int) -> int:
    high = min(len(text), place + 3 * _WORD_REACH)
    end = place - 1
    for _ in range(_WORDS_AFTER):
        space = text.find(" ", end + 1, high)
        if space < 0:
            return high if high == len(text) or end < place else end
        end = space
    return end


def _cut(start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _WINDOW:
        yield start, start + _WINDOW
        start += _WINDOW - _OVERLAP
    yield start, end


def _apart(found: Iterable[_Found]) -> list[_Found]:
    """Keep the surest of overlapping findings, and of equally sure ones the longest."""
    kept: list[_Found] = []
    ranked = sorted(set(found), key=lambda one: (-one.score, one.start - one.end, one.start, one.category))
    taken = bytearray(max((one.end for one in ranked), default=0))
    for one in ranked:
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)
