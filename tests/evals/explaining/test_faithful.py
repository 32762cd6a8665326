"""Paired bootstrap of faithfulness: what it bounds, what it leaves out, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from evals.explaining.faithful import against_random, paired_bootstrap
from guard.errors import DataError
from guard.explain.faithfulness import Faithfulness


def of(comprehensiveness: float, sufficiency: float) -> Faithfulness:
    return Faithfulness("a", 0.9, (0.5,), np.array([comprehensiveness]), np.array([sufficiency]), None)


def test_interval_holds_the_mean_and_unknown_pairs_are_counted() -> None:
    found = paired_bootstrap([0.5, 0.25, None, 1.0], [0.25, 0.25, 0.5, 0.25])
    assert found.value == pytest.approx((0.25 + 0 + 0.75) / 3)
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]
    assert (found.n, found.n_unscored) == (3, 1)


def test_interval_has_the_width_of_the_normal_one() -> None:
    random = np.random.default_rng(3)
    differences = random.normal(0.1, 1.0, 400)
    found = paired_bootstrap(differences.tolist(), [0.0] * 400)
    assert found.interval is not None
    width = 2 * 1.96 * differences.std(ddof=1) / 20
    assert found.interval[1] - found.interval[0] == pytest.approx(width, rel=0.08)


def test_one_text_bounds_nothing() -> None:
    assert paired_bootstrap([0.5], [0.25]).interval is None


@pytest.mark.parametrize(("first", "second"), [([None], [0.5]), ([], []), ([0.5], [0.5, 0.6])])
def test_no_pairs_are_no_figure(first: list[float | None], second: list[float | None]) -> None:
    with pytest.raises(DataError):
        paired_bootstrap(first, second)


def test_comparison_with_random_has_both_directions() -> None:
    found = against_random([of(0.8, 0.1), None, of(0.6, 0.2)], [of(0.3, 0.4), of(0.1, 0.1), of(0.2, 0.6)])
    assert found["comprehensiveness"].value == pytest.approx(0.45)
    assert found["sufficiency"].value == pytest.approx(-0.35)
    assert found["sufficiency"].n_unscored == 1
