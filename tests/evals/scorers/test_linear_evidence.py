"""The linear judge explained exactly: terms sum to its log-odds for any text, and lie where their n-grams are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scorers.linear import JUDGE_CATEGORIES, LinearJudge
from guard.explain.filters.table import explainer

JUDGE = LinearJudge.load()


@pytest.mark.parametrize("category", JUDGE_CATEGORIES)
@pytest.mark.parametrize(
    "text",
    ["you idiot", "a", "", "I can\u2019t help with that, sorry.", "st\u200bupid　ＩＤＩＯＴ İ", "a a a b", "... !"],
)
def test_terms_sum_to_the_log_odds(text: str, category: str) -> None:
    (found,) = explainer(JUDGE).explain([text], category)
    score = JUDGE.score_batch([text])[0, JUDGE_CATEGORIES.index(category)]
    assert found.method == "exact"
    assert 1 / (1 + math.exp(-found.number)) == pytest.approx(float(score), abs=1e-6)
    assert found.gap == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_terms_of_any_text_sum_to_its_log_odds(text: str) -> None:
    (found,) = explainer(JUDGE).explain([text], "toxicity")
    score = float(JUDGE.score_batch([text])[0, 0])
    assert 1 / (1 + math.exp(-found.number)) == pytest.approx(score, abs=1e-6)


def test_the_worst_word_is_found_in_the_text_as_given() -> None:
    text = "Thank you for coming, you st\u200bupid idiot"
    (found,) = explainer(JUDGE).explain([text], "toxicity")
    assert {text[slice(*found.parts[at])] for at in found.order()[:2]} == {"st\u200bupid", "idiot"}
