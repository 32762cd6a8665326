"""No text can hide anything on a page, or steer it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.report.visible import Piece, on_one_line, pieces, visible
from guard.schema import Span
from tests.evals.report.strategies import texts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("é ü 漢字 عربي 😀", "é ü 漢字 عربي 😀"),
        ("a\u00a0b", "a\u00a0b"),
        ("a\u200bb", "a‹U+200B›b"),
        ("\u202egnp", "‹U+202E›gnp"),
        ("\ud800", "‹U+D800›"),
        ("\x1b[31m", "‹U+001B›[31m"),
        ("\x9b31m", "‹U+009B›31m"),
        ("a\r\nb", "a‹U+000D›\nb"),
        ("\x00", "‹U+0000›"),
        ("\u2028", "‹U+2028›"),
        ("tag\U000e0041", "tag‹U+E0041›"),
        ("smile\ufe0f\U000e0101", "smile‹U+FE0F›‹U+E0101›"),
        ("\u3164\u2800\u00ad", "‹U+3164›‹U+2800›‹U+00AD›"),
        ("‹U+202E›", "‹U+202E›"),
    ],
)
def test_visible_spells_out_what_has_no_ink(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(texts)
def test_visible_any_text_is_safe_and_stays(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert all(c in "\n\t" or unicodedata.category(c)[0] != "C" for c in shown)
    assert visible(shown) == shown


@given(texts)
def test_on_one_line_any_text_is_one_line(text: str) -> None:
    assert on_one_line(text) == on_one_line(on_one_line(text))
    assert "\n" not in on_one_line(text)


@given(
    texts, st.lists(st.builds(Span, st.integers(-5, 50), st.integers(-5, 50), st.just("x"), st.just(0.5)), max_size=5)
)
def test_pieces_any_spans_keep_the_text(text: str, spans: list[Span]) -> None:
    found = pieces(text, spans)
    assert "".join(piece.text for piece in found) == visible(text)
    assert all(piece.text for piece in found)


def test_pieces_overlapping_spans_are_named_together() -> None:
    spans = (Span(2, 6, "insult", 0.9), Span(4, 8, "threat", 0.5), Span(4, 6, "insult", 0.4))
    assert pieces("0123456789", spans) == [
        Piece("01", "plain"),
        Piece("23", "marked", "insult 0.90"),
        Piece("45", "marked", "insult 0.90; threat 0.50"),
        Piece("67", "marked", "threat 0.50"),
        Piece("89", "plain"),
    ]


def test_pieces_hidden_character_stands_alone() -> None:
    assert pieces("a\u200bb") == [Piece("a", "plain"), Piece("‹U+200B›", "hidden"), Piece("b", "plain")]


def test_pieces_long_text_is_cut() -> None:
    found = pieces("x" * 1_000_000, (Span(3, 999_999, "long", 1.0),), limit=5)
    assert found == [Piece("xxx", "plain"), Piece("xx", "marked", "long 1.00")]
