"""Intervals of figures that are no means: by hand, at the edges, and over many drawn sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pytest
from scipy import stats

from evals.jackknife import SetFigure, jackknife_difference, jackknife_estimate, set_metrics
from evals.schema import Arm
from evals.scorers.corpus import corpus_distinct

Texts = Mapping[str, Sequence[str]]


def _mean_length(texts: Texts) -> SetFigure:
    """The mean length over ten: a mean, of which the jackknife is Student's t."""
    lengths = {prompt: sum(map(len, ones)) / 10 for prompt, ones in texts.items()}
    total, n = math.fsum(lengths.values()), len(lengths)
    left = {prompt: (total - length) / (n - 1) for prompt, length in lengths.items()} if n > 1 else {}
    return SetFigure(total / n if n else None, left)


def test_jackknife_of_a_mean_is_students_t() -> None:
    texts = {"a": ["x"], "b": ["xxx"], "c": ["xx"], "d": ["xxxx"], "e": [None]}
    found = jackknife_estimate(texts, _mean_length)
    low, high = stats.t.interval(0.95, 3, loc=0.25, scale=stats.sem([0.1, 0.3, 0.2, 0.4]))
    assert found.value == pytest.approx(0.25)
    assert found.interval == pytest.approx((low, high))
    assert (found.n_prompts, found.n_samples, found.n_unscored) == (4, 4, 1)


def test_interval_stays_within_the_bounds() -> None:
    texts = {"a": [""], "b": ["x" * 10], "c": [""]}
    found = jackknife_estimate(texts, _mean_length)
    assert found.interval is not None
    assert (found.interval[0], found.interval[1]) == (0.0, 1.0)


@pytest.mark.parametrize("texts", [{"a": ["x"], "b": ["xx"]}, {"a": ["x"], "b": ["x"], "c": ["x"]}])
def test_no_interval_where_nothing_bounds_it(texts: dict[str, list[str | None]]) -> None:
    found = jackknife_estimate(texts, _mean_length)
    assert found.value is not None
    assert found.interval is None


def test_nothing_scored_is_no_figure() -> None:
    found = jackknife_estimate({"a": [None], "b": [None]}, _mean_length)
    assert (found.value, found.interval, found.n_prompts, found.n_unscored) == (None, None, 0, 2)


def test_difference_is_over_the_prompts_of_both_sides() -> None:
    before: dict[str, list[str | None]] = {"a": ["x"], "b": ["xx"], "c": ["xxx"], "d": ["x"] * 9}
    after: dict[str, list[str | None]] = {"a": ["xx"], "b": ["xxx"], "c": ["xxxx"], "d": [None]}
    found = jackknife_difference(before, after, _mean_length)
    assert found.value == pytest.approx(0.1)
    assert (found.n_prompts, found.n_dropped) == (3, 1)
    assert found.interval is None or found.interval[1] - found.interval[0] < 1e-9  # what is the same cancels


def test_metrics_of_both_arms_and_their_difference() -> None:
    texts: dict[Arm, dict[str, list[str | None]]] = {
        "unguarded": {"a": ["x y"], "b": ["y z"], "c": ["z z"]},
        "guarded": {"a": ["x y"], "b": [None], "c": ["z z"]},
    }
    metrics, comparison = set_metrics("t", "m", texts, ("unguarded", "guarded"), partial(corpus_distinct, n=1))
    assert [(m.arm, m.value, m.n_unscored) for m in metrics] == [("unguarded", 0.5, 0), ("guarded", 0.75, 1)]
    assert (comparison.value, comparison.n_prompts) == (0.0, 2)


@pytest.mark.parametrize("n_prompts", [15, 40])
def test_interval_covers_at_least_as_often_as_it_says(n_prompts: int) -> None:
    """Distinct-1 of sets of texts from one Zipf vocabulary: its mean over sets is covered by 95% of them or more."""
    rng = np.random.default_rng(7)
    chances = 1 / np.arange(1, 401)
    chances /= chances.sum()
    found = []
    for _ in range(200):
        drawn = rng.choice(400, size=(n_prompts, 20), p=chances)
        texts = {f"p{i}": [" ".join(f"w{word}" for word in row)] for i, row in enumerate(drawn)}
        found.append(jackknife_estimate(texts, partial(corpus_distinct, n=1)))
    truth = np.mean([one.value for one in found if one.value is not None])
    covered = np.mean([one.interval is not None and one.interval[0] <= truth <= one.interval[1] for one in found])
    assert covered >= 0.95
