"""What the tokeniser is given, and the way back to the text as given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.filters.encoder_text import emoji_name, encoder_text


@pytest.mark.parametrize(
    ("char", "name"),
    [
        ("\U0001f412", "monkey"),
        ("\U0001f62d", "loudly crying face"),
        ("\U0001f604", "smiling face with open"),
        ("\U0001f1fa", "u"),
        ("\U0001faff", ""),
    ],
)
def test_emoji_name_is_short_and_lower_case(char: str, name: str) -> None:
    assert emoji_name(char) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain text", "plain text"),
        ("you \u4f60\u8fd9\u4e2a idiot", "you idiot"),
        ("you \U0001f412\U0001f412\U0001f412!", "you monkey !"),
        ("\U0001f44d\U0001f3ff ok", "thumbs up sign ok"),
        ("it\u2019s", "it's"),
        ("\u4f60\u597d", ""),
    ],
)
def test_encoder_text_spells_emoji_out(text: str, words: str) -> None:
    assert " ".join(encoder_text(text, emoji_names=True).text.split()) == words


def test_encoder_text_leaves_emoji_alone_when_told() -> None:
    assert encoder_text("so \U0001f412", emoji_names=False).text == "so \U0001f412"


def test_encoder_text_breaks_an_endless_word_up() -> None:
    assert max(len(part) for part in encoder_text("x" * 1000, emoji_names=True).text.split()) == 64
    assert encoder_text("x" * 64, emoji_names=True).text == "x" * 64


def test_encoder_text_maps_a_name_back_to_its_emoji() -> None:
    form = encoder_text("so \U0001f412\U0001f412 sad", emoji_names=True)
    at = form.text.index("monkey")
    assert form.span(at, at + 6) == (3, 5)
    at = form.text.index("sad")
    assert form.span(at, at + 3) == (6, 9)


@given(st.text(max_size=80))
def test_encoder_text_maps_every_character_into_the_text(text: str) -> None:
    form = encoder_text(text, emoji_names=True)
    assert form.source_length == len(text)
    for at in range(len(form.text)):
        start, end = form.span(at, at + 1)
        assert 0 <= start <= end <= len(text)
