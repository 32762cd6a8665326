"""Word lists to scores and spans, in one Aho-Corasick pass over canonical text."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ahocorasick
import numpy as np

from guard.canonical import Canonical, canonicalize, fold
from guard.errors import ConfigError, DataError
from guard.schema import Scores, Span

__all__ = ["LexicalFilter", "Term"]

_COLUMNS = ("text", "severity_rating")
_TOP_RATING = 3.0
_EVERYDAY_SCORE = 0.2
_APOSTROPHE = "\u02bc"  # a letter by its category
_QUOTES = "\u02bb\u02bc\u02bd"  # letters too, and some languages' own; at the edge of a word they look like quotes
_MOST_QUOTES = 3
_NUMBERED = re.compile(r"[0-9]{1,4}(?![^\W_])")
_TERM_KEYS = ("category", "score", "text")

# Scripts that put no space between words: there, every neighbour is a word boundary.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

# Terms of the public lexicon that more often mean something else: things, animals, names, anatomy, and plain words
# for who people are. They score low whatever their rating, because a filter that stops people from naming
# themselves or their body does the harm it should prevent.
_EVERYDAY_WORDS = """
69 anal anus bates bbc bender bishes bondage boner booty breasts buttermilk chink coot cooties cotton_picker
creampie crotch crow crows dipstick dix dolt dong double_pen dyke fick finger flamer flamers focker forked
gayest gayness greaser groper gyp hoar hoe hoes hooters hustler jigger jiggs jim_crow kkk klan knickers knob
ku_kluxer mfs molester mong mongrel muff negro negroes nicker nip nobs nonce nuggets nut_butter nymphomaniac
octopussy peen peter puss pussy_cat queers ramrod rectum redskin s&m s.o.b. s.o.b.s sack sambo scut sheet shet
sissy slag slanty slit snatch spanking sperm sphincter spook spooks spunk suck swine tart tramp transvestite vag vulva
wang weiner wet_back
"""
_EVERYDAY = frozenset(_EVERYDAY_WORDS.split())


@dataclass(frozen=True)
class Term:
    """A word or phrase to look for.

    Parameters
    ----------
    text : str
        Matched as a whole word, in any case, with or without accents and disguises (see `guard.canonical`).
    category : str
    score : float
        In [0, 1]: how grave one occurrence is.
    """

    text: str
    category: str
    score: float


@dataclass(frozen=True)
class _Hit:
    start: int
    end: int
    term: Term


class LexicalFilter:
    """Scores a text by the gravest listed term in it, for each category. Also a Locator.

    Parameters
    ----------
    terms : iterable of Term
        Where two have the same text and category, the later one counts.

    Raises
    ------
    ConfigError
        When there are no terms, or one is empty in canonical form or has a score outside [0, 1].

    Examples
    --------
    >>> swearing = LexicalFilter([Term("darn", "profanity", 0.5)])
    >>> swearing.score_batch(["Well, D\u0430RN it", "darning socks"]).tolist()
    [[0.5], [0.0]]
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self._terms = {(term.text, term.category): term for term in map(_normalized, terms)}
        if not self._terms:
            raise ConfigError("the word list is empty: give at least one term")
        self._categories = tuple(sorted({term.category for term in self._terms.values()}))
        self._automaton = _automaton(self._terms.values())

    @classmethod
    def from_asset(cls, path: str | Path, *, category: str = "profanity") -> LexicalFilter:
        """Read the public English profanity lexicon.

        A term scores its severity rating (1 mild, 2 strong, 3 severe) over 3, so that strong and severe ones reach
        0.66. Terms that more often mean something harmless score at most 0.2.

        Parameters
        ----------
        path : str or Path
            CSV with the columns ``text`` and ``severity_rating``; others are ignored.
        category : str

        Raises
        ------
        DataError
            When the file cannot be read, lacks a column, or holds a rating that is no number of 0 or more.
        """
        return cls(_lexicon_terms(Path(path), category))

    @classmethod
    def from_toml(cls, path: str | Path) -> LexicalFilter:
        """Read a list of one's own: ``[[term]]`` tables with the keys text, category and score.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ConfigError
            When the file is missing or not TOML, or a key or value is unknown or impossible.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"word list {path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"word list {path} is not valid TOML: {error}") from error
        rows = table.pop("term", [])
        if table or not isinstance(rows, list):
            raise ConfigError(f"word list {path}: unknown key {next(iter(table), 'term')!r}; known: [[term]] tables")
        return cls(_toml_term(row, f"word list {path}: term {i}") for i, row in enumerate(rows, start=1))

    def merged(self, other: LexicalFilter) -> LexicalFilter:
        """Return a filter with the terms of both; where both list a term in a category, `other` counts."""
        return LexicalFilter([*self._terms.values(), *other._terms.values()])

    @property
    def name(self) -> str:
        """``lexical@`` and 12 hexadecimal digits of the SHA-256 of the terms."""
        return self._name

    @functools.cached_property
    def _name(self) -> str:
        rows = sorted((term.text, term.category, term.score) for term in self._terms.values())
        return f"lexical@{hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]}"

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of the terms, sorted."""
        return self._categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text by its gravest term.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1]; 0 where nothing was found.
        """
        scores = np.zeros((len(items), len(self._categories)), dtype=np.float32)
        column = {category: i for i, category in enumerate(self._categories)}
        for row, item in enumerate(items):
            for hit in self._hits(fold(canonicalize(item)).text):
                place = row, column[hit.term.category]
                scores[place] = max(scores[place], hit.term.score)
        return scores

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return where terms occur, in offsets of `text`; those that score 0 are left out.

        Parameters
        ----------
        text : str

        Returns
        -------
        tuple of Span
            In order of their start. Spans may overlap.
        """
        folded: Canonical = fold(canonicalize(text))
        found = [
            Span(*folded.span(hit.start, hit.end), hit.term.category, hit.term.score)
            for hit in self._hits(folded.text)
            if hit.term.score > 0
        ]
        return tuple(sorted(found, key=lambda span: (span.start, span.end, span.category)))

    def _hits(self, text: str) -> Iterator[_Hit]:
        for last, terms in self._automaton.iter(text):
            start, end = last - len(terms[0].text) + 1, last + 1
            if not (_glued(text, start - 1, start) or _glued(text, end, last)):
                yield from (_Hit(start, end, term) for term in terms)


def _automaton(terms: Iterable[Term]) -> Any:
    """Build the automaton, which yields all terms of one text together."""
    by_text: dict[str, list[Term]] = {}
    for term in terms:
        by_text.setdefault(term.text, []).append(term)
    automaton = ahocorasick.Automaton()
    for text, same in by_text.items():
        automaton.add_word(text, tuple(same))
    automaton.make_automaton()
    return automaton


def _glued(text: str, outside: int, inside: int) -> bool:
    """Whether the character beside a match continues its word: "cocktail" holds no "tail", "tail2" and "ʼtailʼ" do."""
    step = 1 if outside > inside else -1
    place = outside
    while 0 <= place < len(text) and text[place] in _QUOTES and abs(place - outside) < _MOST_QUOTES:
        place += step
    if not 0 <= place < len(text) or text[outside] == _APOSTROPHE:
        return False
    if step > 0 and text[inside].isalpha() and _NUMBERED.match(text, place):
        return False
    neighbour = text[place]
    return neighbour.isalnum() and not _UNSPACED.match(neighbour) and not _UNSPACED.match(text[inside])


def _normalized(term: Term) -> Term:
    text = fold(canonicalize(term.text)).text.strip()
    if not text or not term.category:
        raise ConfigError(f"term {term.text!r} in category {term.category!r}: neither may be empty")
    if not 0.0 <= term.score <= 1.0:
        raise ConfigError(f"term {term.text!r} has score {term.score}: expected a number in [0, 1]")
    return Term(text, term.category, term.score)


def _lexicon_terms(path: Path, category: str) -> Iterator[Term]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"lexicon {path} lacks the column {missing[0]!r}: expected {', '.join(_COLUMNS)}")
            for row in reader:
                yield _lexicon_term(row, f"lexicon {path}, line {reader.line_num}", category)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"lexicon {path} cannot be read: {error}") from error


def _lexicon_term(row: dict[str, str], where: str, category: str) -> Term:
    text, rating = row["text"], row["severity_rating"]
    try:
        score = min(float(rating) / _TOP_RATING, 1.0)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: severity_rating is {rating!r}, expected a number") from error
    if not text or not score >= 0:
        raise DataError(f"{where}: expected a text and a rating of 0 or more, found {text!r} and {rating!r}")
    everyday = "_".join(text.lower().split()) in _EVERYDAY
    return Term(text, category, min(score, _EVERYDAY_SCORE) if everyday else score)


def _toml_term(row: object, where: str) -> Term:
    if not isinstance(row, dict):
        raise ConfigError(f"{where} must be a table with the keys {', '.join(_TERM_KEYS)}")
    for key in row:
        if key not in _TERM_KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(_TERM_KEYS)}")
    text, category, score = row.get("text"), row.get("category"), row.get("score")
    if not isinstance(text, str) or not isinstance(category, str):
        raise ConfigError(f"{where}: text and category must be given as texts")
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise ConfigError(f"{where}: score is {score!r}, expected a number in [0, 1]")
    return Term(text, category, float(score))
