from __future__ import annotations

import base64
import codecs
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.canonical import canonicalize
from guard.views import View, views
from guard.views import words as word_list
from guard.views.chunks import text_cost
from guard.views.joining import segmented

SENTENCE = "you are a stupid fucking bitch, kill yourself"
NESTED = base64.b64encode(base64.b64encode(SENTENCE.encode())).decode()

# Written form, reading. Each was written for a reader, or for a model, and not for a filter.
READINGS = [
    ("k i l l  y o u r s e l f", "kill yourself"),
    ("k i l l y o u r s e l f", "kill yourself"),  # the end of the word is lost
    ("K I L L them", "kill them"),
    ("k\ni\nl\nl them", "kill them"),
    ("f.u.c.k y.o.u", "fuck you"),
    ("f-u-c-k o-f-f", "fuck off"),
    ("k*i*l*l y~o~u", "kill you"),
    (".".join("you stupid bitch"), "you stupid bitch"),
    ("a_l_l o-f y_o_u a.r.e s_c_u_m_.", "all of you are scum."),
    ("w-h-a-t a f~o~o~l~!~?", "what a fool!~?"),
    ("y_o_u c-a-n-'-t l~i~v~e", "you can't live"),
    ("@|J|o|q|t|u|z|m|k|w|n t_h_a_t g-i-r-l i|s a w|h|o|r|e", "@joqtuzmkwn that girl is a whore"),
    ("&_#_8_2_2_0_; y*o*u s-t-u-p-i-d b*i*t*c*h", "&_#_8220 you stupid bitch"),
    ("k\u2800i\u2800l\u2800l him", "kill him"),
    ("d o n ' t  k i l l  m e", "don't kill me"),
    ("fu ck y ou bi tch", "fuck you bitch"),
    ("you b1tch", "you bitch"),
    ("y0u 4r3 4 57up1d 455h0l3", "you are a stupid asshole"),
    ("go k!ll y0ur$elf", "go kill yourself"),
    ("you @sshole", "you asshole"),
    ("k|ll |-|im", "kill him"),
    ("\\/\\/hore", "whore"),
    ("shoot the |>olice", "shoot the police"),
    ("f*ck off", "fuck off"),
    ("sh*t and b#tch", "shit and bitch"),
    ("f-ck that", "fuck that"),
    ("fuuuuuck yoouuuu", "fuck you"),
    ("ffuucckk you", "fuck you"),
    ("kcuf you", "fuck you"),
    (SENTENCE[::-1], SENTENCE),
    ("i hate you " + codecs.encode("stupid people", "rot13"), "i hate you stupid people"),
    (codecs.encode(SENTENCE, "rot13"), SENTENCE),
    ("ʞɔnɟ noʎ", "you fuck"),
    ("you stpuid idoit bicth", "you stupid idiot bitch"),
    ("everyone in this town knows that you are a fagogt", "everyone in this town knows that you are a faggot"),
    (base64.b64encode(SENTENCE.encode()).decode(), SENTENCE),
    (base64.b64encode(SENTENCE.encode()).decode().rstrip("="), SENTENCE),
    (base64.encodebytes((SENTENCE * 3).encode()).decode(), SENTENCE * 3),
    (f"Decode {base64.urlsafe_b64encode(SENTENCE.encode()).decode()} please", f"decode {SENTENCE} please"),
    (NESTED, SENTENCE),
    (base64.b32encode(SENTENCE.encode()).decode(), SENTENCE),
    (SENTENCE.encode().hex(), SENTENCE),
    (SENTENCE.encode().hex(" "), SENTENCE),
    (" ".join(f"0x{byte:02x}" for byte in SENTENCE.encode()), SENTENCE),
    ("".join(f"\\x{byte:02x}" for byte in SENTENCE.encode()), SENTENCE),
    (" ".join(f"{byte:08b}" for byte in SENTENCE.encode()), SENTENCE),
    (" ".join(str(byte) for byte in SENTENCE.encode()), SENTENCE),
    (urllib.parse.quote(SENTENCE), SENTENCE),
    ("".join(f"%{byte:02X}" for byte in SENTENCE.encode()), SENTENCE),
    ("".join(f"&#{ord(char)};" for char in SENTENCE), SENTENCE),
    ("".join(f"&#x{ord(char):x};" for char in SENTENCE), SENTENCE),
    ("".join(f"\\u{ord(char):04x}" for char in SENTENCE), SENTENCE),
    ("😀" + "".join(chr(0xE0100 + byte - 16) for byte in b"f.u.c.k y.o.u"), "fuck you"),  # a disguise in a disguise
]

# Text that means what it says, and looks a little like the above.
PLAIN = [
    "@a.b.c and @d.e.f are handles, 1.2.3.4 is a version",
    "U_S_A_. is how the field is called, x_1_2_.",
    "Could you please tell me how to change my address?",
    "H2O, CO2 and C6H12O6; a 3D print of an i18n B2B K-9 in 4x4",
    "My mp3 of the 1990s, 100k views, the 5th of 10",
    "U.S.A. and the U.N., J. R. R. Tolkien, e.g. P. G. Wodehouse, i.e. a Ph.D.",
    "Press 1, 2 or 3; then A, B or C",
    "A B C D E F G",
    "1 2 3 4 5 6 7 8",
    "x + y - z = 3, a * b and f(x) = 2x",
    "∀x ∈ ℝ: x² ≥ 0",
    "+44 20 7946 0958 or (555) 010-9988",
    "123e4567-e89b-12d3-a456-426614174000",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    "https://example.org/a/b?q=1&r=two#three and me@example.org",
    "def add(x1: int, y2: int) -> int:\n    return x1 + y2",
    "SELECT * FROM users WHERE id = 42;",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "-.- .. .-.. .-..",
    "¯\\_(ツ)_/¯ and :-) and <3",
    "Ich hätte gern ein Stück Kuchen, bitte, und dazu Donaudampfschifffahrt",
    "Où est-ce que tu vas, s'il te plaît ?",
    "Zażółć gęślą jaźń",
    "Tiếng Việt có nhiều dấu thanh",
    "Мама мыла раму, а у нас всё хорошо",
    "Ο πόνος του ανθρώπου",
    "می\u200cخواهم کتاب\u200cها را",
    "क्\u200dष और क्\u200cष नमस्ते",
    "我想知道，如何更改我的地址？",
    "東京タワーへ行きたいです。",
    "안녕하세요, 주소를 바꾸고 싶어요",
    "👨\u200d👩\u200d👧 🇺🇸 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "Mr. Fuchs met Mrs. Scunthorpe and Dr. Hitchcock in Essex",
    "café, naïve, Zoë, Beyoncé",
]


def readings(text: str) -> tuple[View, ...]:
    return views(canonicalize(text))


@pytest.mark.parametrize(("written", "read"), READINGS)
def test_disguise_is_read(written: str, read: str) -> None:
    assert read in [view.form.text.lower().strip() for view in readings(written)]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_has_no_other_reading(text: str) -> None:
    assert readings(text) == ()


@pytest.mark.parametrize(("written", "_"), READINGS)
def test_spans_lie_in_the_original(written: str, _: str) -> None:
    for view in readings(written):
        for place in range(len(view.form.text)):
            start, end = view.form.span(place, place + 1)
            assert 0 <= start <= end <= len(written)


@pytest.mark.parametrize(
    ("written", "word", "place"),
    [
        ("so k i l l them", "kill", (3, 10)),
        ("so f\u200b*ck it", "fuck", (3, 8)),  # through the canonical form too
        ("say kcuf you", "fuck", (4, 8)),
        ("run a2lsbCBoaW0= now", "kill him", (4, 16)),
    ],
)
def test_span_of_a_word_is_where_it_was_written(written: str, word: str, place: tuple[int, int]) -> None:
    form = readings(written)[0].form
    start = form.text.index(word)
    assert form.span(start, start + len(word)) == place


def test_kinds_say_what_was_undone() -> None:
    kinds = [view.kind for view in readings(base64.b64encode(b"you b1tch, go away").decode())]
    assert kinds == ["decoded", "decoded+respelled"]
    assert readings("fuck you") == ()


def test_decoded_passage_is_read_alone_too() -> None:
    code = base64.b64encode(SENTENCE.encode()).decode()
    found = {view.form.text.strip(): view.form for view in readings(f"Please decode {code} and be kind, thank you!")}
    assert SENTENCE in found
    start, end = found[SENTENCE].span(0, len(found[SENTENCE].text))
    assert start <= 14
    assert end >= 14 + len(code)


def test_known_words_stay_when_a_part_is_turned() -> None:
    written = "i hate you " + codecs.encode("my lovely garden", "rot13")
    assert readings(written)[0].form.text == "i hate you my lovely garden"


def test_words_without_spaces_are_parted() -> None:
    assert segmented("killyourselfnow") == ["kill", "yourself", "now"]
    assert segmented("xqzkillvwq") == ["xqz", "kill", "vwq"]
    assert segmented("") == []


def test_language_costs_less_than_its_reverse() -> None:
    assert text_cost("nobody likes you") < text_cost("uoy sekil ydobon")


def test_swear_words_are_known_words() -> None:
    assert word_list.swears() <= set(word_list.costs())
    assert len(word_list.costs()) > 20_000


@given(st.text(max_size=60))
def test_views_of_any_text_map_into_it(text: str) -> None:
    for view in readings(text):
        if view.form.text:
            start, end = view.form.span(0, len(view.form.text))
            assert 0 <= start <= end <= len(text)


@given(st.text(alphabet="abk1!|@ .-*%&#x0;\\u46=\u202e\u200b\u3164", max_size=80))
def test_views_of_signs_are_few_and_stable(text: str) -> None:
    found = readings(text)
    assert len(found) <= 4 + 5 * len(canonicalize(text).asides)
    assert found == readings(text)


@pytest.mark.parametrize(
    "unit",
    ["k i l l ", "a*b c#d ", "zkqj wvxp ", "QUJDREVG ", "41 ", "ab", "h3ll0 ", "olleh ", "&#1", "%25", "a\u3164", "x~"],
)
def test_time_grows_linearly_with_length(unit: str) -> None:
    def seconds(n: int) -> float:
        form = canonicalize(unit * (n // len(unit)))
        started = time.process_time()
        views(form)
        return time.process_time() - started

    seconds(2_000)
    assert seconds(64_000) < 16 * seconds(16_000) + 0.5
