"""A function of one's own, or a list of regular expressions, as a filter."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from guard.canonical import canonicalize
from guard.errors import ConfigError, FilterError
from guard.schema import Scores, Span, check_scores

__all__ = ["CallableFilter", "RegexFilter"]


class CallableFilter:
    """Wraps a function from one text to its score, or to one score a category.

    Parameters
    ----------
    function : callable
        Takes a str. Returns a number in [0, 1] when there is one category, else a mapping with one number for each.
    categories : sequence of str
    name : str or None
        What records call the filter, such as ``shouting@2``. By default ``callable@`` and the function's name: code
        has no digest that survives a new Python, so state a version when you need one.

    Examples
    --------
    >>> shouting = CallableFilter(lambda text: float(text.isupper()), categories=["shouting"])
    >>> shouting.score_batch(["HELLO", "hello"]).tolist()
    [[1.0], [0.0]]
    """

    def __init__(
        self,
        function: Callable[[str], float | Mapping[str, float]],
        *,
        categories: Sequence[str],
        name: str | None = None,
    ) -> None:
        self._function = function
        self._categories = _checked_categories(categories)
        self._name = name or f"callable@{getattr(function, '__qualname__', type(function).__name__)}"

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """As given."""
        return self._categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Call the function on every text.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)).

        Raises
        ------
        FilterError
            When the function raises, or returns something other than what `categories` asks for, or a number that
            is NaN or outside [0, 1].
        """
        rows = [self._row(item) for item in items]
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as that
            scores = np.array(rows, dtype=np.float32).reshape(len(items), len(self._categories))
        return check_scores(scores, n_items=len(items), filter_=self)

    def _row(self, item: str) -> list[float]:
        try:
            result = self._function(item)
        except Exception as error:
            raise FilterError(f"filter {self._name} raised {type(error).__name__}: {error}") from error
        values: Mapping[str, float]
        if isinstance(result, Mapping):
            values = result
        else:
            values = {self._categories[0]: result} if len(self._categories) == 1 else {}
        try:
            return [float(values[category]) for category in self._categories]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            rule = f"a number for each of {', '.join(self._categories)}"
            raise FilterError(f"filter {self._name} returned {type(result).__name__}, expected {rule}") from error


class RegexFilter:
    r"""Scores 1 where a regular expression of the category is found. Also a Locator.

    Expressions see the canonical text, in which a disguised word is spelled plainly. Python's engine cannot be
    interrupted while it matches: write expressions that do not backtrack without bound.

    Parameters
    ----------
    patterns : mapping of str to iterable of str
        Category to expressions, in the syntax of `re`, matched in any case.

    Raises
    ------
    ConfigError
        When a category has no list of expressions, or an expression does not compile or matches the empty text.

    Examples
    --------
    >>> codes = RegexFilter({"project_name": [r"\bproject [a-z]+"]})
    >>> codes.locate("Ask Project Falcon")
    (Span(start=4, end=18, category='project_name', score=1.0),)
    """

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        sources = {category: _expressions(category, given) for category, given in patterns.items()}
        self._categories = _checked_categories(sources)
        self._patterns = {category: [_compiled(e, category) for e in sources[category]] for category in sources}
        self._name = f"regex@{hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:12]}"

    @classmethod
    def from_toml(cls, path: str | Path) -> RegexFilter:
        """Read patterns from a TOML file: a list of expressions for each category.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ConfigError
            When the file is missing or not TOML, or as the constructor does.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"patterns {path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"patterns {path} is not valid TOML: {error}") from error
        return cls(table)

    @property
    def name(self) -> str:
        """``regex@`` and 12 hexadecimal digits of the SHA-256 of the expressions."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, in the order given."""
        return self._categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Search every text.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), each 0 or 1.
        """
        texts = [canonicalize(item).text for item in items]
        found = [[any(p.search(text) for p in self._patterns[c]) for c in self._categories] for text in texts]
        return np.array(found, dtype=np.float32).reshape(len(items), len(self._categories))

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return every match, in offsets of `text`, in order of their start."""
        canonical = canonicalize(text)
        found = [
            Span(*canonical.span(*match.span()), category, 1.0)
            for category, patterns in self._patterns.items()
            for pattern in patterns
            for match in pattern.finditer(canonical.text)
        ]
        return tuple(sorted(found, key=lambda span: (span.start, span.end, span.category)))


def _checked_categories(categories: Iterable[str]) -> tuple[str, ...]:
    names = tuple(categories)
    if not names or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"categories are {names!r}: expected at least one, each a text, none twice")
    return names


def _expressions(category: str, given: Iterable[str]) -> tuple[str, ...]:
    expressions = () if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) else tuple(given)
    if not expressions or not all(isinstance(expression, str) for expression in expressions):
        raise ConfigError(f"expressions of {category} are {given!r}: expected a list of at least one text")
    return expressions


def _compiled(expression: str, category: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"expression {expression!r} of {category} does not compile: {error}") from error
    if pattern.search(""):
        raise ConfigError(f"expression {expression!r} of {category} matches the empty text: it would flag everything")
    return pattern
