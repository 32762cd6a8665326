"""Figures of whole sets: by hand, and what leaving out a prompt really gives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.jackknife import SetFigure
from evals.scorers.corpus import corpus_distinct, self_bleu

SETS = st.dictionaries(
    st.text("pqrs", min_size=1, max_size=2),
    st.lists(st.text("ab ", max_size=12), min_size=1, max_size=3),
    min_size=1,
    max_size=6,
)


def _without(texts: dict[str, list[str]], gone: str) -> dict[str, list[str]]:
    return {prompt: ones for prompt, ones in texts.items() if prompt != gone}


def test_distinct_by_hand() -> None:
    found = corpus_distinct({"p": ["a b"], "q": ["b c c"]}, n=1)
    assert found.value == 3 / 5
    assert found.left_out == {"p": 2 / 3, "q": 1.0}
    assert corpus_distinct({"p": ["a"]}, n=2) == SetFigure(None, {})


def test_same_answer_to_every_prompt_is_monotonous() -> None:
    same = {f"p{i}": ["I am not able to say anything about that"] for i in range(4)}
    assert self_bleu(same).value == pytest.approx(1.0)
    assert corpus_distinct(same, n=2).value == pytest.approx(1 / 4)


def test_texts_of_one_prompt_are_no_references_for_one_another() -> None:
    texts = {"p": ["one two three four", "one two three four"], "q": ["five six seven eight"]}
    assert self_bleu(texts).value == 0.0


@pytest.mark.parametrize("texts", [{}, {"p": ["some words"]}, {"p": ["some words"], "q": ["..."]}])
def test_self_bleu_takes_two_prompts_with_words(texts: dict[str, list[str]]) -> None:
    assert self_bleu(texts) == SetFigure(None, {})


@given(SETS, st.integers(1, 3))
def test_distinct_left_out_is_that_of_the_smaller_set(texts: dict[str, list[str]], n: int) -> None:
    found = corpus_distinct(texts, n=n)
    for gone, value in found.left_out.items():
        assert value == pytest.approx(corpus_distinct(_without(texts, gone), n=n).value)


@settings(max_examples=60)
@given(SETS)
def test_self_bleu_left_out_is_that_of_the_smaller_set(texts: dict[str, list[str]]) -> None:
    found = self_bleu(texts)
    assert found.value is None or 0.0 <= found.value <= 1.0 + 1e-12
    for gone, value in found.left_out.items():
        assert value == pytest.approx(self_bleu(_without(texts, gone)).value, abs=1e-12)


def test_self_bleu_is_that_of_sacrebleu() -> None:
    metrics = pytest.importorskip("sacrebleu.metrics")
    rng = random.Random(0)
    vocabulary = ["the", "cat", "dog", "sat", "on", "a", "mat", "with", "hat", "and", "ran", "fast", "home"]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 25))) for _ in range(20)]
    bleu = metrics.BLEU(tokenize="none", effective_order=True)
    each = [bleu.sentence_score(text, [*texts[:i], *texts[i + 1 :]]).score for i, text in enumerate(texts)]
    found = self_bleu({f"p{i:02d}": [text] for i, text in enumerate(texts)})
    assert found.value == pytest.approx(sum(each) / len(each) / 100, abs=1e-12)
