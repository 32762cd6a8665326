"""What each code point is to canonical text: dropped, replaced, decided by its neighbours, or a mark."""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVE",
    "CONTEXTUAL",
    "DROPPED",
    "MARK",
    "OVERLAY",
    "STRAY",
    "backward_composers",
    "codes_of",
    "flags",
    "replaced",
    "runs_of",
    "text_of",
    "without_odd_flags",
]

DROPPED, CONTEXTUAL, ACTIVE, MARK, OVERLAY, STRAY = 1, 2, 4, 8, 16, 32

_N_CODES = 0x110000
_N_NORMALIZED = 0x30000  # nothing beyond the third plane has a decomposition

# Default-ignorable code points, bidirectional controls, and controls that are not white space.
_DROPPED_RANGES = (
    *((0x0000, 0x0008), (0x000E, 0x001B), (0x007F, 0x0084), (0x0086, 0x009F), (0x00AD, 0x00AD), (0x034F, 0x034F)),
    *((0x061C, 0x061C), (0x17B4, 0x17B5), (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    *((0xE0000, 0xE001F), (0xE0080, 0xE0FFF)),
)
# Hangul fillers, Mongolian selectors, hair space, joiners, tags; then signs that show nothing beside Latin letters:
# signs that stand before Arabic, Syriac and Kaithi numbers, Egyptian joiners, a musical blank.
_CONTEXTUAL_RANGES = (
    *((0x115F, 0x1160), (0x180B, 0x180F), (0x200A, 0x200A), (0x200C, 0x200D), (0xE0020, 0xE007F)),
    *((0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2)),
    *((0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x13440), (0x1D159, 0x1D159)),
)
# Marks that strike a letter through, underline or frame it: decoration, where they follow a letter.
_OVERLAY_CODES = (*range(0x0334, 0x0339), 0x0305, 0x0332, 0x0333, *range(0x20DD, 0x20E1), 0x20E5)

_INDICATORS = re.compile("[\U0001f1e6-\U0001f1ff]+")
# Regions that have a flag (Unicode emoji, RGI_Emoji_Flag_Sequence).
_REGIONS = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz
ca cc cd cf cg ch ci ck cl cm cn co cp cr cu cv cw cx cy cz de dg dj dk dm do dz ea ec ee eg eh er es et eu fi fj
fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu ic id ie il im in io iq ir
is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm
mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt
pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz ta tc td tf tg th tj tk tl
tm tn to tr tt tv tw tz ua ug um un us uy uz va vc ve vg vi vn vu wf ws xk ye yt za zm zw
"""


@functools.cache
def flags() -> npt.NDArray[np.uint8]:
    """Return the properties of every code point as bits, shape (0x110000,).

    STRAY are the marks of combining class 0, which belong to other scripts or enclose a character.
    The Unicode version is that of the running Python's ``unicodedata``.
    """
    table = np.zeros(_N_CODES, dtype=np.uint8)
    for ranges, flag in ((_DROPPED_RANGES, DROPPED), (_CONTEXTUAL_RANGES, CONTEXTUAL)):
        for first, last in ranges:
            table[first : last + 1] |= flag
    table[[code for code in range(0x300, _N_CODES) if _is_classless_mark(chr(code))]] |= STRAY
    table[list(_OVERLAY_CODES)] |= OVERLAY | MARK
    composers = {ord(char) for char in backward_composers()}
    table[list(composers)] |= ACTIVE
    for code, normal in _changed_by_nfkc():
        mark = bool(unicodedata.combining(normal[0]))
        table[code] |= ACTIVE | (MARK if mark else 0)
    table.setflags(write=False)
    return table


@functools.cache
def _replacements() -> npt.NDArray[np.uint32]:
    """Return the code point to read for every code point of the first three planes, shape (0x30000,).

    What NFKC maps to one character becomes that character, which leaves the normal form of any text as it is.
    Letters in black boxes and circles, which NFKC leaves, become the letters; fillers that show as a gap become a
    space; lone surrogates become U+FFFD.
    """
    table = np.arange(_N_NORMALIZED, dtype=np.uint32)
    for code, _ in _changed_by_nfkc():
        normal = unicodedata.normalize("NFKC", chr(code))
        if len(normal) == 1:
            table[code] = ord(normal)
    for first in (0x1F150, 0x1F170):
        table[first : first + 26] = np.arange(ord("A"), ord("Z") + 1)
    table[[0x2800, 0x3164, 0xFFA0]] = ord(" ")
    table[0x200A] = 0x200A  # hair space: a space or nothing, which its neighbours decide
    table[0xD800:0xE000] = 0xFFFD
    table.setflags(write=False)
    return table


def replaced(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the code points to read for those of a text, of the same shape; beyond the third plane none changes."""
    table = _replacements()
    return np.where(codes < len(table), table[np.minimum(codes, len(table) - 1)], codes)


@functools.cache
def backward_composers() -> frozenset[str]:
    """Return the characters that are no marks and yet may compose with the character before them."""
    jamo = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))
    seconds = {pair[1] for pair in _compositions() if not unicodedata.combining(pair[1])}
    return frozenset(map(chr, jamo)) | seconds


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of `text`, shape (len(text),)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)


def text_of(codes: npt.NDArray[np.uint32]) -> str:
    """Return the text of code points."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def runs_of(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open ranges in which `mask` holds, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def without_odd_flags(text: str) -> str:
    """Exchange regional indicators for small letters where they make no flags, and so show as letters."""
    return _INDICATORS.sub(_flags_or_letters, text)


def _flags_or_letters(run: re.Match[str]) -> str:
    letters = run[0].translate(_indicated())
    pairs = (letters[place : place + 2] for place in range(0, len(letters), 2))
    return run[0] if _regions().issuperset(pairs) else letters


@functools.cache
def _indicated() -> dict[int, str]:
    return {0x1F1E6 + place: letter for place, letter in enumerate(string.ascii_lowercase)}


@functools.cache
def _regions() -> frozenset[str]:
    return frozenset(_REGIONS.split())


def _is_classless_mark(char: str) -> bool:
    """Whether it is a mark that normalization moves nowhere: vowel signs of Indic scripts, enclosing marks."""
    return unicodedata.category(char).startswith("M") and not unicodedata.combining(char)


def _changed_by_nfkc() -> Iterator[tuple[int, str]]:
    """Code points that NFKC changes or that are marks, with their full decomposition."""
    for code in range(0x80, _N_NORMALIZED):
        char = chr(code)
        if unicodedata.combining(char) or unicodedata.decomposition(char):
            yield code, unicodedata.normalize("NFKD", char)


def _compositions() -> Iterator[str]:
    """Pairs of characters that are the canonical decomposition of a third."""
    for code in range(0x80, _N_NORMALIZED):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            yield "".join(chr(int(part, 16)) for part in parts)
