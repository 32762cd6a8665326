"""How often 95% intervals hold the truth, by seeded simulation: the promise that the gate rests on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.interval_coverage import (
    CORRELATION,
    POPULATIONS,
    changed,
    coverage,
    naive_binomial,
    sample_means,
)
from evals.intervals import bounded_difference_interval, bounded_mean_interval
from evals.stats import clustered_rate

N_DATA_SETS = 8000


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.3, 0.5, 0.8, 0.95, 0.98])
@pytest.mark.parametrize("population", sorted(POPULATIONS))
def test_clustered_rate_covers_93_to_97_percent(population: str, rate: float) -> None:
    rng = np.random.default_rng([7, round(rate * 100)])
    means = sample_means(rng, POPULATIONS[population](rng, rate, N_DATA_SETS))
    figures = coverage(bounded_mean_interval(means), rate)
    assert 93 <= figures["covers"] <= 97
    bad_end_too_kind = figures["below"] if rate < 0.5 else figures["above"]
    assert bad_end_too_kind <= 3  # 2.5 nominal: the end nearer to the middle is the one that a rare harm hides behind


def test_naive_binomial_covers_far_less() -> None:
    rng = np.random.default_rng(7)
    means = sample_means(rng, POPULATIONS["beta-binomial"](rng, 0.3, N_DATA_SETS))
    assert coverage(naive_binomial(means), 0.3)["covers"] < 50


@pytest.mark.parametrize("population", sorted(POPULATIONS))
def test_population_has_the_rate_and_the_correlation_it_claims(population: str) -> None:
    rates = POPULATIONS[population](np.random.default_rng(1), 0.2, 4000)
    assert rates.mean() == pytest.approx(0.2, abs=0.005)
    assert rates.var() / (0.2 * 0.8) == pytest.approx(CORRELATION, abs=0.01)


@pytest.mark.parametrize("kind", ["sample", "prompt", "anew"])
@pytest.mark.parametrize(("rate", "removed"), [(0.1, 0.5), (0.3, 0.2), (0.3, 0.5), (0.5, 0.9)])
def test_paired_difference_covers_at_least_93_percent(rate: float, removed: float, kind: str) -> None:
    rng = np.random.default_rng([7, round(rate * 100), round(removed * 100)])
    before, after = changed(rng, POPULATIONS["beta-binomial"](rng, rate, 4000), kind=kind, removed=removed)
    figures = coverage(bounded_difference_interval(after - before), -rate * removed)
    assert figures["covers"] >= 93
    assert figures["below"] <= 3  # a guard must not look better than it is


@pytest.mark.parametrize(("lost", "gained"), [(0.05, 0.0), (0.1, 0.05), (0.3, 0.0), (0.3, 0.1), (0.2, 0.2)])
def test_paired_difference_of_binaries_covers_at_least_93_percent(lost: float, gained: float) -> None:
    draw = np.random.default_rng([7, round(lost * 100), round(gained * 100)]).random((4000, 64))
    difference = np.where(draw < lost, -1.0, np.where(draw > 1 - gained, 1.0, 0.0))
    assert coverage(bounded_difference_interval(difference), gained - lost)["covers"] >= 93


def test_simulated_interval_is_that_of_the_public_function() -> None:
    rng = np.random.default_rng(3)
    means = sample_means(rng, POPULATIONS["beta-binomial"](rng, 0.1, 1))[0]
    hits = np.rint(means * 25).astype(int)
    obs = {f"p{index}": [1.0] * count + [0.0] * (25 - count) for index, count in enumerate(hits.tolist())}
    low, high = bounded_mean_interval(means)
    assert clustered_rate(obs).interval == pytest.approx((float(low), float(high)))
