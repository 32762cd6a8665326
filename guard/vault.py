"""Reversible redaction: what was found goes into a vault, and a placeholder stands in its place."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from guard.canonical import canonicalize
from guard.errors import ConfigError
from guard.schema import Span, Stage

__all__ = ["Restorer", "Vault"]

_LITERAL = "literal"
_LONGEST_KIND = 32
_MOST_VALUES = 9_999_999  # seven digits in a placeholder

_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z0-9_]{0,31}_[1-9][0-9]{0,6})\]")
# What may still become a placeholder: its longest form has 40 characters between the brackets.
_BEGINNING = re.compile(r"\[(?:[A-Z][A-Z0-9_]{0,39})?\Z")
_NOT_A_NAME = re.compile(r"[^A-Z0-9]+")
_SEPARATORS = re.compile(r"[\s().\-/_]+")
_PREFIX = "pii_"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value as first seen. Its repr shows nothing."""

    value: str
    restorable: bool

    def __repr__(self) -> str:
        return "_Entry(...)"


class Vault:
    """Keeps the redacted values of one conversation. Make one for each conversation, and never share it.

    The same value always gets the same placeholder, such as ``[EMAIL_1]``; values are compared in canonical form,
    without case, white space and the separators of numbers, and come back as first written. Thread-safe. Neither its
    repr nor an error ever shows a value, and it writes nothing anywhere.

    Two rules keep a placeholder from becoming a way in. Text of the ``input`` stage that already looks like a
    placeholder is a value itself: it becomes ``[LITERAL_1]`` and comes back as typed, so it can name nothing in the
    vault. And a value found in the ``output`` stage is never restored, unless the conversation's own input held it
    too: the reader cannot ask for what was taken out of an answer.

    Parameters
    ----------
    max_values : int
        Most values kept, in [0, 9,999,999].
    max_characters : int
        Most characters of all values together. What is beyond either bound is still redacted, by a placeholder
        without a number, and cannot be restored.

    Raises
    ------
    ConfigError
        A bound outside its range.

    Examples
    --------
    >>> vault = Vault()
    >>> vault.redact("Write to jo@example.org", [Span(9, 23, "pii_email", 1.0)])
    'Write to [EMAIL_1]'
    >>> vault.restore("I wrote to [EMAIL_1].")
    'I wrote to jo@example.org.'
    """

    def __init__(self, *, max_values: int = 10_000, max_characters: int = 1_000_000) -> None:
        if not 0 <= max_values <= _MOST_VALUES or max_characters < 0:
            rule = f"max_values lies in [0, {_MOST_VALUES}] and max_characters is not negative"
            raise ConfigError(f"max_values={max_values}, max_characters={max_characters}: {rule}")
        self._max_values, self._max_characters = max_values, max_characters
        self._lock = threading.Lock()
        self._forget()

    def redact(self, text: str, spans: Iterable[Span], *, stage: Stage = "input") -> str:
        """Put what the spans cover into the vault, and return the text with placeholders.

        Parameters
        ----------
        text : str
            The original. Text that was redacted before is treated as typed: restore it twice.
        spans : iterable of Span
            In any order. Overlapping ones are joined, and the best-scored names the placeholder.
        stage : {"input", "output"}
            Where the text comes from; see the class.

        Raises
        ------
        ValueError
            A span that lies outside the text.
        """
        found = [span for span in spans if span.start < span.end]
        if any(not 0 <= span.start <= span.end <= len(text) for span in found):
            raise ValueError(f"a span lies outside the text of length {len(text)}")
        if stage == "input":
            found += [Span(*match.span(), _LITERAL, 0.0) for match in _PLACEHOLDER.finditer(text)]
        pieces, place = [], 0
        with self._lock:
            for span in _joined(found):
                pieces += [text[place : span.start], self._stored(text[span.start : span.end], span.category, stage)]
                place = span.end
        return "".join([*pieces, text[place:]])

    def placeholder(self, category: str, value: str, *, stage: Stage = "input") -> str:
        """Put one value into the vault and return its placeholder, for callers that cut the text themselves.

        Such a caller passes text of the input stage through :meth:`escape` first.

        Parameters
        ----------
        category : str
        value : str
        stage : {"input", "output"}
            Where the value comes from; see the class.
        """
        with self._lock:
            return self._stored(value, category, stage)

    def escape(self, text: str) -> str:
        """Return typed `text` in which what looks like a placeholder became a literal, which :meth:`restore` undoes."""
        return self.redact(text, ())

    def restore(self, text: str) -> str:
        """Return `text` with the values in the place of their placeholders; other placeholders stay.

        One pass: what comes out of the vault is not looked at again.
        """
        with self._lock:
            return _PLACEHOLDER.sub(self._value_of, text)

    def restorer(self) -> Restorer:
        """Return an object that restores a text which arrives in chunks."""
        return Restorer(self)

    def clear(self) -> None:
        """Forget every value. Placeholders of before are not restored any more, and numbering starts anew."""
        with self._lock:
            self._forget()

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        """Whether this is a vault: an empty one is no missing one."""
        return True

    def __repr__(self) -> str:
        return f"Vault({len(self)} values)"

    def __reduce__(self) -> str:
        raise TypeError("a vault is never pickled: its values stay in this process")

    def _forget(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._n_characters = 0

    def _stored(self, value: str, category: str, stage: Stage) -> str:
        """Return the placeholder of a value, new or known; for a caller that holds the lock."""
        kind = _kind(category)
        key = kind, _compared(value, category)
        name = self._names.get(key)
        if name is None:
            if len(self._entries) >= self._max_values or self._n_characters + len(value) > self._max_characters:
                return f"[{kind}]"
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = self._names[key] = f"{kind}_{self._counts[kind]}"
            self._entries[name] = _Entry(value, restorable=stage == "input")
            self._n_characters += len(value)
        elif stage == "input" and not self._entries[name].restorable:
            self._entries[name] = replace(self._entries[name], restorable=True)
        return f"[{name}]"

    def _value_of(self, match: re.Match[str]) -> str:
        entry = self._entries.get(match[1])
        return entry.value if entry is not None and entry.restorable else match[0]


class Restorer:
    """Restores a stream. Any chunking of a text gives what :meth:`Vault.restore` gives for the whole.

    Holds back at most 41 characters, and only those that may be the beginning of a placeholder. For one stream and
    one thread at a time.

    Parameters
    ----------
    vault : Vault
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held = ""

    def push(self, chunk: str) -> str:
        """Take the next chunk and return what can be shown now, which may be empty."""
        text = self._held + chunk
        beginning = _BEGINNING.search(text, max(text.rfind("["), 0))
        end = beginning.start() if beginning else len(text)
        self._held = text[end:]
        return self._vault.restore(text[:end])

    def finish(self) -> str:
        """Return what was held back: the text has ended."""
        held, self._held = self._held, ""
        return held

    def __repr__(self) -> str:
        return f"Restorer(holds {len(self._held)} characters)"


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Spans in order, overlapping ones as one that is called after the best of them."""
    current: Span | None = None
    best: Span | None = None
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if current is None or best is None or span.start >= current.end:
            if current is not None:
                yield current
            current = best = span
            continue
        best = max(best, span, key=_rank)
        current = Span(current.start, max(current.end, span.end), best.category, best.score)
    if current is not None:
        yield current


def _rank(span: Span) -> tuple[float, int]:
    """Of equal scores the longer name wins, which is the more special one: pii_email before pii."""
    return span.score, len(span.category)


def _kind(category: str) -> str:
    name = _NOT_A_NAME.sub("_", category.removeprefix(_PREFIX).upper()).strip("_")
    name = name if name[:1].isalpha() else f"VALUE_{name}".rstrip("_")
    return name[:_LONGEST_KIND].rstrip("_")


def _compared(value: str, category: str) -> str:
    """Return the form to compare: secrets and typed text as they are, other values as people read them."""
    if not category.startswith(_PREFIX) and category != _PREFIX.rstrip("_"):
        return value
    plain = canonicalize(value).text.casefold()
    return " ".join(plain.split()) if "@" in plain or not any(map(str.isdigit, plain)) else _SEPARATORS.sub("", plain)
