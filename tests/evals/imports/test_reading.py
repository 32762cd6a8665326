from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from evals.imports import reading
from evals.imports.reading import digest, line_at, lines, number, parse, read_document, text_of
from guard.errors import DataError


def test_lines_come_with_their_offsets_and_broken_ones_as_none(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n\n[1]\n{"b": 2\n{"c": "\xc3\xa9"}\n{"torn": ')
    assert list(lines(path)) == [(0, {"a": 1}), (10, None), (14, None), (22, {"c": "é"}), (34, None)]
    with path.open("rb") as stream:
        assert line_at(stream, 22) == {"c": "é"}
        assert line_at(stream, 14) == {}


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_LINE", 100)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * 200)
    with pytest.raises(DataError, match="more than 100 bytes"):
        list(lines(path))


def test_a_huge_document_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_DOCUMENT", 10)
    path = tmp_path / "log.json"
    path.write_text('{"eval": {}}')
    with pytest.raises(DataError, match="12 bytes, and a JSON log may have 10"):
        read_document(path)


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff"', b"[" * 100_000, b"1" * 10_000, b"\x00\x01"])
def test_what_is_not_json_is_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match="here: not") as caught:
        parse(data, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((1, 1.0), (0.5, 0.5), (True, 1.0), (None, None), ("1", None), ([], None)),
        *((math.nan, None), (math.inf, None), (10**400, None)),
    ],
)
def test_a_number_is_finite_or_none(value: object, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ({"text": "a"}, "a"),
        ({"role": "user", "content": "a"}, "a"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}, {"content": "b"}], "a\nb"),
        ({"turns": [{"role": "user", "content": {"text": "a", "lang": "en"}}], "notes": {}}, "a"),
        (None, ""),
        (3, ""),
        ({}, ""),
    ],
)
def test_text_is_found_in_every_form_of_a_message(value: object, expected: str) -> None:
    assert text_of(value) == expected


def test_text_is_bounded_in_length_and_depth() -> None:
    nested: object = "deep"
    for _ in range(50):
        nested = [nested]
    assert text_of(nested) == ""
    assert len(text_of(["x" * 3000] * 10)) == 4000
    assert text_of("abc", most=2) == "ab"


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert digest(path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(DataError, match="cannot be read"):
        digest(tmp_path / "none")
