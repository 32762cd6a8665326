"""Text that can be trusted on a page: characters that cannot be seen or that steer a display are spelt out."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from guard.schema import Span

__all__ = ["Piece", "on_one_line", "pieces", "visible"]

# Categories in which nothing has ink: controls, formats (bidirectional, zero-width, tags), surrogates, private use,
# unassigned, line and paragraph separators.
_INKLESS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Inkless characters that Unicode files elsewhere: joiners, Hangul fillers, Khmer and Mongolian signs, braille blank.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")

_KEPT = frozenset("\n\t")

_PRINTABLE = re.compile(r"[\n\t -~]*")


def _hidden(character: str) -> bool:
    if character in _KEPT:
        return False
    if unicodedata.category(character) in _INKLESS or character in _BLANKS:
        return True
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _spelt(character: str) -> str:
    return f"‹U+{ord(character):04X}›"


def visible(text: str) -> str:
    """Return `text` with every character that has no ink spelt out, as in ``‹U+202E›``.

    Line breaks and tabs stay. The result can be encoded in UTF-8, holds no terminal escape, and reads in the
    order in which it is stored.
    """
    if _PRINTABLE.fullmatch(text):
        return text
    return "".join(_spelt(character) if _hidden(character) else character for character in text)


def on_one_line(text: str) -> str:
    """Return :func:`visible` text without line breaks, tabs or runs of spaces."""
    return " ".join(visible(text).split())


@dataclass(frozen=True)
class Piece:
    """A run of text to be drawn in one way.

    Parameters
    ----------
    text : str
        Already visible.
    kind : {"plain", "hidden", "marked"}
        ``hidden`` is a character spelt out; ``marked`` lies inside a span.
    note : str
        What the span says, for ``marked`` only.
    """

    text: str
    kind: str
    note: str = ""


def pieces(text: str, spans: Sequence[Span] = (), *, limit: int = 4000) -> list[Piece]:
    """Cut the first `limit` characters of `text` into runs that a page draws in one way each.

    Parameters
    ----------
    text : str
    spans : sequence of Span
        Offsets of `text`. They may overlap, and ends outside the text are drawn in.
    limit : int
        Characters of `text` that are shown.
    """
    shown = text[:limit]
    inside = [span for span in spans if span.start < len(shown) and span.end > 0]
    cuts = {0, len(shown)}.union(*((max(span.start, 0), min(span.end, len(shown))) for span in inside))
    found: list[Piece] = []
    for start, end in itertools.pairwise(sorted(cuts)):
        over = [span for span in inside if span.start <= start and end <= span.end]
        found.extend(_marked(shown[start:end], over) if over else _unmarked(shown[start:end]))
    return found


def _marked(text: str, spans: Sequence[Span]) -> list[Piece]:
    worst: dict[str, Span] = {}
    for span in spans:
        if span.category not in worst or span.score > worst[span.category].score:
            worst[span.category] = span
    return [Piece(visible(text), "marked", "; ".join(sorted(map(_note, worst.values()))))]


def _note(span: Span) -> str:
    """Say what fired, and where the filter told it, by how much and how that was found."""
    worth = "" if span.value is None else f", of which these words {span.value:+.2f} in log-odds"
    return f"{span.category} {span.score:.2f}{worth}{f' by {span.method}' if span.method else ''}"


def _unmarked(text: str) -> list[Piece]:
    found: list[Piece] = []
    start = 0
    for i, character in enumerate(text):
        if _hidden(character):
            found += [Piece(text[start:i], "plain")] if i > start else []
            found.append(Piece(_spelt(character), "hidden"))
            start = i + 1
    return [*found, Piece(text[start:], "plain")] if start < len(text) else found
