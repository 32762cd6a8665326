"""Agreement with a reference: by hand, and to the digit what the field's own packages give."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scorers.overlap import chrf, contains, exact_match, rouge_l

TEXTS = st.text(alphabet="ab c.é北京1", max_size=30)


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("Paris", "paris", 1.0),
        (" Paris. ", "Paris", 1.0),
        ("“北京”。", "北京", 1.0),
        ("ＡＢＣ", "abc", 1.0),
        ("It is Paris.", "Paris", 0.0),
        ("3.5", "35", 0.0),
        ("-3", "3", 0.0),
        ("", "Paris", 0.0),
    ],
)
def test_exact_match_looks_past_case_and_edges_only(answer: str, reference: str, same: float) -> None:
    assert exact_match(answer, reference) == same


@pytest.mark.parametrize(
    ("answer", "reference", "there"),
    [
        ("It is Paris, I think.", "Paris", 1.0),
        ("It is Parisian.", "Paris", 0.0),
        ("The answer is 42.", "42", 1.0),
        ("42", "42", 1.0),
        ("It costs 1,942 yuan", "42", 0.0),
        ("It costs 42.5 yuan", "42", 0.0),
        ("It is -3 degrees", "3", 0.0),
        ("pages 1-3", "3", 1.0),
        ("答案是北京市", "北京", 1.0),
        ("C++ is fine", "C++", 1.0),
        ("anything", "", 0.0),
        ("not Paris", "Paris", 1.0),  # a limit: it cannot see a negation
    ],
)
def test_contains_finds_whole_words_and_numbers(answer: str, reference: str, there: float) -> None:
    assert contains(answer, reference) == there


def test_rouge_l_by_hand() -> None:
    # "the cat sat" and "the cat lay there" share "the cat": precision 2/3, recall 2/4.
    assert rouge_l("the cat sat", "the cat lay there") == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert rouge_l("我爱北京", "我爱南京") == pytest.approx(0.75)
    assert rouge_l("", "the cat") == 0.0
    assert rouge_l("the cat", "...") is None


def test_chrf_by_hand() -> None:
    # One order only: "ab" and "ac" share one of two characters either way, and no pair: (1/2 + 0) / 2.
    assert chrf("ab", "ac") == pytest.approx(0.25)
    assert chrf("a b", "ab") == 1.0
    assert chrf("", "ab") == 0.0
    assert chrf("ab", " ") is None


@given(TEXTS, TEXTS)
def test_scores_lie_in_the_unit_interval_and_are_one_for_the_same(answer: str, reference: str) -> None:
    for score in (rouge_l, chrf):
        value = score(answer, reference)
        assert value is None or 0.0 <= value <= 1.0
        assert score(reference, reference) in (None, pytest.approx(1.0))
    assert exact_match(reference, reference) == 1.0


def _pairs() -> list[tuple[str, str]]:
    rng = random.Random(3)
    vocabulary = ["the", "cat", "dog", "sat", "on", "a", "mat", "with", "hat", "and", "ran", "fast", "home"]
    return [
        (
            " ".join(rng.choices(vocabulary, k=rng.randint(0, 20))),
            " ".join(rng.choices(vocabulary, k=rng.randint(1, 20))),
        )
        for _ in range(100)
    ]


def test_chrf_is_that_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    for answer, reference in _pairs():
        theirs = sacrebleu.sentence_chrf(answer, [reference]).score / 100
        assert chrf(answer, reference) == pytest.approx(theirs, abs=1e-12)


def test_rouge_l_is_that_of_rouge_score() -> None:
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    for answer, reference in _pairs():
        assert rouge_l(answer, reference) == pytest.approx(
            scorer.score(reference, answer)["rougeL"].fmeasure, abs=1e-12
        )
