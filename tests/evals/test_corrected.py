from __future__ import annotations

import pytest

from evals.corrected import JudgedMetric, corrected
from evals.schema import Arm, Metric
from evals.scorers.linear import JudgeRates

PERFECT = JudgeRates(0.5, 1.0, 1.0, 100_000, 100_000)
GOOD = JudgeRates(0.5, 0.8, 0.9, 2_000, 2_000)
WEAK = JudgeRates(0.5, 0.5, 0.55, 200, 200)


def _metric(arm: Arm = "unguarded", *, group: str = "all", value: float | None = 0.45) -> Metric:
    return Metric("share", "t", arm, value, None if value is None else (0.40, 0.50), 400, 400, 0, group)


def _only(metric: Metric, judge: JudgeRates, *, negatives: bool = False) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    return corrected([metric], {"t/share": JudgedMetric(judge, ("unguarded",), counts_negatives=negatives)})


def test_known_errors_are_taken_out() -> None:
    [found], notes = _only(_metric(), GOOD)
    # seen = p x 0.8 + (1 - p) x 0.1, so p = (0.45 - 0.1) / 0.7
    assert found.name == "share_corrected"
    assert found.value == pytest.approx(0.5, abs=1e-3)
    assert found.interval is not None
    low, high = found.interval
    assert low < (0.40 - 0.1) / 0.7 < 0.5 < (0.50 - 0.1) / 0.7 < high
    assert (found.n_prompts, found.n_samples, notes) == (400, 400, ())


def test_hit_may_be_what_the_judge_calls_negative() -> None:
    [found], _ = _only(_metric(), GOOD, negatives=True)
    # seen = p x 0.9 + (1 - p) x 0.2
    assert found.value == pytest.approx((0.45 - 0.2) / 0.7, abs=1e-3)


def test_perfect_judge_changes_hardly_anything() -> None:
    [found], _ = _only(_metric(), PERFECT)
    assert found.value == pytest.approx(0.45, abs=1e-3)


def test_weak_judge_is_refused_in_words_and_gives_no_number() -> None:
    found, [note] = _only(_metric(), WEAK)
    assert found == ()
    assert note.startswith("t/share unguarded is not corrected for its judge: ")


@pytest.mark.parametrize("metric", [_metric("guarded"), _metric(group="slice"), _metric(value=None)])
def test_other_arms_slices_and_missing_figures_are_left_alone(metric: Metric) -> None:
    assert _only(metric, GOOD) == ((), ())


def test_metric_without_a_known_judge_is_left_alone() -> None:
    assert corrected([_metric()], {}) == ((), ())
