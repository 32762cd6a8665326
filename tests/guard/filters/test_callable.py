from __future__ import annotations

import pytest

from guard.errors import ConfigError, FilterError
from guard.filters.callable import CallableFilter, RegexFilter


def _length(text: str) -> dict[str, float]:
    return {"long": min(len(text) / 10, 1.0), "empty": float(not text)}


def test_function_of_one_category_returns_a_number() -> None:
    filter_ = CallableFilter(lambda text: text.count("x") / 4, categories=["x"], name="x@1")
    assert filter_.name == "x@1"
    assert filter_.score_batch(["", "x", "xx"]).tolist() == [[0.0], [0.25], [0.5]]


def test_function_of_several_categories_returns_a_mapping() -> None:
    filter_ = CallableFilter(_length, categories=["empty", "long"])
    assert filter_.name == "callable@_length"
    assert filter_.score_batch(["", "abcde"]).tolist() == [[1.0, 0.0], [0.0, 0.5]]
    assert filter_.score_batch([]).shape == (0, 2)


@pytest.mark.parametrize("result", [{"other": 1.0}, {}, None, "high", 0.5])
def test_wrong_result_is_a_filter_error(result: object) -> None:
    filter_ = CallableFilter(lambda _: result, categories=["a", "b"])  # type: ignore[arg-type, return-value]
    with pytest.raises(FilterError, match="expected a number for each of a, b"):
        filter_.score_batch(["text"])


def test_raising_function_is_a_filter_error() -> None:
    filter_ = CallableFilter(lambda text: float(text), categories=["a"], name="parse@1")
    with pytest.raises(FilterError, match="filter parse@1 raised ValueError: could not convert") as caught:
        filter_.score_batch(["text"])
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("categories", [[], ["a", "a"], [""], [3]])
def test_wrong_categories_are_refused(categories: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected at least one, each a text, none twice"):
        CallableFilter(lambda _: 0.0, categories=categories)


CARDS = RegexFilter({"card": [r"\b\d{4} \d{4}\b"], "project": [r"project [a-z]+", "falcon"]})


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("my card is 1234 5678", [1.0, 0.0]),
        ("my card is １２３４ ５６７８", [1.0, 0.0]),  # full width
        ("my card is 1234 56789", [0.0, 0.0]),
        ("Project X", [0.0, 1.0]),
        ("FАLCОN", [0.0, 1.0]),  # Cyrillic А and О
        ("", [0.0, 0.0]),
    ],
)
def test_regex_scores(text: str, scores: list[float]) -> None:
    assert CARDS.categories == ("card", "project")
    assert CARDS.score_batch([text]).tolist() == [scores]


def test_regex_locates_every_match_in_the_original() -> None:
    text = "Pr\u200boject falcon, 1234 5678"
    found = [(text[span.start : span.end], span.category) for span in CARDS.locate(text)]
    assert found == [("Pr\u200boject falcon", "project"), ("falcon", "project"), ("1234 5678", "card")]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"a": ["("]}, r"expression '\(' of a does not compile"),
        ({"a": ["x*"]}, "matches the empty text"),
        ({}, "expected at least one"),
        ({"a": []}, r"expressions of a are \[\]: expected a list of at least one text"),
        ({"a": "foo"}, "expressions of a are 'foo': expected a list"),
        ({"a": [3]}, r"expressions of a are \[3\]: expected a list"),
        ({"a": 3}, "expressions of a are 3: expected a list"),
        ({"a": ["a{99999999999999999999}"]}, "of a does not compile"),
    ],
)
def test_wrong_expressions_are_refused(patterns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RegexFilter(patterns)


def test_regex_name_is_a_digest_of_the_expressions() -> None:
    assert RegexFilter({"a": ["x"]}).name == RegexFilter({"a": ["x"]}).name
    assert RegexFilter({"a": ["x"]}).name != RegexFilter({"a": ["y"]}).name


@pytest.mark.parametrize("result", [float("nan"), float("inf"), 1e300, -0.1, 1.1, pytest.param(10**400, id="huge")])
def test_number_that_is_no_score_is_a_filter_error(result: float) -> None:
    with pytest.raises(FilterError, match="filter odd@1 returned"):
        CallableFilter(lambda _: result, categories=["a"], name="odd@1").score_batch(["text"])
