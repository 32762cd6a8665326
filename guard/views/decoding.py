"""Encoded passages of a text, decoded where they stand."""

from __future__ import annotations

import base64
import binascii
import html
import re
import urllib.parse
from collections.abc import Callable

from guard.canonical import Canonical
from guard.offsets import edited
from guard.views import words

__all__ = ["decoded"]

_HEX = "[0-9a-fA-F]"
_PERCENT = re.compile(rf"(?:%{_HEX}{{2}})+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};)")
_ESCAPE = re.compile(
    rf"\\u\{{{_HEX}{{1,6}}\}}|\\u{_HEX}{{4}}|\\U{_HEX}{{8}}|\\x{_HEX}{{2}}|\\[0-3][0-7]{{2}}|U\+{_HEX}{{4,6}}"
)
_ESCAPES = re.compile(rf"(?:(?:{_ESCAPE.pattern})\s?)+")
_HEX_RUN = re.compile(rf"(?<![\w/+-])(?:(?:0[xX]|\\x|#)?{_HEX}{{2}}(?:[\s:,;-]{{1,2}}(?:0[xX])?)?){{4,}}(?![\w/+-])")
_BINARY = re.compile(r"(?<!\w)(?:[01]{8}[\s,]{0,2}){3,}(?!\w)")
_DECIMAL = re.compile(r"(?<![\w.])(?:1?\d{2}[\s,]{1,2}){5,}1?\d{2}(?![\w.])")
_BASE64_LINES = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{4,}(?:\s{1,2}[A-Za-z0-9+/_-]{2,})+={0,2}(?![\w+/=])")
_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{8,}={0,2}(?![\w+/=])")
_BASE32 = re.compile(r"(?<![\w=])[A-Z2-7]{16,}={0,6}(?![\w=])")
_QUOTED = re.compile(rf"(?:={_HEX}{{2}}){{2,}}")
_MAYBE = re.compile(
    rf"[%=]{_HEX}{{2}}|&[#a-zA-Z]|\\[uUx0-7]|U\+|0[xX]|[0-9a-fA-F]{{2}}[\s:,;-]{{1,2}}{_HEX}{{2}}|[\w+/=-]{{8}}"
)
_PRINTABLE = re.compile(r"[\t\n\r -~\u00a0-\ufffd\U00010000-\U000e0fff]*")
_LEAST_BASE64 = 8
_LETTERS = re.compile(r"[^\W\d_]")
_WORDS = re.compile("[a-z]{3,}")
_LEAST_FOREIGN = 24  # bytes
_LEAST_LETTERS = 0.6  # share of letters and spaces in what was hidden as text


def decoded(form: Canonical) -> Canonical:
    """Return a text with each encoded passage replaced by what it says, one layer deep; itself where there is none.

    Known are percent, HTML, Unicode, octal and quoted-printable escapes, and hexadecimal, binary, decimal, base64 and
    base32 numbers of printable text. Numbers that decode to anything else, as images and digests do, stay.
    """
    if not _MAYBE.search(form.text):
        return form
    for pattern, decode in _CODES:
        edits = [
            (match.start(), match.end(), new)
            for match in pattern.finditer(form.text)
            if (new := decode(match[0])) is not None and new != match[0]
        ]
        form = edited(form, edits)
    return form


def _percent(code: str) -> str | None:
    return _text(urllib.parse.unquote_to_bytes(code), strict=False)


def _entity(code: str) -> str | None:
    return html.unescape(code) or None


def _escapes(code: str) -> str | None:
    return _ESCAPE.sub(_escaped, code) if len(code) > 3 else None


def _escaped(match: re.Match[str]) -> str:
    digits = match[0].lstrip("\\uUxX+").strip("{}")
    value = int(digits, 8 if match[0][1].isdigit() else 16)
    return chr(value) if value < 0x110000 and not 0xD800 <= value < 0xE000 else "\ufffd"


def _hex(code: str) -> str | None:
    digits = re.sub(r"0[xX]|\\x|[^0-9a-fA-F]", "", code)
    if len(digits) % 2 or len(digits) < 8:
        return None
    return _around(code, _text(bytes.fromhex(digits)))


def _binary(code: str) -> str | None:
    digits = re.sub(r"[^01]", "", code)
    return _around(code, _text(bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))))


def _decimal(code: str) -> str | None:
    return _around(code, _text(bytes(number for number in map(int, re.findall(r"\d+", code)) if number < 256)))


def _base64(code: str) -> str | None:
    if len(code) < _LEAST_BASE64 or code.lower() in words.costs():
        return None
    digits = re.sub(r"\s", "", code).rstrip("=").translate(str.maketrans("-_", "+/"))
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return _around(code, _text(_bytes(lambda: base64.b64decode(digits + "=" * (-len(digits) % 4)))))


def _base32(code: str) -> str | None:
    digits = code.rstrip("=")
    return _text(_bytes(lambda: base64.b32decode(digits + "=" * (-len(digits) % 8))))


def _quoted(code: str) -> str | None:
    return _text(bytes.fromhex(code.replace("=", "")))


def _bytes(decode: Callable[[], bytes]) -> bytes:
    try:
        return decode()
    except (binascii.Error, ValueError):
        return b""


def _around(code: str, text: str | None) -> str | None:
    """Keep the white space behind a number."""
    return None if text is None else text + code[len(code.rstrip()) :]


def _text(data: bytes, *, strict: bool = True) -> str | None:
    """Return what bytes say in UTF-8; None when that is not text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not text or not _PRINTABLE.fullmatch(text):
        return None
    if strict and len(_LETTERS.findall(text)) + text.count(" ") < _LEAST_LETTERS * len(text):
        return None
    # Few bytes at random are often letters of some script: a word has to be among them.
    if strict and len(data) < _LEAST_FOREIGN and not _has_word(text):
        return None
    return text


def _has_word(text: str) -> bool:
    return any(word in words.costs() for word in _WORDS.findall(text.lower()))


_CODES: tuple[tuple[re.Pattern[str], Callable[[str], str | None]], ...] = (
    (_PERCENT, _percent),
    (_ENTITY, _entity),
    (_ESCAPES, _escapes),
    (_QUOTED, _quoted),
    (_BINARY, _binary),
    (_DECIMAL, _decimal),
    (_HEX_RUN, _hex),
    (_BASE32, _base32),
    (_BASE64_LINES, _base64),
    (_BASE64, _base64),
)
