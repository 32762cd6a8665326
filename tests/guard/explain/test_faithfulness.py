"""Faithfulness by hand on a filter that adds words up; random orders; rank agreement; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from guard.errors import ConfigError, FilterError
from guard.explain.faithfulness import faithfulness, in_random_order, rank_agreement
from guard.explain.filters.table import explainer
from guard.explain.schema import Attribution, Values
from guard.filters.callable import CallableFilter

WEIGHTS = {"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.0625}
TEXT = "d a c b"


def adding() -> CallableFilter:
    return CallableFilter(lambda text: sum(WEIGHTS.get(word, 0.0) for word in text.split()), categories=["sum"])


def of(values: list[float], text: str = TEXT) -> Attribution:
    places = [(2 * at, 2 * at + 1) for at in range(len(values))]
    return Attribution(text, "sum", "by hand", tuple(places), np.array(values, dtype=np.float64), 1.0, 0.0)


def test_shares_take_the_strongest_parts_first() -> None:
    """Of four parts a quarter is one: a, then a and b; they cost 1/2 and 3/4, and alone leave 7/16 and 3/16 away."""
    (found,) = faithfulness(adding(), [of([1, 4, 2, 3])], shares=(0.25, 0.5, 1.0))
    assert found is not None
    assert found.score == pytest.approx(0.9375)
    assert found.comprehensiveness == pytest.approx([0.5, 0.75, 0.9375])
    assert found.sufficiency == pytest.approx([0.4375, 0.1875, 0.0])
    assert found.aopc_comprehensiveness == pytest.approx((0.5 + 0.75 + 0.9375) / 3)
    assert found.aopc_sufficiency == pytest.approx((0.4375 + 0.1875) / 3)


def test_an_upside_down_explanation_is_worse_than_random_and_the_right_one_better() -> None:
    filter_, texts = adding(), [TEXT, "a b c d", "c a", "c b a d"]
    right = explainer(filter_, "occlusion").explain(texts, "sum")
    wrong = [of((-one.values).tolist(), one.text) for one in right]
    means = {
        name: np.mean([one.aopc_comprehensiveness for one in faithfulness(filter_, some) if one is not None])
        for name, some in (("right", right), ("wrong", wrong), ("random", in_random_order(right, seed=1)))
    }
    assert means["wrong"] < means["random"] < means["right"]


def test_random_orders_depend_on_text_and_seed_alone() -> None:
    both = in_random_order([of([1, 2, 3, 4]), of([1, 2], "a b")], seed=5)
    (alone,) = in_random_order([of([0, 0, 0, 9])], seed=5)
    assert alone.values.tolist() == both[0].values.tolist()
    assert in_random_order([of([1, 2, 3, 4])], seed=6)[0].values.tolist() != alone.values.tolist()


def test_a_text_without_parts_is_not_measured() -> None:
    empty = Attribution("", "sum", "by hand", (), np.zeros(0), 0.0, 0.0)
    first, second = faithfulness(adding(), [empty, of([1, 4, 2, 3])])
    assert first is None
    assert second is not None
    assert faithfulness(adding(), []) == []


@pytest.mark.parametrize("shares", [(), (0.0,), (1.1,), (0.5, 0.2), (float("nan"),)])
def test_shares_out_of_range_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"in \(0, 1\], ascending"):
        faithfulness(adding(), [of([1, 4, 2, 3])], shares=shares)


def test_scores_that_are_none_are_an_error() -> None:
    broken = CallableFilter(lambda text: float("nan"), categories=["sum"])
    with pytest.raises(FilterError, match="NaN"):
        faithfulness(broken, [of([1, 4, 2, 3])])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),  # 1 - 6 * 2 / (4 * 15)
        ([1, 1, 3, 4], [1, 1, 3, 4], 1.0),
        ([1, 2, 3, 4], [5, 5, 5, 5], None),
    ],
)
def test_rank_agreement_is_spearmans(first: list[float], second: list[float], expected: float | None) -> None:
    (found,) = rank_agreement([of(first)], [of(second)])
    assert found == (None if expected is None else pytest.approx(expected))


def test_only_common_parts_are_ranked() -> None:
    values: Values = np.array([9.0, 1.0, 2.0])
    fewer = Attribution(TEXT, "sum", "window", ((2, 3), (4, 5), (6, 7)), values, 1.0, 0.0)
    assert rank_agreement([fewer], [of([100, 3, 1, 2])]) == [pytest.approx(1.0)]
    assert rank_agreement([of([1.0], "a")], [of([1.0], "a")]) == [None]
