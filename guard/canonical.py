"""Text to its canonical form, with a map from every canonical offset back to the original."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guard import codepoints
from guard.confusables import to_latin

__all__ = ["Canonical", "canonicalize", "fold"]

_Edit = tuple[int, int, str]
"""Replace ``text[start:end]`` by a string."""

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


@dataclass(frozen=True)
class Canonical:
    """A text in canonical form, and where each of its characters came from.

    Parameters
    ----------
    text : str
        The canonical text. Encodable in any UTF: it holds no surrogates.
    source_length : int
        Length of the original text in characters.
    starts, ends : int64 array of shape (len(text),) or None
        Character ``i`` came from ``original[starts[i]:ends[i]]``. Both ascend, for which the spelled-out tags that
        stand before the last visible character map to that character. None stands for the identity.
    """

    text: str
    source_length: int
    starts: npt.NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    ends: npt.NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a half-open range of canonical offsets to the range of the original that it covers.

        Parameters
        ----------
        start, end : int
            ``0 <= start <= end <= len(text)``.

        Returns
        -------
        (int, int)
            Half-open, inside the original. Characters that were dropped *between* two covered ones are inside.

        Raises
        ------
        ValueError
            When the range lies outside the canonical text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"span {start} to {end} lies outside the canonical text of length {len(self.text)}")
        if self.starts is None or self.ends is None:
            return start, end
        if start == end:
            place = int(self.starts[start]) if start < len(self.text) else self.source_length
            return place, place
        return int(self.starts[start]), int(self.ends[end - 1])


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
    # One pass nearly always suffices; a second proves it. Dropping a mark can let its neighbours compose,
    # which is what the rest are for.
    for _ in range(_MAX_PASSES):
        if _ASCII_CLEAN.fullmatch(current.text):
            return current
        before = current.text
        current = _one_pass(current)
        if current.text == before:
            return current
    return current


def fold(canonical: Canonical) -> Canonical:
    """Return the form of a canonical text to match words in: lower case, no accents on Latin letters, plain spacing.

    Runs of white space become one space, words that are spelled out ("w-o-r-d", "(w)(o)(r)(d)") are joined, and
    regional indicators that make no flags become letters.

    Parameters
    ----------
    canonical : Canonical

    Returns
    -------
    Canonical
        Its offsets lead back to the same original.
    """
    canonical = _edited(canonical, [(gap.start(), gap.end(), " ") for gap in _WIDE_GAP.finditer(canonical.text)])
    canonical = _same_length(canonical, codepoints.without_odd_flags(canonical.text))
    canonical = _edited(canonical, _joining_edits(canonical.text))
    if canonical.text.isascii():
        return _same_length(canonical, canonical.text.lower())
    canonical = _kept(canonical, ~_marks_after_latin(canonical.text))
    # U+0130 is the one character whose lower case is longer than itself.
    lowered = canonical.text.replace("\u0130", "I").lower()
    return _same_length(canonical, lowered.translate(_unaccented()))


def _one_pass(current: Canonical) -> Canonical:
    codes = codepoints.replacements()[codepoints.codes_of(current.text)]
    current = _same_length(current, codepoints.text_of(codes))
    current = _kept(current, codepoints.flags()[codes] & codepoints.DROPPED == 0)
    current = _untagged(current)
    current = _edited(current, _contextual_edits(current.text))
    current = _kept(current, _within_stack(current.text, _STREAM_SAFE_MARKS, _STREAM_SAFE_MARKS))
    current = _edited(current, _nfkc_edits(current.text))
    current = _kept(current, ~_overlays(current.text))
    current = _kept(current, _within_stack(current.text, _MARKS_AFTER_ALPHABETIC, _MARKS_AFTER_OTHER))
    return _same_length(current, to_latin(current.text))


def _same_length(current: Canonical, text: str) -> Canonical:
    """Exchange characters one for one."""
    return Canonical(text, current.source_length, current.starts, current.ends)


def _kept(current: Canonical, keep: npt.NDArray[np.bool_]) -> Canonical:
    """Drop the characters at which `keep`, of shape (len(text),), is False."""
    if keep.all():
        return current
    text = codepoints.text_of(codepoints.codes_of(current.text)[keep])
    starts = np.flatnonzero(keep) if current.starts is None else current.starts[keep]
    ends = starts + 1 if current.ends is None else current.ends[keep]
    return Canonical(text, current.source_length, starts, ends)


def _edited(current: Canonical, edits: Sequence[_Edit]) -> Canonical:
    """Apply edits, given in ascending order without overlap, to a text and to its map."""
    if not edits:
        return current
    text, place = current.text, 0
    pieces: list[str] = []
    rows: list[tuple[int, int, int, int]] = []  # source, characters it covers, characters out, whether each moves on
    for start, end, new in [*edits, (len(text), len(text), "")]:
        pieces += (text[place:start], new)
        rows += ((place, 1, start - place, 1), (start, end - start, len(new), 0))
        place = end
    source, size, count, moves = np.array(rows, dtype=np.int64).T
    within = np.arange(count.sum(), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    starts = np.repeat(source, count) + within * np.repeat(moves, count)
    ends = starts + np.repeat(size, count)
    if current.starts is not None and current.ends is not None:
        starts, ends = current.starts[starts], current.ends[ends - 1]
    return Canonical("".join(pieces), current.source_length, starts, ends)


def _flagged(text: str, flag: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (codepoints.flags()[codepoints.codes_of(text)] & flag).astype(bool)
    return found


def _contextual_edits(text: str) -> list[_Edit]:
    """Edits of the characters that mean something between some neighbours and hide something between others."""
    edits: list[_Edit] = []
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


def _joining_edits(text: str) -> list[_Edit]:
    """Drop what stands between the letters of the words that are spelled out."""
    return [
        (place, place + 1, "")
        for word in _SPELLED.finditer(text)
        for place in range(word.start(), word.end())
        if text[place] in _SPACERS
    ]


def _nfkc_edits(text: str) -> list[_Edit]:
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
