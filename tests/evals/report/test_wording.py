"""Figures are written so that nothing is hidden by rounding."""

from __future__ import annotations

import pytest

from evals.directions import DIRECTIONS, direction_of
from evals.report.titles import METRICS
from evals.report.titles import TASKS as TITLED
from evals.report.wording import difference, interval, number, unrepeated, wording_of
from evals.schema import Outcome
from evals.tasks.table import TASKS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.1234, "0.123"),
        (1.0, "1.000"),
        (-0.5, "−0.500"),
        (0.0005, "0.001"),
        (0.00049, "0.00049"),
        (-0.00001, "−1e-05"),
        (999.9, "999.900"),
        (123456.0, "1.23e+05"),
    ],
)
def test_number_keeps_what_matters(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.1, "+0.100"), (-0.1, "−0.100"), (0.0, "0.000"), (-0.0, "0.000")])
def test_difference_has_a_sign(value: float, text: str) -> None:
    assert difference(value) == text


def test_interval_is_bracketed_or_said_to_be_missing() -> None:
    assert interval((0.0, 0.116)) == "[0.000, 0.116]"
    assert interval((-0.2, 0.1), signed=True) == "[−0.200, +0.100]"
    assert interval(None) == "no interval"


def test_wording_of_unknown_metric_takes_no_side() -> None:
    wording = wording_of("mine", "my_metric")
    assert (wording.title, wording.better, wording.arrow) == ("My metric", "", "")
    assert wording_of("toxicity", "toxicity_probability").arrow == "↓"


@pytest.mark.parametrize(
    ("sentence", "outcome", "rest"),
    [
        ("Fail: two limits broke.", Outcome.FAIL, "two limits broke."),
        ("Fail: two limits broke.", Outcome.PASS, "Fail: two limits broke."),
        ("All is well.", Outcome.PASS, "All is well."),
        ("Pass", Outcome.PASS, "Pass"),
    ],
)
def test_unrepeated_drops_only_the_outcome_in_front(sentence: str, outcome: Outcome, rest: str) -> None:
    assert unrepeated(sentence, outcome) == rest


def test_every_task_and_every_metric_with_a_direction_has_a_title_and_a_sentence() -> None:
    assert set(TASKS) <= set(TITLED)
    assert set(DIRECTIONS) <= set(METRICS)
    assert all(wording.title and wording.meaning for wording in METRICS.values())


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_good_news_is_the_same_in_reports_and_in_comparisons(metric: str) -> None:
    corrected_from = metric.removesuffix("_corrected")
    assert METRICS[metric].better == direction_of(corrected_from).better
