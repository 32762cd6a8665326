from __future__ import annotations

import numpy as np
import pytest

from evals.figures import Row
from evals.stats import Estimate, paired_difference
from evals.tasks.bias_figures import absolute, largest_gap, paired_gap_interval, unpaired_gap


def _rows(values: dict[str, list[float | None]]) -> list[Row]:
    return [
        Row(f"p{i}", group, "guarded", v, f"{group}{i}") for group, all_ in values.items() for i, v in enumerate(all_)
    ]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((0.4, 0.7), (0.0, 0.2)), ((0.6, 0.8), (0.1, 0.3)), ((0.1, 0.3), (0.2, 0.4)), ((0.5, 0.6), (0.0, 0.1))],
)
def test_absolute_maps_the_interval(interval: tuple[float, float], expected: tuple[float, float]) -> None:
    found = absolute(Estimate(sum(interval) / 2, interval, 9, 9, 1), around=0.5)
    assert found.interval == pytest.approx(expected)
    assert found.value == pytest.approx(abs(sum(interval) / 2 - 0.5))
    assert (found.n_prompts, found.n_unscored) == (9, 1)


def test_absolute_of_nothing_is_nothing() -> None:
    assert absolute(Estimate(None, None, 0, 0, 3), around=0.5) == Estimate(None, None, 0, 0, 3)


def test_gap_of_two_groups_is_their_paired_difference() -> None:
    values = {"a": [1.0] * 6 + [0.0] * 14, "b": [0.0] * 20}
    found = largest_gap(_rows(values))
    obs = {g: {f"p{i}": [v] for i, v in enumerate(all_)} for g, all_ in values.items()}
    paired = paired_difference(obs["b"], obs["a"])
    assert found.value == pytest.approx(0.3)
    assert paired.interval is not None
    assert found.interval == pytest.approx(paired.interval)


def test_gap_of_more_groups_is_wider_than_that_of_the_two_that_differ() -> None:
    two = largest_gap(_rows({"a": [1.0] * 6 + [0.0] * 14, "b": [0.0] * 20}))
    four = largest_gap(_rows({"a": [1.0] * 6 + [0.0] * 14, "b": [0.0] * 20, "c": [0.0] * 20, "d": [0.0] * 20}))
    assert two.interval is not None
    assert four.interval is not None
    assert four.value == two.value
    assert four.interval[0] < two.interval[0]
    assert four.interval[1] > two.interval[1]


def test_gap_is_over_prompts_scored_in_every_group() -> None:
    found = largest_gap(_rows({"a": [1.0, 1.0, None], "b": [0.0, None, 0.0]}))
    assert (found.value, found.n_prompts, found.n_unscored) == (1.0, 1, 2)


def test_gap_without_a_complete_prompt_or_a_second_group_is_none() -> None:
    assert largest_gap(_rows({"a": [1.0, None], "b": [None, 0.0]})).value is None
    assert largest_gap(_rows({"a": [1.0]})).interval is None


def test_gap_interval_holds_zero_where_no_group_differs_and_a_naive_one_does_not() -> None:
    rng = np.random.default_rng(5)
    draws = (rng.random((1000, 40, 5)) < rng.random((1000, 40, 1))).astype(float)  # each prompt its own rate
    held = np.mean(paired_gap_interval(draws)[0] == 0)
    # Without Bonferroni every pair has 95% of its own, which for ten pairs is what a level of 0.5 gives jointly.
    naive = np.mean(paired_gap_interval(draws, level=1 - 10 * 0.05)[0] == 0)
    assert held >= 0.95
    assert naive < 0.85


def test_gap_interval_holds_a_true_gap() -> None:
    rng = np.random.default_rng(6)
    rates = np.array([0.2, 0.2, 0.2, 0.5])
    draws = (rng.random((1000, 60, 4)) < rates).astype(float)
    low, high = paired_gap_interval(draws)
    assert np.mean((low <= 0.3) & (high >= 0.3)) >= 0.95


def _own(values: dict[str, list[float | None]]) -> list[Row]:
    return [Row(f"{g}-{i}", g, "guarded", v) for g, all_ in values.items() for i, v in enumerate(all_)]


def test_unpaired_gap_compares_within_a_domain_only() -> None:
    rows = _own({"faith/a": [0.5] * 9, "faith/b": [0.3] * 9, "work/c": [0.0] * 9, "work/d": [0.1] * 9})
    found = unpaired_gap(rows, lambda group: group.split("/")[0])
    assert found.value == pytest.approx(0.2)
    assert found.interval is not None
    assert found.interval[0] == 0.0 < 0.2 < found.interval[1]
    assert (found.n_prompts, found.n_samples) == (36, 36)


def test_unpaired_gap_sees_a_clear_difference() -> None:
    found = unpaired_gap(_own({"x/a": [1.0] * 40, "x/b": [0.0] * 40}), lambda group: "x")
    assert found.value == 1.0
    assert found.interval is not None
    assert found.interval[0] > 0.7
    assert found.interval[1] == 1.0


def test_unpaired_gap_of_groups_without_a_rival_is_none() -> None:
    assert unpaired_gap(_own({"x/a": [1.0], "y/b": [0.0]}), lambda group: group[0]).value is None
