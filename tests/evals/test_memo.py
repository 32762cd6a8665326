from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evals.memo import MemoGenerator, remembering
from guard.errors import FilterError
from guard.filters.callable import CallableFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.schema import Locator, Scores


class _Counting:
    name = "counting"
    categories = ("length",)

    def __init__(self, shape: int | None = None) -> None:
        self.seen: list[str] = []
        self._rows = shape

    def score_batch(self, items: Sequence[str]) -> Scores:
        self.seen += items
        n = len(items) if self._rows is None else self._rows
        return np.array([[len(item) / 100] for item in items] or np.empty((0, 1)), dtype=np.float32)[:n]

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        assert not isinstance(seed, int)
        self.seen += prompts
        return [f"{prompt}/{one}" for prompt, one in zip(prompts, seed, strict=True)]


def test_generator_is_asked_once_for_each_prompt_and_seed() -> None:
    inner = _Counting()
    memo = MemoGenerator(inner)
    assert memo.generate(["a", "b", "a"], seed=[1, 1, 1]) == ["a/1", "b/1", "a/1"]
    assert memo.generate(["a", "a"], seed=[1, 2]) == ["a/1", "a/2"]
    assert inner.seen == ["a", "b", "a"]
    memo.forget()
    memo.generate(["a"], seed=1)
    assert inner.seen == ["a", "b", "a", "a"]


def test_filter_is_asked_once_for_each_text() -> None:
    inner = _Counting()
    memo = remembering(inner)
    assert memo.score_batch(["aa", "b", "aa"])[:, 0].tolist() == pytest.approx([0.02, 0.01, 0.02])
    assert memo.score_batch([]).shape == (0, 1)
    memo.score_batch(["b", "ccc"])
    assert inner.seen == ["aa", "b", "ccc"]


def test_filter_of_a_wrong_shape_is_not_remembered() -> None:
    memo = remembering(_Counting(shape=1))
    with pytest.raises(FilterError):
        memo.score_batch(["a", "b"])
    assert memo.score_batch(["c"]).shape == (1, 1)


def test_locator_stays_a_locator() -> None:
    words = LexicalFilter([Term("darn", "rude", 0.5)])
    memo = remembering(words)
    assert isinstance(memo, Locator)
    assert memo.locate("oh darn") == words.locate("oh darn")
    assert not isinstance(remembering(CallableFilter(lambda _: 0.0, categories=["x"])), Locator)
