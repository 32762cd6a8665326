"""Single words in their ordinary spelling: signs for letters, stretched, masked, turned round, and slips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guard.canonical import Canonical
from guard.confusables import loosened
from guard.offsets import Edit, edited
from guard.views import words
from guard.views.chunks import Chunk, chunks, is_read, lettered_chunks

__all__ = ["is_name", "mended", "respelled"]

_PICTURES = (
    *(("|-|", "h"), ("|\\/|", "m"), ("/\\/\\", "m"), ("\\/\\/", "w"), ("|\\|", "n"), ("/\\/", "n"), ("|_|", "u")),
    *(("\\/", "v"), ("/\\", "a"), ("|)", "d"), ("|3", "b"), ("|<", "k"), ("()", "o"), ("[]", "o"), ("|=", "f")),
    *(
        ("|>", "p"),
        ("}{", "h"),
        (")-(", "h"),
        ("]-[", "h"),
        ("|2", "r"),
        ("><", "x"),
        ("_|", "j"),
        ("vv", "w"),
        ("ph", "f"),
    ),
)
_SIGN = re.compile(r"[^\W\d_][\d@$!|+\u20ac\u00a3(]|[\d@$!|+\u20ac\u00a3(][^\W\d_]")
_LATIN = re.compile("[a-zA-Z]")
_MASK = re.compile(r"[*#%^~?\u2022\u00b7\u25cf\u2588\u25a0]")
_SOFT_MASK = re.compile(r"[-._&+='@$!|\u00d7\u2019]")
_TRIPLE = re.compile(r"(.)\1\1")
_DOUBLES = re.compile(r"(.)\1+")
_ABBREVIATION = re.compile(r"\b\w{1,3}\.$")
_LONGEST_BEFORE = 8
_PIECE = re.compile(r"\S+")
_LEAST_CONTEXT, _SHARE_CONTEXT = 2, 4  # signed words in all, and at least one in so many
_LEAST_SIGNED = 3
_MOST_STRANGE = 0.3  # share of the words that are not known in the end
_LEAST_SLIPS = 0.15  # share of the words that are not known as they stand


def respelled(form: Canonical) -> Canonical:
    """Write every word that is not known as the known word that it stands for, if there is one."""
    found = list(chunks(form.text))
    latin = 2 * sum(chunk.core.isascii() for chunk in found) > len(found)
    strange = [chunk for chunk in found if not is_read(chunk.core) and (latin or _LATIN.search(chunk.core))]
    edits = {chunk.start: edit for chunk in strange for edit in _ordinary(form.text, chunk)}
    covered = {chunk.start: edit for chunk in strange if chunk.start not in edits for edit in _softly_masked(chunk)}
    edits |= covered if len(covered) > 1 else {}
    edits |= {edit[0]: edit for edit in _in_context(form.text)}
    return edited(form, list(_apart(edits.values())))


def _apart(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Edits in order, less those that reach into the one before."""
    place = 0
    for start, end, new in sorted(edits):
        if start >= place:
            yield start, end, new
            place = end


def _in_context(text: str) -> Iterator[Edit]:
    """In a text full of signs for letters, read every sign as one: in numbers, short words, and unknown words too."""
    if not _SIGN.search(text):
        return
    pieces = [_Piece.of(match) for match in _PIECE.finditer(text)]
    signed = [piece for piece in pieces if piece.is_signed]
    known = [piece for piece in signed if piece.word]
    if len(known) < _LEAST_CONTEXT or _SHARE_CONTEXT * len(signed) < len(pieces) or 2 * len(known) < len(signed):
        return
    for piece in signed:
        yield piece.start, piece.start + len(piece.core), piece.word or words.lettered(piece.core)


@dataclass(frozen=True)
class _Piece:
    """A piece of a text with the signs around it, which may be letters too."""

    start: int
    core: str
    word: str | None

    @classmethod
    def of(cls, match: re.Match[str]) -> _Piece:
        bare = match[0].lower().rstrip(".,;:?\"'")
        shorter = bare.rstrip("!)") or bare
        for core in (bare, shorter):
            if word := words.leet(core.replace("'", "")):
                return cls(match.start(), core, word)
        return cls(match.start(), shorter, None)

    @property
    def is_signed(self) -> bool:
        """Whether it holds a sign, and is not what a number or an address looks like."""
        signs = any(char in words.LEET and not char.isalpha() for char in self.core)
        return signs and (bool(self.word) or not is_read(self.core))


def _ordinary(text: str, chunk: Chunk) -> Iterator[Edit]:
    """Yield at most one edit: the ordinary spelling of a piece, where it is found."""
    core = chunk.core
    if core.isalpha() and core.isascii():
        if word := _stretched(core):
            yield chunk.start, chunk.end, word
        elif text[chunk.end : chunk.end + 1] in ("!", "(", "1") and (word := words.leet(core + text[chunk.end])):
            yield chunk.start, chunk.end + 1, word
    elif word := _alike(core) or _signed(core) or _masked(core):
        yield chunk.start, chunk.end, word
    elif text[chunk.start - 1 : chunk.start] in tuple("(<[") and (word := _signed(text[chunk.start - 1] + core)):
        yield chunk.start - 1, chunk.end, word


def _alike(core: str) -> str | None:
    """Read letters that look like Latin ones."""
    if core.isascii():
        return None
    alike = loosened(core)
    return alike if alike != core and alike in words.costs() else None


def _signed(core: str) -> str | None:
    """Read signs as letters."""
    n_letters = sum(char.isalpha() for char in core)
    if not n_letters or len(core) < _LEAST_SIGNED:
        return None
    known = words.leet(core)
    if known and 5 * n_letters >= 2 * len(core):
        return known
    drawn = core
    for picture, letter in _PICTURES:
        drawn = drawn.replace(picture, letter)
    return (drawn if drawn in words.costs() else words.leet(drawn)) if drawn != core else None


def _stretched(core: str) -> str | None:
    n_doubled = len(_DOUBLES.findall(core))
    if not _TRIPLE.search(core) and n_doubled < 2:
        return None
    once = words.collapsed(core)
    known = words.unstretched(core) or (once if 2 * n_doubled >= len(once) else None)
    return known if known and len(known) >= _LEAST_SIGNED else None


def _masked(core: str) -> str | None:
    """Fill in letters that a sign covers; one that ordinary words have inside covers those of swear words only."""
    if word := _filled(core, _MASK):
        return word
    word = _filled(core, _SOFT_MASK)
    return word if word in words.swears() else None


def _softly_masked(chunk: Chunk) -> Iterator[Edit]:
    """Fill in letters that a sign covers which ordinary text may have there."""
    if word := _filled(chunk.core, _SOFT_MASK):
        yield chunk.start, chunk.end, word


def _filled(core: str, mask: re.Pattern[str]) -> str | None:
    pattern = mask.sub(".", core)
    if mask is _SOFT_MASK and "." in (pattern[0], pattern[-1]):
        return None
    n_masked = pattern.count(".")
    fits = n_masked and 2 * n_masked <= len(core) and len(core) > _LEAST_SIGNED
    return words.masked(pattern) if fits and pattern.replace(".", "").isalpha() else None


def mended(form: Canonical) -> Canonical:
    """Mend slips, where the text would then be English, and slips in swear words.

    A name or a word of another language is not known either: most words of the text have to be, in the end.
    """
    lettered = lettered_chunks(form.text)
    strange = [chunk for chunk in lettered if chunk.core.isalpha() and not _is_known(chunk.core)]
    answers = {chunk: words.mended(chunk.core) for chunk in strange if chunk.core.isascii()}
    n_left = sum(answers.get(chunk) is None for chunk in strange)
    if n_left > _MOST_STRANGE * len(lettered):
        return form
    dense = len(strange) > 1 and len(strange) >= _LEAST_SLIPS * len(lettered)
    edits = [
        (chunk.start, chunk.end, word)
        for chunk, slip in answers.items()
        if not is_name(form.text, chunk) and (word := slip if dense else words.near_swear(chunk.core))
    ]
    return edited(form, edits)


def _is_known(core: str) -> bool:
    return is_read(core) or (words.is_inflected(core) and not words.near_swear(core))


def is_name(text: str, chunk: Chunk) -> bool:
    """Whether a word with a capital stands inside a sentence."""
    before = text[max(0, chunk.start - _LONGEST_BEFORE) : chunk.start].rstrip()
    begins = not before or before[-1] in "!?:\n" or (before[-1] == "." and not _ABBREVIATION.search(before))
    return text[chunk.start].isupper() and not text[chunk.start : chunk.end].isupper() and not begins
