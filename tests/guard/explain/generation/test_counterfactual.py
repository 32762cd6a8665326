"""The least edit: found where there is one, of one word where one is enough, and no change of it can be put back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.explain.generation.counterfactual import Counterfactual, find_edit
from guard.explain.generation.prompt_words import PromptWords
from guard.explain.schema import Values

WORDS = ["ant", "bee", "cat", "dog", "eel", "fox"]


class _Weighted:
    """Scores a text by a table of words, and of pairs of words that stand in it together."""

    def __init__(self, single: dict[str, float], pairs: dict[tuple[str, str], float] | None = None) -> None:
        self._single, self._pairs = single, pairs or {}
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Values:
        self.asked += texts
        return np.array([self._number(text.split()) for text in texts])

    def _number(self, words: list[str]) -> float:
        pairs = sum(value for (a, b), value in self._pairs.items() if a in words and b in words)
        return round(sum(self._single.get(word, 0.0) for word in words) + pairs, 9)


def _put_back(edit: Counterfactual) -> list[str]:
    """Return the texts in which one change of the edit is not made."""
    words = PromptWords.of(edit.text)
    changes = {words.ranges.index(change.range): change.replacement for change in edit.changes}
    return [words.edited({at: to for at, to in changes.items() if at != back}) for back in changes]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(WORDS), st.integers(-4, 4).map(float)),
    st.dictionaries(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), st.integers(-4, 4).map(float)),
    st.integers(-3, 6).map(lambda n: n + 0.5),
    st.integers(1, 400),
)
def test_edit_turns_the_verdict_and_none_of_it_can_be_put_back(
    words: list[str],
    single: dict[str, float],
    pairs: dict[tuple[str, str], float],
    threshold: float,
    budget: int,
) -> None:
    scorer = _Weighted(single, pairs)
    edit = find_edit(" ".join(words), scorer, threshold, budget=budget)
    before = edit.before >= threshold
    assert len(set(scorer.asked)) == len(scorer.asked) == edit.n_scored
    if edit.edited is None:
        assert edit.changes == ()
        return
    assert (edit.after >= threshold) != before
    assert float(scorer([edit.edited])[0]) == edit.after
    assert [(float(number) >= threshold) for number in scorer(_put_back(edit))] == [before] * len(edit.changes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6, unique=True),
    st.dictionaries(st.sampled_from(WORDS), st.integers(-4, 4).map(float)),
    st.dictionaries(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), st.integers(-4, 4).map(float)),
    st.integers(-3, 6).map(lambda n: n + 0.5),
)
def test_with_room_to_search_the_edit_is_found_and_smallest(
    words: list[str], single: dict[str, float], pairs: dict[tuple[str, str], float], threshold: float
) -> None:
    scorer = _Weighted(single, pairs)
    edit = find_edit(" ".join(words), scorer, threshold, budget=100_000)
    all_sets = [set(c) for size in range(1, len(words) + 1) for c in itertools.combinations(range(len(words)), size)]
    numbers = scorer([" ".join(w for i, w in enumerate(words) if i not in left) for left in all_sets])
    turning = [
        len(left)
        for left, number in zip(all_sets, numbers, strict=True)
        if (number >= threshold) != (edit.before >= threshold)
    ]
    assert (edit.edited is None) == (not turning)
    if turning:
        assert len(edit.changes) == min(turning)


def test_one_word_is_enough() -> None:
    edit = find_edit("you filthy idiot", _Weighted({"idiot": 3.0, "filthy": 1.0}), 2.0)
    assert edit.edited == "you filthy"
    assert [change.word for change in edit.changes] == ["idiot"]
    assert (edit.before, edit.after) == (4.0, 1.0)


def test_word_is_replaced_where_that_does_more() -> None:
    scorer = _Weighted({"idiot": 3.0, "friend": -2.0})
    edit = find_edit("you idiot", scorer, 0.0, replacements={1: ("fool", "friend")})
    assert edit.edited == "you friend"
    assert edit.changes[0].replacement == "friend"


def test_both_of_two_words_are_needed() -> None:
    scorer = _Weighted({"idiot": 3.0, "fool": 3.0, "you": 0.5})
    edit = find_edit("you fool you idiot", scorer, 2.5, order=[0, 1, 2, 3])
    assert edit.edited == "you you"
    assert edit.as_json()["changes"][0] == {"start": 4, "end": 8, "word": "fool", "to": ""}


def test_verdict_that_no_edit_turns() -> None:
    edit = find_edit("a b", _Weighted({}), 1.0)
    assert (edit.edited, edit.changes, edit.before, edit.after) == (None, (), 0.0, 0.0)
    assert find_edit("", _Weighted({}), 0.0).edited is None


@pytest.mark.parametrize(("threshold", "budget"), [(float("nan"), 5), (0.5, 0)])
def test_senseless_search_is_refused(threshold: float, budget: int) -> None:
    with pytest.raises(ConfigError, match="give a finite one"):
        find_edit("a", _Weighted({}), threshold, budget=budget)
