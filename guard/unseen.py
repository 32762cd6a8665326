"""What invisible characters of a text say: bytes in selectors, bits in zero-width ones, an order, false gaps."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from guard import codepoints
from guard.offsets import Canonical, kept, reordered, same_length

__all__ = ["unseen"]

_SIGNS = re.compile(
    "[\ufe00-\ufe0f]{2}|[\u0021-\u007e][\ufe00-\ufe0f]|[\U000e0100-\U000e01ef\u202d\u202e]"
    "|[\u180e\u200b-\u200d\u2060-\u2064\ufeff]{8}|[A-Za-z][\u115f\u1160\u2800\u3164\uffa0]+[A-Za-z]"
)
_FILLED = re.compile("[A-Za-z][\u115f\u1160\u2800\u3164\uffa0]+(?=[A-Za-z])")
_FILLERS = (0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0)
_LEAST_FILLED = 2
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_BITS = re.compile("[\u180e\u200b-\u200d\u2060-\u2064\ufeff]")
_OVERRIDES = re.compile("[\u202d\u202e]")
_FIRST, _SUPPLEMENT = 0xFE00, 0xE0100
_BITS_A_BYTE = 8
_LEAST_CHARS, _LEAST_LETTERS = 3, 0.5
_ISOLATES = (0x2066, 0x2067, 0x2068, 0x2069)
_MOST_LEVELS = 125  # Unicode Standard Annex #9, BD2

_Bytes = list[tuple[int, int, int]]
"""A byte, and the range of the text that carries it."""


def unseen(text: str) -> Iterator[Canonical]:
    """Yield what the invisible characters of a text say, each with its map to the text.

    Variation selectors 1 to 256 carry the bytes 0 to 255 (Butler 2025, "Smuggling arbitrary data through an emoji";
    in another use the supplement alone carries them), two zero-width characters carry bits, eight to a byte.
    Directional overrides show a text in another order than that in which it is stored (Boucher et al. 2022,
    "Bad Characters", section IV). Blank fillers part letters that belong together.

    Parameters
    ----------
    text : str
        As written.
    """
    if not _SIGNS.search(text):
        return
    for found in (_smuggled(text), _bits(text), _unfilled(text)):
        if found is not None:
            yield found
    if _OVERRIDES.search(text):
        order = _display_order(text)
        if not np.array_equal(order, np.sort(order)):
            yield reordered(Canonical(text, len(text)), order)


def _smuggled(text: str) -> Canonical | None:
    """Read the selectors that select nothing as bytes."""
    places = [match.start() for match in _SELECTORS.finditer(text)]
    codes = [ord(text[place]) for place in places]
    direct = [code - _FIRST if code < _SUPPLEMENT else code - _SUPPLEMENT + 16 for code in codes]
    shifted = [code - _FIRST if code < _SUPPLEMENT else code - _SUPPLEMENT for code in codes]
    readings = [_said([(b, p, p + 1) for b, p in zip(data, places, strict=True)], text) for data in (direct, shifted)]
    return max((reading for reading in readings if reading), key=lambda found: _n_usual(found.text), default=None)


def _bits(text: str) -> Canonical | None:
    """Read the two most frequent zero-width characters as bits, in either sense."""
    places = [match.start() for match in _BITS.finditer(text)]
    pair = [char for char, _ in Counter(text[place] for place in places).most_common(2)]
    places = [place for place in places if text[place] in pair]
    if len(pair) < 2 or len(places) < _LEAST_CHARS * _BITS_A_BYTE:
        return None
    readings = []
    for one in pair:
        bits = [int(text[place] == one) for place in places]
        data = [
            (int("".join(map(str, bits[i : i + _BITS_A_BYTE])), 2), places[i], places[i + _BITS_A_BYTE - 1] + 1)
            for i in range(0, len(bits) - _BITS_A_BYTE + 1, _BITS_A_BYTE)
        ]
        readings.append(_said(data, text))
    return next((reading for reading in readings if reading), None)


def _said(data: _Bytes, text: str) -> Canonical | None:
    """Read bytes as UTF-8; None where they are no text. Bytes of controls are what lone selectors leave."""
    data = [row for row in data if row[0] >= ord(" ") or row[0] == ord("\n")]
    said = bytes(byte for byte, _, _ in data).decode("utf-8", "replace")
    printable = said.replace("\n", "").isprintable() and "\ufffd" not in said
    if len(said) < _LEAST_CHARS or not printable or _n_plain(said) < _LEAST_LETTERS * len(said):
        return None
    sizes = np.array([1 if char == "\ufffd" else len(char.encode()) for char in said])
    lasts = np.minimum(np.cumsum(sizes), len(data)) - 1
    firsts = np.minimum(lasts, np.cumsum(sizes) - sizes)
    starts, ends = (np.array([row[column] for row in data], dtype=np.int64) for column in (1, 2))
    return Canonical(said, len(text), starts[firsts], ends[lasts])


def _n_plain(text: str) -> int:
    return sum((char.isalpha() or char == " " or ord(char) > 0xFF) and char != "\ufffd" for char in text)


def _n_usual(text: str) -> int:
    return sum(char.islower() or char == " " for char in text)


def _unfilled(text: str) -> Canonical | None:
    """Take blank fillers for nothing where spaces part the words, and for spaces where they do not."""
    if len(_FILLED.findall(text)) < _LEAST_FILLED:
        return None
    form = Canonical(text, len(text))
    codes = codepoints.codes_of(text)
    fillers = np.isin(codes, _FILLERS)
    if " " in text:
        return kept(form, ~fillers)
    return same_length(form, codepoints.text_of(np.where(fillers, ord(" "), codes).astype(np.uint32)))


def _display_order(text: str) -> npt.NDArray[np.int64]:
    """Return the places of the visible characters in the order in which they are shown, line by line.

    Explicit embeddings, overrides and isolates of Unicode Standard Annex #9 (rules X1 to X8 and L2). Of the implicit
    levels (W, N, I) only letters count: one without override is right-to-left by its class.
    """
    levels = np.array(list(_levels(text)), dtype=np.int64)
    lines, place = [np.zeros(0, dtype=np.int64)], 0
    for line in text.splitlines(keepends=True):
        places = np.arange(place, place + len(line))
        places = places[levels[places] >= 0]
        lines.append(places[_reversed_runs(levels[places])])
        place += len(line)
    order = np.concatenate(lines)
    isolates = np.isin(codepoints.codes_of(text)[order], _ISOLATES)
    return order[~isolates]


def _levels(text: str) -> Iterator[int]:
    """Yield the level of each character; -1 for the controls that the standard removes (rule X9)."""
    stack: list[tuple[int, str, bool]] = [(0, "", False)]
    for char in text:
        level, override, _ = stack[-1]
        kind = unicodedata.bidirectional(char)
        if kind in ("RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI"):
            if len(stack) < _MOST_LEVELS:
                right = kind.startswith("R")
                new = level + 1 + ((level + 1) % 2 != right)
                stack.append((new, kind[0] if kind.endswith("O") else "", kind.endswith("I")))
            yield level if kind.endswith("I") else -1
        elif kind == "PDF":
            _close(stack, isolate=False)
            yield -1
        elif kind == "PDI":
            _close(stack, isolate=True)
            yield stack[-1][0]
        elif kind == "B":
            del stack[1:]
            yield 0
        elif override:
            yield level
        else:
            right = kind in ("R", "AL")
            yield level + (level % 2 != right)


def _close(stack: list[tuple[int, str, bool]], *, isolate: bool) -> None:
    if not isolate:
        if len(stack) > 1 and not stack[-1][2]:
            stack.pop()
        return
    if any(row[2] for row in stack):
        while not stack.pop()[2]:
            pass


def _reversed_runs(levels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Reverse from the highest level down every run of that level or more (rule L2)."""
    order = np.arange(len(levels))
    for level in range(int(levels.max(initial=0)), 0, -1):
        for start, end in codepoints.runs_of(_at_least(levels, order, level)):
            order[start:end] = order[start:end][::-1].copy()
    return order


def _at_least(levels: npt.NDArray[np.int64], order: npt.NDArray[np.int64], level: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = levels[order] >= level
    return found
