"""A text in the pieces between its spaces, and which of them already read as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from guard.confusables import loosened
from guard.views import words

__all__ = ["Chunk", "chunks", "cost", "lettered_chunks", "reads_plainly", "text_cost"]

OUTER = "\"'.,;:?!()[]{}<>*_~`\u2026\u201c\u201d\u2018\u2019\u00ab\u00bb\u3002\u3001-/"
_PIECE = re.compile(r"\S+")
_PARTS = re.compile(r"[-/.'\u2019\u2026,;:?!()\"&+=_\\]+")
_ADDRESS = re.compile(
    r"(?:https?|ftp|file|data|mailto)[:]\S|www\.|[\w.+-]+@[\w-]+\.\w|[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|gov|edu|co|uk|"
    r"de|py|js|ts|json|txt|md|html|pdf|csv|toml|yaml|png|jpg)\b|\.{0,2}/[\w.-]+/|[a-z]:\\|--\w|[@#][a-z]{3}|"
    r"[0-9a-f]{8}-[0-9a-f]{4}-|&lt;",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[$#+-]*\d[\d.,:/x%-]*(?:[a-z]{1,3}|th|st)?[%+$]?", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile("[a-zA-Z\u00c0-\u02af\u1e00-\u1eff]")
_STRETCHED = re.compile(r"(.)\1\1|(.)\2(.)\3")
_CODED = re.compile(r"&#|[%=][0-9a-f]{2}|\\[ux0-9]|[0-9a-f]{12}|u\+[0-9a-f]{4}")
_LEAST_NUMBERS = 5  # so many numbers may be text
_MOST_STRANGE = 0.2  # share of the letters that may stand in words that are not known: names, rare words


@dataclass(frozen=True)
class Chunk:
    """A piece of a text without white space, less the punctuation around it.

    Parameters
    ----------
    start, end : int
        Where it stands.
    core : str
        In small letters.
    """

    start: int
    end: int
    core: str


def chunks(text: str) -> Iterator[Chunk]:
    """Return the pieces of a text, save those of punctuation alone, which come whole."""
    for piece in _PIECE.finditer(text):
        whole = piece[0]
        left = len(whole) - len(whole.lstrip(OUTER))
        core = whole.strip(OUTER)
        if core:
            yield Chunk(piece.start() + left, piece.start() + left + len(core), core.lower())
        else:
            yield Chunk(piece.start(), piece.end(), whole)


def lettered_chunks(text: str) -> list[Chunk]:
    """Return the pieces of a text that have a letter, of any script."""
    return [chunk for chunk in chunks(text) if _LETTER.search(chunk.core)]


def is_read(core: str) -> bool:
    """Whether a piece reads as it stands, or has no letters that could be read otherwise."""
    if core in words.familiar():
        return True
    if core.isalpha():
        return False
    if not _LETTER.search(core):
        return True
    if core[0] == "@" and core[1:] not in words.costs() and words.leet(core):
        return False
    if _ADDRESS.match(core) or _NUMBER.fullmatch(core):
        return True
    parts = [part for part in _PARTS.split(core) if part]
    return len(parts) > 1 and all(
        part in words.familiar() or part in ("s", "d", "t") or part.isdigit() for part in parts
    )


def reads_plainly(text: str) -> bool:
    """Whether a text needs no other reading, told quickly: nearly all of its words are known, and the others are words.

    A text without Latin letters has no other reading in English.
    """
    familiar, odd_letters, n_numbers = words.familiar(), 0, 0
    for piece in text.lower().split():
        if piece in familiar:
            continue
        core = piece.strip(OUTER)
        if core in familiar or not core:
            continue
        if not core.isascii():
            if _LATIN.search(core) or loosened(core) in familiar:
                return False
        elif core.isalpha():
            if _STRETCHED.search(core) or core[::-1] in words.swears() or words.near_swear(core):
                return False
            odd_letters += len(core)
            n_numbers += 2 * (len(core) == 1)
        elif not is_read(core) or _CODED.search(core):
            return False
        else:
            n_numbers += 1
    return odd_letters <= _MOST_STRANGE * len(text) and n_numbers < _LEAST_NUMBERS


def cost(core: str) -> float:
    """Return the cost in nats of one piece; of one that has no letters, nothing."""
    if core in words.costs():
        return words.cost(core)
    bare = core.replace("'", "").replace("\u2019", "")
    if bare in words.costs():
        return words.cost(bare)
    if is_read(core):
        return 0.0 if not _LETTER.search(core) else sum(words.cost(p) for p in _PARTS.split(core) if p.isalpha())
    return words.cost(core)


def text_cost(text: str) -> float:
    """Return the cost of a text in nats, the sum over its pieces."""
    return sum(cost(chunk.core) for chunk in chunks(text))
