"""Text to its canonical form, with a map from every canonical offset back to the original."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from guard import codepoints
from guard.confusables import to_latin
from guard.offsets import Canonical, Edit, edited, kept, same_length
from guard.unseen import unseen

__all__ = ["Canonical", "canonicalize", "fold"]

_MAX_PASSES = 10
_STREAM_SAFE_MARKS = 30  # UAX #15, section 13: no natural text stacks more, and sorting longer runs is quadratic
_MARKS_AFTER_ALPHABETIC = 2
_MARKS_AFTER_OTHER = 4

_ASCII_CLEAN = re.compile(r"[\t-\r\x1c-\x7e]*")
_WIDE_GAP = re.compile(r"\s{2,}|[^\S ]")
_SPACERS = " ._*~-()"
# Three or more single letters with the same mark or space between them, or each in brackets: a word spelled out.
_SPELLED = re.compile(
    r"(?<![^\W_])(?:[^\W\d_]([ ._*~-])[^\W\d_](?:\1[^\W\d_])+|\([^\W\d_]\)(?:\([^\W\d_]\)){2,})(?![^\W_])"
)
_JOINERS = "\u200c\u200d"
_FLAG_TAGS = re.compile("(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_TAG_FIRST, _TAG_LAST, _TAG_END = 0xE0020, 0xE007E, 0xE007F
_JOINING_SCRIPTS = re.compile(
    "[\u0590-\u109f\u1700-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff]"
)
_EGYPTIAN = re.compile("[\U00013000-\U0001345f]")
_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_EMOJI_CATEGORIES = ("So", "Sk")  # Sk: skin tones


def canonicalize(text: str) -> Canonical:
    r"""Return the form of `text` that filters read, in which one appearance has one spelling.

    Invisible characters go, compatibility forms are unified (NFKC, Unicode Standard Annex #15), what hidden tag
    characters spell is put after the text, stacked marks are cut, and letters of other scripts that stand in for
    Latin ones become Latin (data of Unicode Technical Standard #39). Joiners that a script or an emoji needs stay.
    Runs in linear time, and a second application changes nothing. For filters only: it is not a text to show.

    Parameters
    ----------
    text : str
        Any string, lone surrogates included; they become U+FFFD.

    Returns
    -------
    Canonical

    Examples
    --------
    >>> found = canonicalize("ki\u200bll")
    >>> found.text, found.span(0, 4)
    ('kill', (0, 5))
    """
    current = Canonical(text, len(text))
    if _ASCII_CLEAN.fullmatch(text):
        return current
    current = _settled(current)
    return replace(current, asides=tuple(_asides(text, current.text)))


def _asides(text: str, canonical: str) -> Iterator[Canonical]:
    """Yield the canonical forms of what invisible characters say, where that is not what the text says anyway."""
    for said in unseen(text):
        form = _settled(said)
        if form.text != canonical:
            yield form


def fold(canonical: Canonical) -> Canonical:
    """Return the form of a canonical text to match words in: lower case, no accents on Latin letters, plain spacing.

    Runs of white space become one space and words that are spelled out ("w-o-r-d", "(w)(o)(r)(d)") are
    joined.

    Parameters
    ----------
    canonical : Canonical

    Returns
    -------
    Canonical
        Its offsets lead back to the same original.
    """
    canonical = edited(canonical, [(gap.start(), gap.end(), " ") for gap in _WIDE_GAP.finditer(canonical.text)])
    canonical = edited(canonical, _joining_edits(canonical.text))
    if canonical.text.isascii():
        return same_length(canonical, canonical.text.lower())
    canonical = kept(canonical, ~_marks_after_latin(canonical.text))
    # U+0130 is the one character whose lower case is longer than itself.
    lowered = canonical.text.replace("\u0130", "I").lower()
    return same_length(canonical, lowered.translate(_unaccented()))


def _settled(current: Canonical) -> Canonical:
    """Apply passes until one changes nothing."""
    # One pass nearly always suffices; a second proves it. Dropping a mark can let its neighbours compose,
    # which is what the rest are for.
    for _ in range(_MAX_PASSES):
        if _ASCII_CLEAN.fullmatch(current.text):
            break
        before = current.text
        current = _one_pass(current)
        if current.text == before:
            break
    return current


def _one_pass(current: Canonical) -> Canonical:
    current = same_length(current, codepoints.without_odd_flags(current.text))
    codes = codepoints.replaced(codepoints.codes_of(current.text))
    current = same_length(current, codepoints.text_of(codes))
    current = kept(current, codepoints.flags()[codes] & codepoints.DROPPED == 0)
    current = _untagged(current)
    current = edited(current, _contextual_edits(current.text))
    current = kept(current, _within_stack(current.text, _STREAM_SAFE_MARKS, _STREAM_SAFE_MARKS))
    current = edited(current, _nfkc_edits(current.text))
    current = kept(current, ~_overlays(current.text))
    current = kept(current, _within_stack(current.text, _MARKS_AFTER_ALPHABETIC, _MARKS_AFTER_OTHER))
    return same_length(current, to_latin(current.text))


def _flagged(text: str, flag: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (codepoints.flags()[codepoints.codes_of(text)] & flag).astype(bool)
    return found


def _contextual_edits(text: str) -> list[Edit]:
    """Edits of the characters that mean something between some neighbours and hide something between others."""
    edits: list[Edit] = []
    for start, end in codepoints.runs_of(_flagged(text, codepoints.CONTEXTUAL)):
        before, after = text[start - 1 : start], text[end : end + 1]
        if flag := _FLAG_TAGS.match(text, start, end):
            start = flag.end()
        may_join = True
        for place in range(start, end):
            char = text[place]
            if char == "\u200a":
                # So thin that between letters it does not part them.
                edits.append((place, place + 1, "" if before.isalpha() and after.isalpha() else " "))
            elif _is_sign(char):
                if _shows_no_sign(before) or _shows_no_sign(after):
                    edits.append((place, place + 1, ""))
            elif may_join and _means_something(before, char, after):
                may_join = False
            else:
                edits.append((place, place + 1, ""))
    return edits


def _means_something(before: str, char: str, after: str) -> bool:
    """Whether a joiner, selector or filler does its work between these two characters."""
    if not before or ord(char) == _TAG_END:
        return False
    if char in _JOINERS:
        emoji = char == "\u200d" and not before.isascii() and unicodedata.category(before) in _EMOJI_CATEGORIES
        joins_emoji = emoji and after != "" and unicodedata.category(after) in ("So", "Sm")  # Sm: arrows
        return joins_emoji or bool(_JOINING_SCRIPTS.match(before))
    if "\u180b" <= char <= "\u180f":
        return "\u1800" <= before <= "\u18af"
    return bool(_JAMO.match(before) or _JAMO.match(after))


def _is_sign(char: str) -> bool:
    return not ("\u115f" <= char <= "\u200d" or char >= "\U000e0020")


def _shows_no_sign(neighbour: str) -> bool:
    """Whether signs of other scripts are invisible beside it: letters of scripts that have no such sign."""
    return neighbour.isalpha() and not (_JOINING_SCRIPTS.match(neighbour) or _EGYPTIAN.match(neighbour))


def _untagged(current: Canonical) -> Canonical:
    """Take hidden tag characters out of their words, and spell them out after the text, parted by a space.

    Those before the last visible character map to that one, which keeps the offsets in order.
    """
    codes = codepoints.codes_of(current.text)
    hidden = (codes >= _TAG_FIRST) & (codes <= _TAG_LAST)
    for flag in _FLAG_TAGS.finditer(current.text) if hidden.any() else ():
        hidden[flag.start() : flag.end()] = False
    if not hidden.any():
        return current
    places, spelled = _hidden_message(hidden, codes)
    shown = np.flatnonzero(~hidden)
    if len(shown):
        places, spelled = np.insert(places, 0, places[0]), np.insert(spelled, 0, ord(" "))
    order = np.concatenate((shown, places))
    starts = order if current.starts is None else current.starts[order]
    ends = order + 1 if current.ends is None else current.ends[order]
    text = codepoints.text_of(np.concatenate((codes[shown], spelled)))
    return Canonical(text, current.source_length, np.maximum.accumulate(starts), np.maximum.accumulate(ends))


def _hidden_message(
    hidden: npt.NDArray[np.bool_], codes: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Where the tags are and what they spell; runs are parted, save single ones, each between two visible letters."""
    runs = codepoints.runs_of(hidden)
    found, seen = [], 0
    for (start, end), (left, right) in itertools.pairwise(runs):
        seen += end - start
        if end - start > 1 or right - left > 1:
            found.append(seen)
    gaps = np.array(found, dtype=np.int64)
    places = np.flatnonzero(hidden)
    spelled = codes[places] - (_TAG_FIRST - ord(" "))
    return np.insert(places, gaps, places[gaps]), np.insert(spelled, gaps, ord(" "))


def _joining_edits(text: str) -> list[Edit]:
    """Drop what stands between the letters of the words that are spelled out."""
    return [
        (place, place + 1, "")
        for word in _SPELLED.finditer(text)
        for place in range(word.start(), word.end())
        if text[place] in _SPACERS
    ]


def _nfkc_edits(text: str) -> list[Edit]:
    edits = []
    for start, end in codepoints.runs_of(_flagged(text, codepoints.ACTIVE)):
        # The character before the run may compose with it; the one after it may not.
        place = max(start - 1, 0)
        for segment in _segments(text[place:end]):
            new = _nfkc(segment)
            if new != segment:
                edits.append((place, place + len(segment), new))
            place += len(segment)
    return edits


@functools.lru_cache(maxsize=1 << 14)
def _nfkc(segment: str) -> str:
    return unicodedata.normalize("NFKC", segment)


def _segments(chunk: str) -> Iterator[str]:
    """Cut where normalization cannot reach across."""
    start = 0
    for place in range(1, len(chunk)):
        if _begins_segment(chunk[place]):
            yield chunk[start:place]
            start = place
    yield chunk[start:]


@functools.lru_cache(maxsize=1 << 14)
def _begins_segment(char: str) -> bool:
    first = unicodedata.normalize("NFKD", char)[0]
    return not unicodedata.combining(first) and first not in codepoints.backward_composers()


def _within_stack(text: str, alphabetic: int, other: int) -> npt.NDArray[np.bool_]:
    """Tell which characters stay: all but marks higher on their letter than its script's limit."""
    marks = _flagged(text, codepoints.MARK)
    place = np.arange(len(text))
    base = np.maximum.accumulate(np.where(marks, -1, place)) if len(text) else place
    height = place - base
    codes = codepoints.codes_of(text)[np.maximum(base, 0)]
    is_alphabetic = (codes < 0x530) | ((codes >= 0x1E00) & (codes < 0x2000))
    kept: npt.NDArray[np.bool_] = ~marks | (height <= np.where(is_alphabetic, alphabetic, other))
    return kept


def _overlays(text: str) -> npt.NDArray[np.bool_]:
    """Find marks that only hide a word: lines and frames on a letter or digit, and other scripts' on Latin letters."""
    overlays, strays = _flagged(text, codepoints.OVERLAY), _flagged(text, codepoints.STRAY)
    if not (overlays.any() or strays.any()):
        return overlays
    for start, end in codepoints.runs_of(_flagged(text, codepoints.MARK | codepoints.STRAY)):
        base = text[start - 1 : start]
        if not base.isalnum():
            overlays[start:end] = False
        if not _is_latin(base):
            strays[start:end] = False
    found: npt.NDArray[np.bool_] = overlays | strays
    return found


def _marks_after_latin(text: str) -> npt.NDArray[np.bool_]:
    marks = _flagged(text, codepoints.MARK)
    for start, end in codepoints.runs_of(marks):
        base = text[start - 1 : start]
        if not (base < "\u00c0" or _is_latin(base)):
            marks[start:end] = False
    return marks


def _is_latin(base: str) -> bool:
    return base.isalpha() and (base < "\u0250" or "\u1e00" <= base <= "\u1eff")


@functools.cache
def _unaccented() -> dict[int, str]:
    """Accented Latin letters to their bare ASCII letters."""
    letters = (chr(c) for c in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)))
    bare = {ord(char): unicodedata.normalize("NFD", char)[0] for char in letters}
    # Letters that no decomposition leads to a bare one, and that read as it.
    alike = {ord(char): base for char, base in zip("ıłƒɨʉ", "ilfiu", strict=True)}
    return {**{code: base for code, base in bare.items() if base.isascii()}, **alike}
