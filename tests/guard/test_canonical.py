from __future__ import annotations

import time

import pytest

from guard.canonical import canonicalize, fold

# Written form, canonical form. Each is a way to hide a word from a filter and not from a reader (or from a model).
DISGUISES = [
    ("ki\u200bll", "kill"),  # zero-width space
    ("ki\u200dll", "kill"),  # a joiner that joins nothing
    ("k\u00adi\u00adll", "kill"),  # soft hyphens
    ("\ufeffki\u2060ll", "kill"),  # byte-order mark, word joiner
    ("ki\u034fll", "kill"),  # combining grapheme joiner
    ("k\u202ei\u202cll", "kill"),  # bidirectional override
    ("ki\ufe0fll", "kill"),  # variation selector
    ("ki\U000e0100ll", "kill"),  # one of its supplement
    ("ki\x00l\x1bl", "kill"),  # controls
    ("ｋｉｌｌ", "kill"),  # full width
    ("𝐤𝒊𝓵𝖑", "kill"),  # mathematical alphabets
    ("ⓚⓘⓛⓛ", "kill"),  # circled
    ("🅺🅸🅻🅻", "KILL"),  # boxed, which NFKC leaves
    ("ᴋɪʟʟ", "kill"),  # small capitals
    ("kіll", "kill"),  # one Cyrillic letter inside
    ("κill", "kill"),  # one Greek letter in front
    ("kiӏӏ", "kill"),  # a tail of Cyrillic letters
    ("ԁеѕеⲅѵе hаtе", "deserve hate"),  # most letters Cyrillic, one Coptic
    ("kill the реорӏе now", "kill the people now"),  # one word wholly of look-alikes
    ("ѕсⲟре", "scope"),  # look-alikes of two scripts: no language mixes Cyrillic and Coptic
    ("k\u0336i\u0336l\u0336l\u0336", "kill"),  # struck through
    ("k\u0332i\u0332l\u0332l\u0332", "kill"),  # underlined
    ("k\u20dfi\u20dfl\u20dfl\u20df", "kill"),  # framed
    ("ki\u0300\u0301\u0302\u0303\u0304ll", "kì\u0301\u0302ll"),  # a pile of marks is cut
    ("ki\U000e006c\U000e006c", "ki ll"),  # hidden tag characters are spelled out
    ("ki\U000e0061ll", "kill a"),  # one inside a word
    ("a\U000e006bb\U000e0069c\U000e006cd\U000e006ce", "abcde kill"),  # a message between the letters of another
    ("a\U000e006b\U000e0069b\U000e006cc", "abc ki l"),
    ("\U000e006b\U000e0069", "ki"),
    ("🏴\U000e0067\U000e0062 ok", "🏴 ok gb"),  # no whole flag
    ("ki\U00013430ll", "kill"),  # an Egyptian joiner
    ("ki\U00013438ll \U00013437x", "kill x"),
    ("ki\u070fll", "kill"),  # a Syriac abbreviation mark
    ("ki\U000110bdll\U000110cd", "kill"),  # Kaithi number signs
    ("ki\U0001d159ll", "kill"),  # a musical blank
    ("ki\u200a\u200all", "kill"),  # hair spaces
    ("k\u0488i\u0489l\u1abel\ua670", "kill"),  # enclosing marks
    ("k\u20e2i\u20e3l\u20e4l", "kill"),
    ("ki\u093ell", "kill"),  # a vowel sign of another script
    ("a\u0488\u0301", "á"),
    ("ΚILL them all", "KILL them all"),  # Greek capitals
    ("FUCΚ YOU", "FUCK YOU"),
    ("да kіӏӏ", "да kill"),  # beside a genuine word
    ("日本語Аpple手机", "日本語Apple手机"),  # a Latin word inside unspaced text
    ("ki\ud800ll", "ki\ufffdll"),  # a lone surrogate
    ("a\u3164b", "a b"),  # a letter that shows as a blank
]

# Text that means what it says: the canonical form is the same.
BENIGN = [
    ("English", "Don't panic: it's only 3.5% of $1,000 (naïve café résumé)."),
    ("French", "Où êtes-vous, cœur brisé ?"),
    ("German", "Straße, Größe und Übermut"),
    ("Turkish", "ılık süt, İstanbul'da kısa bir gün"),
    ("Vietnamese", "Tiếng Việt có nhiều dấu thanh"),
    ("Yoruba", "Ẹ kú àárọ̀, ọ̀rẹ́ mi"),
    ("Polish", "Zażółć gęślą jaźń"),
    ("Russian", "сор и рот, а у нас всё хорошо"),
    ("Russian, one word of look-alikes", "сор"),
    ("Russian with Latin names", "Установил Docker с Python, а PDFку открыл"),
    ("Ukrainian", "Її дім у Києві"),
    ("Serbian", "Љубав је свуда"),
    ("Greek", "Ο πόνος του ανθρώπου και το νόημα"),
    ("Armenian", "Բարի օր, ինչպես ես"),
    ("Georgian", "გამარჯობა მეგობარო"),
    ("Hebrew", "שָׁלוֹם עוֹלָם"),
    ("Arabic", "مَرْحَبًا بِكُمْ"),
    ("Persian with non-joiners", "می\u200cخواهم کتاب\u200cها را"),
    ("Hindi with joiners", "क्\u200dष और क्\u200cष"),
    ("Bengali", "আমার সোনার বাংলা"),
    ("Tamil", "வணக்கம் நண்பரே"),
    ("Sinhala with joiner", "ශ්\u200dරී ලංකා"),
    ("Thai", "สวัสดีชาวโลก"),
    ("Khmer", "សួស្តីពិភពលោក"),
    ("Burmese", "မင်္ဂလာပါ"),
    ("Tibetan", "བོད་ཡིག"),
    ("Mongolian with selector", "ᠮᠣᠩᠭᠣᠯ\u180b"),
    ("Chinese", "你好世界"),
    ("Japanese", "こんにちは、カタカナ"),
    ("Korean", "안녕하세요 세계"),
    ("Amharic", "ሰላም ለዓለም"),
    ("Cherokee", "ᎣᏏᏲ ᏣᎳᎩ"),
    ("Inuktitut", "ᐃᓄᒃᑎᑐᑦ"),
    ("mathematics", "∀ε>0 ∃δ: |x−a|<δ ⇒ |f(x)−L|<ε, Δt ≠ ∑πr"),
    ("science", "TNFα and IFNγ at 5 μm, 3 kΩ, σ-algebra"),
    ("phonetics", "/bɪˈtɪŋ/ and /ˈʃiːp/"),
    ("family emoji", "👨\u200d👩\u200d👧\u200d👦 and 👩🏽\u200d🚀, 🙂\u200d↔"),
    ("flag of England", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
    ("flags", "🇨🇦🇫🇷"),
    ("keycaps", "1\u20e3 #\u20e3 *\u20e3"),
    ("Arabic number sign", "\u0600\u0661\u0662 و \u06dd\u0661"),
    ("Syriac abbreviation", "\u070f\u072b\u0718"),
    ("Kaithi number", "\U000110bd\U00011083"),
    ("Egyptian", "\U00013000\U00013430\U00013001"),
    ("Slavonic numerals", "а\u0488 в\u0489"),
    ("symbols of capitals", "TNFα, ΔT, ΣF, ΑB"),
    ("Russian, Latin capitals with an ending", "все PDFы и USBа"),
]


@pytest.mark.parametrize(("written", "expected"), DISGUISES)
def test_disguise_is_undone(written: str, expected: str) -> None:
    assert canonicalize(written).text == expected


@pytest.mark.parametrize(("written", "_"), DISGUISES)
def test_span_of_everything_is_the_original(written: str, _: str) -> None:
    canonical = canonicalize(written)
    start, end = canonical.span(0, len(canonical.text))
    # Invisible characters at either end may be left out; nothing that shows is.
    assert canonicalize(written[start:end]).text == canonical.text


@pytest.mark.parametrize(("script", "text"), BENIGN)
def test_benign_text_keeps_its_spelling(script: str, text: str) -> None:
    assert canonicalize(text).text == text, script


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("❤\ufe0f", "❤"),  # the selector asks for colour
        ("1\ufe0f\u20e3", "1\u20e3"),  # a keycap
        ("cafe\u0301", "café"),
        ("ﬁne ½ x²", "fine 1⁄2 x2"),
        ("Å Ω", "Å Ω"),  # Ångström and Ohm signs
        ("你好，世界！", "你好,世界!"),
        ("ｶﾞ", "ガ"),
        ("각", "각"),
        ("Բարև", "Բարեւ"),  # an Armenian ligature
    ],
)
def test_equivalent_spellings_are_unified(written: str, expected: str) -> None:
    assert canonicalize(written).text == expected


def test_span_maps_each_letter_to_where_it_stood() -> None:
    canonical = canonicalize("a \u200bｋ\u200bіll!")
    assert canonical.text == "a kill!"
    assert canonical.span(2, 6) == (3, 8)  # from the wide k to the last l, the inner zero-width space included
    assert canonical.span(2, 3) == (3, 4)
    assert canonical.span(3, 4) == (5, 6)
    assert canonical.span(7, 7) == (9, 9)


def test_hidden_message_maps_to_the_end_in_order() -> None:
    canonical = canonicalize("a\U000e006bb\U000e006d\U000e006d")
    assert canonical.text == "ab k mm"
    # The one tag before the last visible letter maps to that letter, those after it to themselves.
    assert [canonical.span(place, place + 1) for place in range(7)] == [
        *[(0, 1), (2, 3), (2, 3), (2, 3), (3, 4), (3, 4), (4, 5)],
    ]


def test_span_of_an_expanded_character_is_the_whole_character() -> None:
    canonical = canonicalize("oﬃce")
    assert canonical.text == "office"
    assert canonical.span(2, 3) == (1, 2)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 5)])
def test_span_outside_the_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="outside the canonical text of length 4"):
        canonicalize("kill").span(start, end)


def test_ascii_text_is_returned_itself_without_a_map() -> None:
    text = "plain text\n" * 10
    canonical = canonicalize(text)
    assert canonical.text is text
    assert canonical.starts is None
    assert canonical.span(3, 7) == (3, 7)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ÀÉÎ ñ Ç", "aei n c"),
        ("f\u0323u\u0307", "fu"),
        ("İI", "ii"),
        ("Ünïcode ÉCOLE", "unicode ecole"),
        ("привет Й", "привет й"),
        ("fuĸ kıłł ƒɨx Łódź", "fuĸ kill fix lodz"),
    ],
)
def test_fold_lowers_case_and_drops_latin_accents(written: str, expected: str) -> None:
    assert fold(canonicalize(written)).text == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a w-o-r-d here", "a word here"),
        ("w o r d", "word"),
        ("w.o.r.d!", "word!"),
        ("U.S.A.", "usa."),
        ("w-o r-d", "w-o r-d"),  # not the same mark throughout
        ("a b", "a b"),  # two letters are no word
        ("1.2.3", "1.2.3"),
        ("plan a b c2", "plan a b c2"),
        ("wide \t\n gap", "wide gap"),
        ("⒲⒪⒭⒟!", "word!"),
        ("(w)(o)(r)(d)", "word"),
        ("section 2(a)(b)(c)", "section 2(a)(b)(c)"),  # a reference
        ("(a)(b) or f(x)", "(a)(b) or f(x)"),
        ("🇼🇴🇷🇩", "word"),
        ("🇼 🇴 🇷 🇩", "word"),
        ("🇨🇦🇫🇷 🇩🇪", "🇨🇦🇫🇷 🇩🇪"),  # flags
        ("thin\u2009space 1\u202f000", "thin space 1 000"),
        ("a\u200a—\u200ab", "a — b"),
    ],
)
def test_fold_joins_what_is_spelled_out(written: str, expected: str) -> None:
    assert fold(canonicalize(written)).text == expected


def test_fold_keeps_the_map() -> None:
    folded = fold(canonicalize("xf\u0323\u200bÜck"))
    assert folded.text == "xfuck"
    assert folded.span(1, 5) == (1, 7)
    spelled = fold(canonicalize("a  w-о-r-d"))
    assert spelled.text == "a word"
    assert spelled.span(2, 6) == (3, 10)


@pytest.mark.parametrize(
    "unit",
    [
        "ab ",
        "a\u200b",
        "ｋ",
        "a\u0301\u0316",
        "\uff9e\u0334",
        "\u1161",
        "\u200d",
        "क\u200d",
        "\U000e0041",
        "a\U000e0041",
        "\U0001f3f4\U000e0041\U000e0042",
        "a\u0488",
        "\u200a\u070f",
        "а",
        "аb",
        "你好，",
        "\ufdfa",
    ],
)
def test_time_grows_linearly_with_length(unit: str) -> None:
    def seconds(n_chars: int) -> float:
        text = unit * (n_chars // len(unit))
        best = min(_timed(text) for _ in range(3))
        return max(best, 1e-3)

    canonicalize(unit)  # tables are built once
    # Ten times the text: a quadratic step would take a hundred times as long.
    assert seconds(100_000) < 40 * seconds(10_000)


def _timed(text: str) -> float:
    start = time.perf_counter()
    canonicalize(text)
    return time.perf_counter() - start
