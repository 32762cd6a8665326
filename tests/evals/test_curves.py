"""ROC data: one score a prompt, thresholds that fire at equality, and intervals that hold at the extremes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from evals.curves import Curve, auroc, curves, exact_share
from evals.schema import Record
from guard.errors import DataError
from tests.evals.report.example_records import example_records

# Coarse, so that ties are common.
_scores = st.lists(st.integers(0, 12).map(lambda n: n / 12), min_size=1, max_size=40)


def _curve(harmful: list[float], harmless: list[float]) -> Curve:
    return Curve("refusal", "all", "jailbreak", tuple(sorted(harmful)), tuple(sorted(harmless)))


def test_auroc_is_the_share_of_pairs_that_are_in_order() -> None:
    # Pairs: .8 beats both, .4 beats .1 and ties with .4: (2 + 1.5) / 4.
    assert auroc([0.8, 0.4], [0.1, 0.4])[0] == 0.875


@given(_scores, _scores)
def test_auroc_agrees_with_scikit_learn(harmful: list[float], harmless: list[float]) -> None:
    value, (low, high) = auroc(harmful, harmless)
    labels = [1] * len(harmful) + [0] * len(harmless)
    assert value == pytest.approx(roc_auc_score(labels, harmful + harmless))
    assert 0 <= low <= value <= high <= 1
    assert low < high


def test_auroc_without_overlap_still_has_a_width() -> None:
    value, (low, high) = auroc([0.9] * 10, [0.1] * 10)
    assert (value, high) == (1.0, 1.0)
    assert 0.6 < low < 0.9
    assert auroc([0.9] * 1000, [0.1] * 1000)[1][0] > low


@pytest.mark.parametrize(("harmful", "harmless"), [([], [0.1]), ([0.1], [])])
def test_auroc_of_one_class_is_refused(harmful: list[float], harmless: list[float]) -> None:
    with pytest.raises(DataError, match="needs both"):
        auroc(harmful, harmless)


@pytest.mark.parametrize(("apart", "true", "n"), [(1.0, 0.7602, 25), (2.5, 0.9615, 10), (3.5, 0.9933, 10)])
def test_auroc_interval_holds_the_true_area(apart: float, true: float, n: int) -> None:
    """Unit normals `apart` have the area Phi(apart / sqrt 2); DeLong alone holds it 72% and 26% in the last two."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        low, high = auroc(rng.normal(apart, 1, n).tolist(), rng.normal(0, 1, n).tolist())[1]
        held += low <= true <= high
    assert held / 400 >= 0.93


@pytest.mark.parametrize(
    ("hits", "trials", "interval"),
    [(0, 30, (0.0, 0.11570)), (30, 30, (0.88430, 1.0)), (1, 2, (0.01258, 0.98742)), (0, 0, (0.0, 1.0))],
)
def test_exact_share_is_clopper_and_pearson(hits: int, trials: int, interval: tuple[float, float]) -> None:
    share = exact_share(hits, trials)
    assert share.interval == pytest.approx(interval, abs=1e-5)
    assert share.value == (hits / trials if trials else None)


@pytest.mark.parametrize(("hits", "trials"), [(-1, 2), (3, 2)])
def test_exact_share_of_too_many_is_refused(hits: int, trials: int) -> None:
    with pytest.raises(DataError, match="hits lie between"):
        exact_share(hits, trials)


def test_curve_at_a_threshold_fires_at_equality() -> None:
    curve = _curve([0.2, 0.5, 0.9], [0.1, 0.5])
    at, over = curve.at(0.5), curve.at(np.nextafter(0.5, 1))
    assert (at.recall.hits, at.false_alarm.hits, at.precision.hits, at.precision.trials) == (2, 1, 2, 3)
    assert (over.recall.hits, over.false_alarm.hits, over.precision.hits, over.precision.trials) == (1, 0, 1, 1)
    assert curve.at(0.95).precision.value is None


@given(_scores, _scores)
def test_curve_points_climb_and_enclose_the_area(harmful: list[float], harmless: list[float]) -> None:
    curve = _curve(harmful, harmless)
    x, y = np.array(curve.points()).T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert (np.diff(x) * (y[1:] + y[:-1]) / 2).sum() == pytest.approx(curve.area[0])
    corners = set(zip(x.round(9).tolist(), y.round(9).tolist(), strict=True))
    labels = [1] * len(harmful) + [0] * len(harmless)
    all_points = roc_curve(labels, harmful + harmless, drop_intermediate=False)[:2]
    assert corners <= set(zip(*(ends.round(9).tolist() for ends in all_points), strict=True))


def _records(n: int = 10) -> list[Record]:
    return [record for _, record in example_records(n=n)]


def test_curves_count_a_prompt_once_over_models() -> None:
    once, twice = curves(_records()), curves([*_records(), *_records()])
    assert once == twice
    named = [(c.task, c.texts, c.category, len(c.harmful), len(c.harmless)) for c in once]
    assert named == [
        (task, texts, category, 5, 5)
        for task, texts in (("refusal", "all"), ("robustness", "clean"), ("robustness", "homoglyph"))
        for category in ("jailbreak", "toxicity")
    ]


def test_curves_leave_out_what_a_filter_failed_on() -> None:
    records = [record for record in _records() if record.sample.task == "robustness"]
    first = records[0]
    verdict = replace(first.arms["clean"].prompt_verdict, error="filter encoder@1 returned NaN")
    failed = replace(first, arms={"clean": replace(first.arms["clean"], prompt_verdict=verdict)})
    found = {(c.texts, c.category): c for c in curves([failed, *records[1:]])}
    assert (len(found["clean", "jailbreak"].harmful), found["clean", "jailbreak"].n_unscored) == (4, 1)
    assert (len(found["homoglyph", "jailbreak"].harmful), found["homoglyph", "jailbreak"].n_unscored) == (5, 0)


def test_curves_need_both_kinds_of_text() -> None:
    assert curves([record for record in _records() if record.sample.harmful]) == ()
    assert curves([record for record in _records() if record.sample.task == "toxicity"]) == ()
    assert curves([]) == ()
