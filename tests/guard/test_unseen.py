from __future__ import annotations

import pytest

from guard.canonical import canonicalize
from guard.unseen import unseen


def selectors(data: bytes) -> str:
    return "".join(chr(0xFE00 + byte) if byte < 16 else chr(0xE0100 + byte - 16) for byte in data)


def bits(data: bytes, zero: str, one: str) -> str:
    return "".join((zero, one)[int(bit)] for byte in data for bit in f"{byte:08b}")


def swapped(first: str, second: str) -> str:
    """Two letters that are shown the other way round (Boucher et al. 2022, "Bad Characters", listing 2)."""
    return f"\u202d\u2066\u202e\u2066{first}\u2069\u2066{second}\u2069\u202c\u2069\u202c"


SAID = [
    ("😀" + selectors(b"kill yourself"), "kill yourself"),
    ("a" + selectors("schöne Grüße".encode()) + " b", "schöne Grüße"),
    ("".join(c + selectors(bytes([b])) for c, b in zip("hello", b"idiot", strict=True)), "idiot"),
    ("b" + "".join(chr(0xE0100 + byte) for byte in b"kill him now"), "kill him now"),  # without the offset of 16
    ("hey" + bits(b"kill him", "\u200b", "\u200c"), "kill him"),
    ("hey" + bits(b"kill him", "\u2062", "\u2064"), "kill him"),
    ("you \u202ellik\u202c me", "you kill me"),
    ("\u202euoy etah i\u202c", "i hate you"),
    (f"f{swapped('c', 'u')}k", "fuck"),
    ("one\n\u202eowt\u202c\nthree", "one\ntwo\nthree"),
    ("k\u3164i\u2800l\u1160l your\uffa0s\u115felf", "kill yourself"),
]


@pytest.mark.parametrize(("written", "said"), SAID)
def test_invisible_characters_are_read(written: str, said: str) -> None:
    assert said in [form.text for form in canonicalize(written).asides]


@pytest.mark.parametrize(("written", "_"), SAID)
def test_spans_of_what_is_read_lie_in_the_text(written: str, _: str) -> None:
    for form in canonicalize(written).asides:
        for place in range(len(form.text)):
            start, end = form.span(place, place + 1)
            assert 0 <= start < end <= len(written)


def test_span_leads_to_the_selectors_themselves() -> None:
    (form,) = canonicalize("ok 😀" + selectors(b"kill him") + "!").asides
    assert form.span(0, 4) == (4, 8)
    assert form.span(5, 8) == (9, 12)


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "I ❤\ufe0f you 👨\u200d👩\u200d👧",  # one selector after a heart
        "1\ufe0f\u20e3 and #\ufe0f\u20e3",  # keycaps
        "葛\U000e0100飾区",  # a variant of an ideograph
        "می\u200cخواهم",
        "ki\u200bll\u200b \u200byou\u200b \u200ball\u200b",  # one kind of zero-width character carries no bits
        "\u202dabc\u202c",  # shown as it is stored
        "שלום \u200fabc",
        "ㅎ\u3164ㅎ",
        "a" + selectors(bytes(range(200, 216))),  # bytes that are no text
    ],
)
def test_ordinary_signs_say_nothing(text: str) -> None:
    assert canonicalize(text).asides == ()


def test_deep_nesting_and_unclosed_controls_are_borne() -> None:
    for control in "\u202e\u202d\u202a\u202b\u2066\u2067\u2068\u202c\u2069":
        assert all(form.text.count("a") == 300 for form in unseen((control + "a") * 300))
