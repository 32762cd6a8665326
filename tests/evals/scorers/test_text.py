from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scorers.text import distinct_n, han_share, repetition, words
from guard.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n\t ", []),
        ("!?… — 🙂", []),
        ("The cat.", ["the", "cat"]),
        ("Don't DON’T", ["dont", "dont"]),
        ("well-known a_b", ["well", "known", "a", "b"]),
        ("3.5 x2", ["3", "5", "x2"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("你好abc你", ["你", "好", "abc", "你"]),
        ("한국어 말", ["한국어", "말"]),
        ("ดี", ["ดี"]),
        ("a\ud800b", ["a", "b"]),
        ("a\0b", ["a", "b"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["the cat the cat"], 1, 2 / 4),
        (["the cat the cat"], 2, 2 / 3),
        (["the cat the cat"], 3, 1.0),
        (["the cat the cat"], 4, 1.0),
        (["the cat the cat"], 5, None),
        (["a b", "a b"], 2, 1 / 2),
        (["a b", "c d"], 2, 1.0),  # no "b c"
        (["a", "b c"], 2, 1.0),
        (["a", ""], 2, None),
        ([], 1, None),
        (["A a Á"], 1, 2 / 3),
    ],
)
def test_distinct_n(texts: list[str], n: int, expected: float | None) -> None:
    assert distinct_n(texts, n) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b c d e f", 4, 0.0),
        ("a b c d a b c d", 4, 1 / 5),
        ("la la la la la", 4, 1 / 2),
        ("la la la la la", 2, 3 / 4),
        ("la la la la", 4, 0.0),
        ("la la la", 4, None),
        ("", 4, None),
        ("?!", 1, None),
    ],
)
def test_repetition(text: str, n: int, expected: float | None) -> None:
    assert repetition(text, n=n) == (None if expected is None else pytest.approx(expected))


def test_repetition_of_a_loop_comes_close_to_one() -> None:
    assert repetition("I will not say that. " * 200) == pytest.approx(1 - 5 / 997)


@pytest.mark.parametrize("n", [0, -1])
def test_ngrams_of_no_words_are_refused(n: int) -> None:
    with pytest.raises(ConfigError, match="n must be at least 1"):
        distinct_n(["a b"], n)
    with pytest.raises(ConfigError, match="n must be at least 1"):
        repetition("a b", n=n)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=40), max_size=4), st.integers(1, 4))
def test_values_lie_in_range(texts: list[str], n: int) -> None:
    distinct = distinct_n(texts, n)
    assert distinct is None or 0 < distinct <= 1
    for text in texts:
        value = repetition(text, n=n)
        assert value is None or 0 <= value < 1
        assert (value is None) == (len(words(text)) < n)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["ka", "lo", "mi"]), min_size=4, max_size=20))
def test_repetition_of_a_text_said_twice_is_not_lower(tokens: list[str]) -> None:
    once, twice = repetition(" ".join(tokens)), repetition(" ".join(tokens * 2))
    assert once is not None
    assert twice is not None
    assert twice >= once - 1e-12


@pytest.mark.parametrize(
    ("text", "share"),
    [("你好", 1.0), ("abc", 0.0), ("你好，world", 2 / 7), ("ひらがな漢字", 2 / 6), ("123 !?", None), ("", None)],
)
def test_share_of_chinese_letters(text: str, share: float | None) -> None:
    assert han_share(text) == share
