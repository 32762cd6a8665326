"""Occlusion and Shapley values: by hand, against enumeration, within their stated error, and on any filter."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError, FilterError
from guard.explain.filters.table import default_method, explainer, methods
from guard.filters.callable import CallableFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.filters.ngram import NgramFilter
from tests.guard.explain.filters.two_numbers import HandFilter

WORDS = {"mild": 0.5, "bad": 1.0, "worse": 2.0, "kind": -1.5, "plain": 0.0}
TEN = ("bad mild plain worse kind bad plain mild worse bad", "plain bad worse kind mild mild bad kind plain worse")


def linear() -> HandFilter:
    """Log-odds that are the sum of the words' numbers, less one."""
    table = {word: [value] for word, value in WORDS.items()}
    return HandFilter(table, lambda words: words[:, :, 0].sum(dim=1) - 1)


def tangled() -> HandFilter:
    """Log-odds in which every word matters more or less for the others."""

    def formula(words: torch.Tensor) -> torch.Tensor:
        total, squares = words[:, :, 0].sum(dim=1), (words[:, :, 0] ** 2).sum(dim=1)
        return 3 * torch.tanh(total) + torch.relu(squares - 2) * words[:, :3, 0].sum(dim=1).cos()

    return HandFilter({word: [value] for word, value in WORDS.items()}, formula)


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        ("gradient-x-input", {}),
        ("integrated-gradients", {"gap": 1e-6}),
        ("integrated-gradients", {"rule": "gauss-legendre", "n_steps": 1}),
        ("occlusion", {}),
        ("shapley", {}),
        ("shapley-exact", {}),
    ],
)
def test_every_method_gives_weight_times_count_on_a_linear_model(method: str, setting: dict[str, object]) -> None:
    text = "worse plain kind bad bad"
    (found,) = explainer(linear(), method, **setting).explain([text], "toxicity")
    assert found.values == pytest.approx([2.0, 0.0, -1.5, 1.0, 1.0], abs=1e-6)
    assert (found.number, found.baseline) == pytest.approx((1.5, -1.0))
    assert found.method == method


def test_shapley_values_of_a_majority() -> None:
    """Log-odds 1 where two of three words are there: each word decides in two of six orders."""
    majority = HandFilter({"yes": [1.0]}, lambda words: (words[:, :, 0].sum(dim=1) > 1.5).double())
    (exact,) = explainer(majority, "shapley-exact").explain(["yes yes yes"], "toxicity")
    assert exact.values == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    (left_out,) = explainer(majority, "occlusion").explain(["yes yes yes"], "toxicity")
    assert left_out.values == pytest.approx([0.0, 0.0, 0.0])


def test_shapley_values_of_gloves() -> None:
    """A left glove and two right ones make one pair (Shapley 1953): 4/6, 1/6 and 1/6."""

    def pairs(words: torch.Tensor) -> torch.Tensor:
        return torch.minimum(words[:, :, 0].sum(dim=1), words[:, :, 1].sum(dim=1))

    gloves = HandFilter({"left": [1.0, 0.0], "right": [0.0, 1.0]}, pairs)
    (exact,) = explainer(gloves, "shapley-exact").explain(["left right right"], "toxicity")
    assert exact.values == pytest.approx([4 / 6, 1 / 6, 1 / 6])


@pytest.mark.parametrize("text", TEN)
@pytest.mark.parametrize("seed", range(4))
def test_sampling_is_within_its_stated_error_of_the_exact_values(text: str, seed: int) -> None:
    exact = explainer(tangled(), "shapley-exact").explain([text], "toxicity")[0]
    made = explainer(tangled(), "shapley", error=0.2, most_pairs=40)
    found = made.explain([text], "toxicity", seed=seed)[0]
    assert found.errors is not None
    assert 0 < found.errors.max() <= 0.2
    distance = np.abs(found.values - exact.values)
    assert (distance <= 4 * found.errors + 1e-9).all()
    assert np.mean(distance <= 2 * found.errors + 1e-9) >= 0.8
    assert found.gap == pytest.approx(0.0, abs=1e-9)


def test_stated_errors_are_those_that_are_made() -> None:
    """Over 60 seeds the spread of the values is the stated error, within the noise of both."""
    made = explainer(tangled(), "shapley", error=1e-9, most_pairs=16)
    text = TEN[0].replace("plain", "kind")
    found = [made.explain([text], "toxicity", seed=seed)[0] for seed in range(60)]
    spread = np.std([one.values for one in found], axis=0)
    stated = np.sqrt(np.mean([np.square(one.errors) for one in found if one.errors is not None], axis=0))
    assert (np.abs(np.log(spread / stated)) < math.log(1.4)).all()


def test_pairs_of_orders_leave_less_error_than_orders_alone() -> None:
    """What is monotone in the number of words gains from the reverse order: f = 3 tanh."""
    curved = HandFilter({"w": [0.3], "v": [0.6]}, lambda words: 3 * torch.tanh(words[:, :, 0].sum(dim=1)))
    text = "w v w w v w w v w w"
    found = explainer(curved, "shapley", error=1e-9, most_pairs=32).explain([text], "toxicity")[0]
    random = np.random.default_rng(0)
    gains = []
    weight = np.array([{"w": 0.3, "v": 0.6}[word] for word in text.split()])
    for _ in range(4000):
        order = random.permutation(10)
        gain = np.empty(10)
        gain[order] = np.diff([0, *(3 * np.tanh(np.cumsum(weight[order])))])
        gains.append(gain)
    alone = np.std(gains, axis=0) / math.sqrt(2 * 32)
    assert found.errors is not None
    assert np.mean(np.square(found.errors)) < np.mean(np.square(alone)) / 2


def test_a_text_that_would_take_more_rows_than_its_sets_is_enumerated() -> None:
    found = explainer(tangled(), "shapley", error=1e-9, most_pairs=1000).explain([TEN[0]], "toxicity")[0]
    exact = explainer(tangled(), "shapley-exact").explain([TEN[0]], "toxicity")[0]
    assert found.values == pytest.approx(exact.values, abs=1e-9)
    assert found.errors is not None
    assert found.errors.max() == 0.0
    assert found.n_scored < 2 * 2**10


def test_orders_of_a_text_do_not_depend_on_the_others() -> None:
    made = explainer(tangled(), "shapley", error=0.2)
    together = made.explain([*TEN, "bad " * 15], "toxicity", seed=3)
    (alone,) = made.explain([TEN[1]], "toxicity", seed=3)
    assert alone.values.tolist() == together[1].values.tolist()
    assert alone.n_scored == together[1].n_scored
    (other,) = made.explain([TEN[1]], "toxicity", seed=4)
    assert other.values.tolist() != alone.values.tolist()


@pytest.mark.parametrize(
    ("width", "stride", "expected"),
    [(2, 1, [1.0, 2.0, 2.5, 1.5]), (2, 2, [1.0, 1.0, 3.0, 3.0]), (3, 2, [3.0, 3.0, 3.0, 3.0]), (9, 1, [4.0] * 4)],
)
def test_neighbours_are_left_out_together(width: int, stride: int, expected: list[float]) -> None:
    """Falls of "bad plain worse bad" by two: 1, 2, 3, and each word takes the mean of those that hold it."""
    text = "bad plain worse bad"
    (found,) = explainer(linear(), "occlusion", width=width, stride=stride).explain([text], "toxicity")
    if (width, stride) == (2, 1):
        expected = [1.0, 1.5, 2.5, 3.0]
    assert found.values == pytest.approx(expected)
    assert found.method == f"occlusion:{width}"


def test_black_box_loses_what_is_cut_out() -> None:
    lexicon = LexicalFilter([Term("awful", "insult", 0.8), Term("fool", "insult", 0.5)])
    text = "An a\u200bwful　fool!"
    (left_out,) = explainer(lexicon, "occlusion").explain([text], "insult")
    assert [text[start:end] for start, end in left_out.parts] == ["An", "a\u200bwful", "fool", "!"]
    assert left_out.values == pytest.approx([0.0, 0.3, 0.0, 0.0], abs=1e-6)
    # The higher of both counts: 0.8 alone, 0.5 alone, 0.8 together.
    (shared,) = explainer(lexicon).explain([text], "insult")
    assert shared.method == "shapley"
    assert shared.values == pytest.approx([0.0, 0.55, 0.25, 0.0], abs=1e-6)


def test_the_same_text_is_asked_for_once() -> None:
    asked: list[str] = []

    def count(text: str) -> float:
        asked.append(text)
        return min(1.0, len(text) / 100)

    explainer(CallableFilter(count, categories=["length"])).explain(["a b c", "a b c"], "length")
    assert len(asked) == len(set(asked))


def test_a_long_text_is_explained_in_the_stretch_that_decides() -> None:
    loud = CallableFilter(lambda text: min(1.0, text.count("bad") / 10), categories=["loud"])
    text = "fine " * 700 + "bad bad " + "fine " * 300
    (found,) = explainer(loud, "occlusion").explain([text], "loud")
    assert len(found.parts) == 256
    assert found.number == pytest.approx(0.2)
    assert sorted(found.values)[-3:] == pytest.approx([0.0, 0.1, 0.1])


def test_a_filter_that_fails_is_an_error_under_explanation_too() -> None:
    class Broken:
        name, categories = "broken@1", ("x",)

        def score_batch(self, items: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
            return np.full((len(items), 1), np.nan, dtype=np.float32)

    for method in ("occlusion", "shapley", "shapley-exact"):
        with pytest.raises(FilterError, match="NaN"):
            explainer(Broken(), method).explain(["a b"], "x")

    def raises(text: str) -> float:
        raise OSError("gone")

    with pytest.raises(FilterError, match="gone"):
        explainer(CallableFilter(raises, categories=["x"])).explain(["a b"], "x")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, "傻瓜", "!?", "idiot...", "(hm)"]), max_size=9))
def test_exact_values_sum_to_what_they_explain(words: list[str]) -> None:
    text = " ".join(words)
    for filter_ in (tangled(), CallableFilter(lambda text: len(text) / 1000, categories=["toxicity"])):
        (found,) = explainer(filter_, "shapley").explain([text], "toxicity")
        assert found.gap == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_linear_filter_is_explained_exactly(language: str) -> None:
    filter_ = NgramFilter.load(languages=("en", "zh"))
    text = {"en": "You st\u200bupid ＩＤＩＯＴ, have a nice day", "zh": "你好，你这个傻瓜"}[language]
    (found,) = explainer(filter_).explain([text], "toxicity")
    score = filter_.score_batch([text])[0, filter_.categories.index("toxicity")]
    assert found.method == "exact"
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    assert 1 / (1 + math.exp(-found.number)) == pytest.approx(score, abs=1e-6)
    worst = found.parts[found.order()[0]]
    assert text[slice(*worst)] in ("st\u200bupid", "ＩＤＩＯＴ", "傻", "瓜")


def test_linear_filter_that_reads_nothing_has_no_parts() -> None:
    (found,) = explainer(NgramFilter.load(languages=("zh",))).explain(["good morning"], "toxicity")
    assert (found.parts, found.gap) == ((), 0.0)


def test_methods_follow_what_a_filter_can() -> None:
    assert methods(NgramFilter.load(languages=("zh",))) == ("exact", "occlusion", "shapley", "shapley-exact")
    assert default_method(linear()) == "integrated-gradients"
    assert default_method(LexicalFilter([Term("fool", "insult", 0.5)])) == "shapley"


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("occlusion", {"width": 2, "stride": 3}, "1 <= stride <= width"),
        ("shapley", {"error": 0.0}, "an error above 0"),
        ("shapley", {"most_pairs": 3}, "at least 8 pairs"),
        ("shapley-exact", {}, "at most 12"),
        ("occlusion", {"unit": "token"}, "shows no tokens"),
    ],
)
def test_what_does_not_fit_is_refused(method: str, setting: dict[str, object], message: str) -> None:
    filter_ = CallableFilter(lambda text: 0.5, categories=["x"])
    with pytest.raises(ConfigError, match=message):
        explainer(filter_, method, **setting).explain(["a " * 13], "x")
