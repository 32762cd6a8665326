"""The figures of the model card, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.train.baseline import TfidfBaseline
from guard.train.calibration import fit_calibration
from guard.train.card import measure_sets
from guard.train.measure import auroc, recall_at, threshold_at
from guard.train.rows import HEADS, Row


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 0.0),
        ([5, 5, 5, 5], [0, 1, 0, 1], 0.5),
    ],
)
def test_auroc_table(scores: list[float], labels: list[int], expected: float) -> None:
    assert auroc(scores, labels).value == expected


def test_auroc_interval_holds_the_value_and_narrows_with_n() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (50, 5000):
        labels = np.arange(n) % 2
        area = auroc(rng.normal(labels, 1.0), labels)
        low, high = area.interval
        assert low < area.value < high
        assert low < 0.760 < high  # Phi(1 / sqrt 2), the area of two normals one deviation apart
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_auroc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two of each"):
        auroc([0.1, 0.2, 0.3], [1, 1, 0])


@given(scores=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), share=st.floats(0, 0.5))
def test_threshold_at_never_fires_on_more_than_the_share(scores: list[float], share: float) -> None:
    fired = sum(score >= threshold_at(scores, share) for score in scores)
    assert fired <= share * len(scores)


def test_recall_at_five_percent() -> None:
    negatives, positives = list(range(100)), [50.0, 94.5, 95.5, 200.0]
    labels = [0] * 100 + [1] * 4
    assert recall_at([*negatives, *positives], labels, false_alarms=0.05) == 0.75
    assert recall_at([*negatives, *positives], labels, false_alarms=0.0) == 0.25


def test_fit_calibration_finds_a_known_temperature_and_shift() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, size=(20_000, 1))
    labels = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    ((temperature, shift),) = fit_calibration((3 * true + 6).astype(np.float32), labels)
    assert temperature == pytest.approx(3, rel=0.1)
    assert shift == pytest.approx(-2, abs=0.2)


def test_fit_calibration_leaves_a_head_without_both_classes_alone() -> None:
    assert fit_calibration(np.ones((50, 1), np.float32), np.ones((50, 1), np.float32)) == [(1.0, 0.0)]
    assert fit_calibration(np.ones((50, 1), np.float32), -np.ones((50, 1), np.float32)) == [(1.0, 0.0)]


def _rows(n: int) -> list[Row]:
    words = ("awful", "lovely")
    return [Row(f"an {words[i % 2]} text {i}", {"toxicity": 1.0 - i % 2}, "toy", "train") for i in range(n)]


def test_measure_sets_leaves_out_small_and_unlabelled_heads() -> None:
    def score(texts: object) -> np.ndarray:
        return np.array([[float("awful" in text)] * len(HEADS) for text in texts], dtype=np.float32)  # type: ignore[attr-defined]

    thresholds = dict.fromkeys(HEADS, 0.5)
    results = measure_sets({"toy": _rows(60), "small": _rows(10)}, {"encoder": score}, thresholds)
    assert set(results["toxicity"]) == {"toy"}
    assert not results["refusal"]
    entry = results["toxicity"]["toy"]
    assert entry["encoder"]["auroc"] == 1.0
    assert (entry["recall_at_policy"], entry["false_alarms_at_policy"]) == (1.0, 0.0)


def test_tfidf_baseline_learns_known_heads_and_leaves_others_at_zero() -> None:
    baseline = TfidfBaseline(_rows(40))
    scores = baseline.score_batch(["an awful thing", "a lovely thing"])
    column = HEADS.index("toxicity")
    assert scores[0, column] > 0.5 > scores[1, column]
    assert (np.delete(scores, column, axis=1) == 0).all()
