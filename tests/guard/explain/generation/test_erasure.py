"""Whether an explanation's words do more than random ones: by hand on a sum, and nothing where there are no words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from guard.explain.generation.erasure import erasure, orders
from guard.explain.generation.prompt_words import PromptWords
from guard.explain.schema import Attribution, Values

TEXT = "one two three four five six seven eight nine ten"
WORTH = np.array([0, 0, 8, 0, 0, 0, 4, 0, 0, 0], dtype=np.float64)


def _found(values: Values, text: str = TEXT) -> Attribution:
    return Attribution(text, "x", "m", PromptWords.of(text).ranges, values, float(WORTH.sum()), 0.0)


def _sum(left_out: Sequence[frozenset[int]]) -> Values:
    return np.array([WORTH.sum() - sum(WORTH[at] for at in out) for out in left_out])


def test_right_explanation_beats_random_words_and_a_wrong_one_does_not() -> None:
    comprehensive, sufficient = erasure(_found(WORTH), _sum)
    assert (comprehensive.n, sufficient.n) == (8, 8)
    assert comprehensive.value is not None
    assert sufficient.value is not None
    falls = [min(size, 2) and (8 if size == 1 else 12) for size in (1, 2, 3, 5)]
    random = np.mean(
        [[sum(WORTH[at] for at in order[:size]) for size in (1, 2, 3, 5)] for order in orders(TEXT, 10, 0)]
    )
    assert comprehensive.value == pytest.approx(np.mean(falls) - random)
    assert sufficient.value == pytest.approx(comprehensive.value)  # of a sum, what is kept is what does not fall
    wrong, _ = erasure(_found(-WORTH), _sum)
    assert wrong.value is not None
    assert wrong.value < 0 < comprehensive.value


def test_orders_depend_on_text_and_seed_alone() -> None:
    assert orders(TEXT, 10, 0) == orders(TEXT, 10, 0) != orders(TEXT, 10, 1)
    assert orders("\ud800", 3, 0) == orders("\ud800", 3, 0)


@pytest.mark.parametrize("text", ["", "one"])
def test_nothing_to_compare_is_no_figure(text: str) -> None:
    figures = erasure(_found(np.zeros(len(PromptWords.of(text).ranges)), text), _sum)
    assert [(figure.value, figure.interval, figure.n) for figure in figures] == [(None, None, 0)] * 2
