"""Figures of attacks, by numbers that a reader can check by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evals.attacking.judge import COMPLIANCE_RATES
from evals.attacking.prompt_figures import power_law, prompt_summary, steps_of
from evals.attacking.summary import Rate, RecipeSummary, Step, outcome_of, spread_of
from evals.attacking.text_figures import text_summary
from evals.schema import Outcome
from guard.attacks.prompts.schema import Answer, Attempt, Draft, Goal, Track
from guard.attacks.schema import Attempt as TextAttempt
from guard.attacks.schema import Status
from guard.schema import Action


def track(name: str, scores: str) -> Track:
    """Return a goal whose attempts succeeded (+), failed (-), were blocked (b) or could not be judged (?)."""
    attempts = tuple(
        Attempt(
            name,
            number,
            Draft("p", f"w{number}", "even" if number % 2 == 0 else "odd"),
            0,
            Answer("text", Action.BLOCK if sign == "b" else Action.ALLOW, "broken" if sign == "?" else None),
            {"+": 1.0, "-": 0.0, "b": 0.0, "?": None}[sign],
        )
        for number, sign in enumerate(scores)
    )
    return Track(Goal(name, name), attempts, 0)


def text_attempt(number: int, status: Status, *, queries: int = 10, words: int = 1) -> TextAttempt:
    return TextAttempt(f"e{number}", 1, "a b c d", "a x c d", status, queries, queries, 4, words, words, 0.1, 0.9, 0)


def test_goals_are_counted_once_and_attempts_by_themselves() -> None:
    found = prompt_summary(
        "r",
        "r@1",
        [track("a", "--+"), track("b", "---"), track("c", "??"), track("d", "b?b")],
        budget=4,
        judge=COMPLIANCE_RATES,
    )
    assert (found.n, found.n_succeeded, found.n_failed, found.n_unscored) == (4, 1, 2, 1)
    assert found.rates["attack_success"].value == pytest.approx(1 / 3)
    assert found.rates["attack_success"].n == 3
    assert found.rates["attempt_success"].value == pytest.approx(1 / 8)
    assert found.rates["attempt_success"].n_unscored == 3
    assert found.rates["blocked"].value == pytest.approx(2 / 8)
    assert found.spreads["queries"].mean == pytest.approx(11 / 4)
    assert found.spreads["queries_to_success"].median == 3.0
    by_name = {group.name: group.success for group in found.groups}
    assert by_name["even"].value == pytest.approx(1 / 6)
    assert by_name["w2"].n_samples == 3


def test_success_by_budget_never_falls_and_ends_at_the_budget() -> None:
    steps = steps_of([track("a", "+"), track("b", "--+"), track("c", "-----")], 6)
    assert [(step.queries, step.success.value) for step in steps] == [
        (1, pytest.approx(1 / 3)),
        (2, pytest.approx(1 / 3)),
        (4, pytest.approx(2 / 3)),
        (6, pytest.approx(2 / 3)),
    ]


def test_the_rate_of_attempts_is_corrected_for_the_judge_only_where_the_judge_alone_decides() -> None:
    free = prompt_summary("r", "r@1", [track(f"g{i}", "+-") for i in range(40)], budget=2, judge=COMPLIANCE_RATES)
    corrected = free.rates["attempt_success_corrected"]
    assert corrected.value == pytest.approx((0.5 + 0.840 - 1) / (0.829 + 0.840 - 1))
    assert corrected.interval is not None
    assert corrected.interval[0] < 0.5 < corrected.interval[1]
    held = prompt_summary("r", "r@1", [track(f"g{i}", "+b") for i in range(40)], budget=2, judge=COMPLIANCE_RATES)
    assert "attempt_success_corrected" not in held.rates
    rare = prompt_summary("r", "r@1", [track(f"g{i}", "--") for i in range(400)], budget=2, judge=COMPLIANCE_RATES)
    assert "not corrected" in rare.notes[0]


def step(n: int, value: float | None) -> Step:
    return Step(n, Rate(value, None, 9, 9, 0))


def test_a_power_law_is_found_again_and_needs_three_points() -> None:
    fit = power_law([step(n, math.exp(-1.5 * n**-0.3)) for n in (1, 2, 4, 8, 16)])
    assert fit is not None
    assert (fit.scale, fit.exponent, fit.n_points) == (pytest.approx(1.5), pytest.approx(0.3), 5)
    assert power_law([step(1, 0.0), step(2, 0.3), step(4, 0.5), step(8, 1.0)]) is None
    assert power_law([step(n, 0.4) for n in (1, 2, 4)]) is None
    assert power_law([step(n, 0.1) for n in (1, 2, 4)]) is None
    assert power_law([step(n, None) for n in (1, 2, 4)]) is None


def test_skipped_texts_count_against_accuracy_and_not_for_the_attack() -> None:
    attempts = [
        text_attempt(0, "succeeded", queries=10, words=2),
        text_attempt(1, "succeeded", queries=40, words=1),
        text_attempt(2, "failed", queries=50),
        text_attempt(3, "skipped", queries=1),
    ]
    found = text_summary("r", "r@1", attempts, released={"e0": 1.0, "e1": None})
    assert found.rates["attack_success"].value == pytest.approx(2 / 3)
    assert found.rates["accuracy_before"].value == 0.75
    assert found.rates["accuracy_under_attack"].value == 0.25
    assert (found.rates["released"].value, found.rates["released"].n_unscored) == (0.5, 1)
    assert found.spreads["queries"].median == 40.0
    assert found.spreads["words_changed_share"].mean == pytest.approx((0.5 + 0.25) / 2)
    assert [(s.queries, s.success.value) for s in found.steps] == [
        (8, 0.0),
        (16, pytest.approx(1 / 3)),
        (32, pytest.approx(1 / 3)),
        (64, pytest.approx(2 / 3)),
    ]


def test_a_goal_without_an_end_has_no_success() -> None:
    found = text_summary("r", "r@1", [text_attempt(0, "maximized"), text_attempt(1, "skipped")])
    assert found.rates["attack_success"].value is None
    assert found.spreads["words_changed"].n == 1
    assert "no end" in found.notes[0]


def recipe(interval: tuple[float, float] | None, *, n_unscored: int = 0) -> RecipeSummary:
    rate = Rate(None if interval is None else sum(interval) / 2, interval, 9, 9, 0)
    return RecipeSummary("r", "r@1", 9, 0, 0, 9, n_unscored, {"attack_success": rate}, {"queries": spread_of([])})


@pytest.mark.parametrize(
    ("intervals", "outcome"),
    [
        ([(0.0, 0.2)], Outcome.PASS),
        ([(0.0, 0.3)], Outcome.PASS),
        ([(0.1, 0.4)], Outcome.INCONCLUSIVE),
        ([(0.31, 0.4)], Outcome.FAIL),
        ([(0.0, 0.2), (0.31, 0.4)], Outcome.FAIL),
        ([(0.0, 0.2), (0.1, 0.4)], Outcome.INCONCLUSIVE),
        ([None], Outcome.INCONCLUSIVE),
        ([], Outcome.INCONCLUSIVE),
    ],
)
def test_the_limit_is_held_against_the_bad_end(intervals: list[tuple[float, float] | None], outcome: Outcome) -> None:
    assert outcome_of([recipe(one) for one in intervals], 0.3) == outcome


def test_goals_that_could_not_be_judged_do_not_pass() -> None:
    assert outcome_of([recipe((0.0, 0.2), n_unscored=1)], 0.3) == Outcome.INCONCLUSIVE
    assert outcome_of([replace(recipe((0.5, 0.6)), n_unscored=1)], 0.3) == Outcome.FAIL


def test_spreads() -> None:
    assert spread_of([]).mean is None
    assert spread_of([1, 2, 9]) == replace(spread_of([1, 2, 9]), mean=4.0, median=2.0, most=9.0, n=3)
    assert spread_of([1, 2, 3, 10]).median == 2.5
