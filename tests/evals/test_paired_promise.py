"""The promise of a comparison, in small: level over several metrics, power against an unpaired test, allowed drops."""

from __future__ import annotations

import numpy as np

from benchmarks.paired_comparison import (
    ALPHA,
    EFFECT,
    POWER,
    TYPICAL,
    clustered_rows,
    drop_rows,
    family_rows,
    pair_counts,
    unpaired_z,
)
from evals.permutation import mcnemar

RATES = (0.2, 0.2 + EFFECT)


def _power(n_prompts: int, *, paired: bool) -> float:
    both, first, second, _ = pair_counts(np.random.default_rng(5), RATES, TYPICAL, n_prompts, 4000).T
    p = mcnemar(second, first) if paired else unpaired_z(both + first, both + second, n_prompts)
    return float(np.mean(p <= ALPHA))


def test_three_points_are_found_with_30_percent_fewer_prompts_than_unpaired() -> None:
    enough = 1650
    assert _power(enough, paired=True) >= POWER
    assert _power(int(enough / 0.7), paired=False) < POWER


def test_any_wrong_finding_among_ten_metrics_is_rare_after_holm() -> None:
    for row in family_rows(seed=1, n_data_sets=400):
        assert float(str(row["any wrongly, Holm"])) <= 8.0  # 5 and three standard deviations
        assert float(str(row["any wrongly, alone"])) > 15.0  # or the simulation could not fail


def test_clustered_samples_do_not_mislead() -> None:
    for row in clustered_rows(seed=1, n_data_sets=150):
        assert float(str(row["assay"])) <= 10.5  # 5 and three standard deviations


def test_a_drop_of_what_is_allowed_seldom_passes() -> None:
    for row in drop_rows(seed=1, n_data_sets=600):
        if row["true drop"] == EFFECT:
            assert float(str(row["assay PASS"])) <= 4.5  # 2.5 and three standard deviations
