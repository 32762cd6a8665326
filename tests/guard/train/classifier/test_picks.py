"""Rows to label next: values by hand, promises of the methods, and that only chance picks the control rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.train.classifier.picks import (
    STRATEGIES,
    Strategy,
    gradient_embeddings,
    k_center,
    k_means_seeds,
    select,
    uncertainty,
)

NONE = np.zeros((0, 1))


def _line(*places: float) -> np.ndarray:
    return np.array(places, dtype=np.float64)[:, None]


def test_uncertainty_is_highest_at_the_threshold() -> None:
    assert uncertainty(np.array([0.8]), threshold=0.8) == pytest.approx([1.0])
    assert uncertainty(np.array([0.2, 0.8])) == pytest.approx([0.4, 0.4])
    assert np.isfinite(uncertainty(np.array([0.0, 1.0]), threshold=0.01)).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.05, 0.95))
def test_uncertainty_falls_with_the_distance_on_either_side(scores: list[float], threshold: float) -> None:
    ordered = np.sort(np.array(scores))
    near = uncertainty(ordered, threshold=threshold)
    assert (np.diff(near[ordered <= threshold]) >= -1e-12).all()
    assert (np.diff(near[ordered >= threshold]) <= 1e-12).all()


def test_k_center_takes_the_farthest_again_and_again() -> None:
    assert k_center(_line(0, 1, 5, 10), 3, covered=_line(0)) == [(3, 10.0), (2, 5.0), (1, 1.0)]
    assert [at for at, _ in k_center(_line(0, 4, 10), 2, covered=NONE)] == [1, 2]  # 4 is nearest to the mean


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=9, unique=True), st.integers(1, 3))
def test_k_center_covers_within_twice_the_least_radius(points: list[tuple[float, float]], n: int) -> None:
    from itertools import combinations

    vectors = np.array(points)
    apart = np.sqrt(((vectors[:, None] - vectors[None]) ** 2).sum(-1))
    found = [at for at, _ in k_center(vectors, n, covered=np.zeros((0, 2)))]
    assert len(set(found)) == n
    least = min(apart[list(group)].min(axis=0).max() for group in combinations(range(len(points)), n))
    assert apart[found].min(axis=0).max() <= 2 * least + 1e-6


def test_seeds_are_drawn_by_squared_distance() -> None:
    # After the first (the longest, 10), the others lie 1 and 3 away: chances 1/10 and 9/10.
    drawn = [k_means_seeds(_line(10, 9, 7), 2, seed=seed)[1][0] for seed in range(2000)]
    assert drawn.count(2) / 2000 == pytest.approx(0.9, abs=0.03)


def test_seeds_that_lie_on_each_other_are_still_different_rows() -> None:
    assert sorted(at for at, _ in k_means_seeds(_line(1, 1, 1), 3, seed=0)) == [0, 1, 2]


def test_gradient_is_uncertainty_times_state_with_the_sign_of_the_label() -> None:
    found = gradient_embeddings(_line(-1, 1), np.array([1.0, 0.5]), np.array([False, True]))
    assert found.tolist() == [[-0.5], [-0.25]]  # (p - y) = 0.5 and -0.25


def _embed(places: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(1000, 3))[list(places)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_picks_are_different_rows_and_the_same_ones_again(strategy: Strategy) -> None:
    scores = np.random.default_rng(0).random(300)
    found = [select(scores, _embed, 40, strategy=strategy, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert len({pick.at for pick in found[0]}) == 40
    kinds = [pick.kind for pick in found[0]]
    assert kinds.count("control") == (40 if strategy == "random" else 8)
    assert sum(pick.weight for pick in found[0]) == pytest.approx(300)


def test_control_rows_do_not_depend_on_scores() -> None:
    one, other = (select(scores, _embed, 40, seed=3) for scores in (np.full(200, 0.5), np.linspace(0, 1, 200)))
    assert [p.at for p in one if p.kind == "control"] == [p.at for p in other if p.kind == "control"]


def test_weighted_control_rows_estimate_the_error_of_the_pool_and_active_rows_do_not() -> None:
    scores = np.random.default_rng(0).beta(0.5, 0.5, size=1000)
    wrong = np.random.default_rng(1).random(1000) < np.minimum(scores, 1 - scores)
    estimates, naive = [], []
    for seed in range(200):
        picks = select(scores, _embed, 50, control=0.4, strategy="uncertain", seed=seed)
        estimates.append(sum(pick.weight * wrong[pick.at] for pick in picks) / 1000)
        naive.append(np.mean([wrong[pick.at] for pick in picks]))
    assert np.mean(estimates) == pytest.approx(wrong.mean(), abs=0.02)
    assert np.mean(naive) > wrong.mean() + 0.1


def test_uncertain_and_apart_beats_chance_on_both() -> None:
    scores = np.random.default_rng(0).random(500)
    near = uncertainty(scores)
    active = select(scores, _embed, 30, control=0, seed=0)
    assert near[[p.at for p in active]].mean() > near.mean() + 0.1
    assert all(p.distance is not None for p in active)
    assert select(scores, _embed, 3, strategy="uncertain", control=0)[0].at == int(near.argmax())


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": 11}, {"n": 2, "strategy": "best"}, {"n": 2, "control": 1.5}], ids=str
)
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="the rule is 1 to all rows"):
        select(np.full(10, 0.5), _embed, **options)  # type: ignore[arg-type]
