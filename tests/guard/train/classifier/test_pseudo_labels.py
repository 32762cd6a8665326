"""Pseudo-labels: thresholds by hand, floors that keep a promise, estimates that no row gives for itself, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from guard.errors import ConfigError
from guard.train.classifier.pseudo_labels import PseudoRule, accept, flexible_thresholds, held_out
from guard.train.classifier.temperature import Calibration, fit, log_loss, probabilities

CHANCES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=60).map(np.array)


def test_the_class_that_fewer_rows_reach_has_the_lower_threshold() -> None:
    # 6 sure harmless, 3 sure harmful, 1 unsure: learnt 6/6 and 3/6, mapped 1 and 0.5 / 1.5.
    chances = np.array([0.01] * 6 + [0.99] * 3 + [0.6])
    assert flexible_thresholds(chances, confidence=0.9) == pytest.approx((0.9, 0.3))


def test_while_most_rows_are_unsure_thresholds_warm_up() -> None:
    # 1 sure of each, 8 unsure: learnt 1/8, mapped 0.125 / 1.875.
    chances = np.array([0.01, 0.99] + [0.6] * 8)
    assert flexible_thresholds(chances, confidence=0.9) == pytest.approx((0.06, 0.06))


@given(CHANCES)
def test_marks_are_the_likelier_label_or_none(chances: np.ndarray) -> None:
    marks = accept(chances, (0.8, 0.9))
    assert ((marks == -1) | (marks == (chances >= 0.5))).all()
    assert (marks[(chances < 0.5) & (1 - chances < 0.8)] == -1).all()


def _drawn(n: int, *, seed: int, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are right for two normal classes `apart` standard deviations from each other."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(float)
    values = rng.normal(size=n) + apart * labels
    logits = norm.logpdf(values - apart) - norm.logpdf(values) + np.log(0.4 / 0.6)
    return logits, labels


def test_estimated_precision_is_that_of_the_unlabelled_rows() -> None:
    hits, trials, true_hits, true_trials = 0, 0, 0, 0
    for seed in range(20):
        held, pool = _drawn(100, seed=seed), _drawn(1000, seed=100 + seed)
        marks, found = held_out(3 * pool[0] + 1, 3 * held[0] + 1, held[1], PseudoRule(precision=0.8, least=5))
        hits, trials = hits + found.hits, trials + found.trials
        true_hits += int(((marks == pool[1]) & (marks != -1)).sum())
        true_trials += int((marks != -1).sum())
    # Overconfident log-odds (three times too large) are calibrated first; the estimate may be off by chance alone.
    assert hits / trials == pytest.approx(true_hits / true_trials, abs=0.03)
    assert true_hits / true_trials >= 0.8


def test_calling_everything_harmless_is_refused_however_rare_harm_is() -> None:
    labels = np.array(([0.0] * 19 + [1.0]) * 10)
    logits = np.random.default_rng(0).normal(-4, 0.1, size=200)  # knows the share of harm, and nothing else
    marks, found = held_out(logits, logits, labels, PseudoRule(precision=0.9))
    assert found.hits / found.trials > 0.9
    assert not found.used
    assert (marks == -1).all()


def test_no_single_label_is_less_sure_than_asked() -> None:
    logits, labels = _drawn(400, seed=4, apart=3.0)
    marks, found = held_out(logits, logits, labels, PseudoRule(precision=0.9))
    chances = probabilities(fit(logits, labels).apply(logits))
    assert found.used
    assert np.maximum(chances, 1 - chances)[marks != -1].min() >= 0.9


def test_what_is_not_precise_enough_is_refused() -> None:
    logits, labels = _drawn(200, seed=1, apart=3.0)
    wrong = 1 - labels  # the filter is sure, and its answers are the wrong way round
    marks, found = held_out(logits, logits, wrong, PseudoRule(precision=0.9))
    assert not found.used
    assert (marks == -1).all()
    marks, found = held_out(logits, logits, labels, PseudoRule(precision=0.9))
    assert found.used
    assert found.hits >= 0.9 * found.trials >= 18
    assert found.trials_harmful <= found.trials <= found.n_held_out == 200
    assert found.n_accepted == (marks != -1).sum() > 0


def test_too_few_labelled_rows_are_no_evidence() -> None:
    logits, labels = _drawn(30, seed=2, apart=8.0)
    assert not held_out(logits, logits, labels, PseudoRule(least=31))[1].used
    assert not held_out(np.array([]), logits, labels, PseudoRule(least=5))[1].used


@pytest.mark.parametrize("rule", [{"confidence": 0.4}, {"confidence": 1.0}, {"precision": 1.0}, {"least": 0}])
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="confidence and precision are in"):
        PseudoRule(**rule)  # type: ignore[arg-type]


def test_calibration_finds_the_slope_and_shift_of_known_chances() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=20_000) * 2
    labels = (rng.random(20_000) < probabilities(true)).astype(float)
    found = fit(4 * true - 2, labels)
    assert (found.slope, found.shift) == (pytest.approx(0.25, abs=0.01), pytest.approx(0.5, abs=0.05))
    balanced = fit(true + np.log(9), np.concatenate((labels[:10_000], labels[10_000:])), balanced=True)
    assert balanced.shift == pytest.approx(-np.log(9), abs=0.15)


def test_calibration_of_classes_that_are_apart_is_finite_and_of_one_class_changes_nothing() -> None:
    found = fit(np.array([-5.0, -4.0, 4.0, 5.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite([found.slope, found.shift]).all()
    assert found.slope > 0
    assert fit(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == Calibration()
    assert fit(np.array([5.0, -5.0] * 20), np.array([0.0, 1.0] * 20)).slope > 0  # never turned round


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-3, 3))
def test_calibration_never_makes_the_pulled_loss_worse(seed: int, scale: float, shift: float) -> None:
    logits, labels = _drawn(40, seed=seed)
    found = fit(scale * logits + shift, labels)
    before, after = log_loss(scale * logits + shift, labels), log_loss(found.apply(scale * logits + shift), labels)
    assert after <= before + 1e-9
