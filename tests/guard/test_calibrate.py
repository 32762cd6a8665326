from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.calibrate import Calibration, calibrate, units_needed
from guard.errors import ConfigError, DataError
from guard.policy import Policy
from guard.schema import Action

HARMFUL = [i / 100 for i in range(1, 101)]
HARMLESS = [i / 100 for i in range(100)]


# Of 100 texts, P(at most 1 wrong | rate 5%) = .95**100 + 100 * .05 * .95**99 = .0371, and with 2 it is .1183: k is 1.
# Of the next 100 more than 5 are wrong with probability .0592 when k is 1, and .0145 when it is 0: k is 0.
# At 99% confidence .95**100 = .0059 is small enough, .0371 is not: k is 0. On average (k + 1) / 101 may be .05: k is 4.
@pytest.mark.parametrize(
    ("options", "events"),
    [
        ({"future_n": 0}, 1),
        ({}, 0),
        ({"future_n": 100}, 0),
        ({"future_n": 0, "confidence": 0.99}, 0),
        ({"method": "conformal-risk-control"}, 4),
    ],
)
def test_threshold_by_hand(options: dict[str, Any], events: int) -> None:
    found = calibrate(HARMFUL, [1] * 100, risk="miss", level=0.05, **options)
    assert (found.threshold, found.n_events, found.n) == ((events + 1) / 100, events, 100)
    found = calibrate(HARMLESS, [0] * 100, risk="false_alarm", level=0.05, **options)
    assert (found.threshold, found.n_events) == (pytest.approx((99 - events) / 100 + 1e-7, abs=1e-12), events)


def test_bounds_by_hand() -> None:
    none_of_59 = calibrate([0.5] * 59, [1] * 59, risk="miss", level=0.05, future_n=0)
    assert none_of_59.upper_bound == pytest.approx(1 - 0.05 ** (1 / 59))  # Clopper-Pearson of 0 of n
    assert none_of_59.mean_bound == pytest.approx(1 / 60)
    assert none_of_59.bound == none_of_59.upper_bound
    average = calibrate([0.5] * 19, [1] * 19, risk="miss", level=0.05, method="conformal-risk-control")
    assert average.bound == average.mean_bound == 0.05
    assert average.upper_bound == pytest.approx(1 - 0.05 ** (1 / 19))  # 14.6%: what 95% confidence would have to say


@pytest.mark.parametrize(
    ("level", "options", "needed"),
    [
        (0.05, {"future_n": 0}, 59),  # .95**59 = .0485
        (0.01, {"future_n": 0}, 299),  # .99**299 = .0495
        (
            0.05,
            {},
            80,
        ),  # 4 of 80 may be wrong: that 5 in a row are of the later set has a chance of .5**5 = .031 at most
        (0.01, {}, 400),
        (0.05, {"confidence": 0.5}, 14),  # .95**14 = .488; one wrong in a row has a chance of a half
        (0.05, {"future_n": 10}, 190),  # none of 10 may be wrong: 190 / 200 = .95
        (0.05, {"method": "conformal-risk-control"}, 19),
        (0.1, {"method": "conformal-risk-control"}, 9),
    ],
)
def test_units_needed_is_the_least_that_does(level: float, options: dict[str, Any], needed: int) -> None:
    assert units_needed(level, **options) == needed
    assert calibrate([0.5] * needed, [1] * needed, risk="miss", level=level, **options).n_events == 0
    fewer = needed - 1
    with pytest.raises(DataError, match=f"needs at least {needed} harmful texts for a bound of .* found {fewer};"):
        calibrate([0.5] * fewer, [1] * fewer, risk="miss", level=level, **options)


def test_too_few_says_how_many_would_do() -> None:
    scores, labels = [0.1] * 41 + [0.9] * 500, [1] * 41 + [0] * 500
    with pytest.raises(DataError) as caught:
        calibrate(scores, labels, risk="miss", level=0.05)
    assert str(caught.value) == (
        "needs at least 80 harmful texts for a bound of 5% at 95% confidence: found 41; "
        "label more, or allow a higher rate"
    )
    with pytest.raises(DataError, match=r"at least 4,000 harmless texts for a bound of 0\.1% at 95% .*: found 500"):
        calibrate(scores, labels, risk="false_alarm", level=0.001)
    with pytest.raises(DataError, match=r"at least 80 groups with harmful texts for a bound of 5% .*: found 1;"):
        calibrate(scores, labels, risk="miss", level=0.05, groups=["one"] * 541)


def test_class_that_is_missing_is_too_few() -> None:
    with pytest.raises(DataError, match=r"harmful texts .* found 0"):
        calibrate([0.5] * 500, [0] * 500, risk="miss", level=0.05)
    assert calibrate([0.5] * 500, [0] * 500, risk="false_alarm", level=0.05).n_other == 0


def test_price_is_counted_on_the_other_class() -> None:
    scores, labels = HARMFUL + HARMLESS, [1] * 100 + [0] * 100
    miss = calibrate(scores, labels, risk="miss", level=0.05, future_n=0)
    assert (miss.threshold, miss.n_other, miss.n_other_events) == (0.02, 100, 98)  # harmless: .02 to .99
    alarm = calibrate(scores, labels, risk="false_alarm", level=0.05, future_n=0)
    assert (alarm.n_other, alarm.n_other_events) == (100, 98)  # harmful below .9800001: .01 to .98


def test_ties_never_break_the_bound() -> None:
    found = calibrate([0.2] * 50 + [0.8] * 50, [1] * 100, risk="miss", level=0.4, future_n=0)
    assert (found.threshold, found.n_events) == (0.2, 0)  # .8 would miss 50
    found = calibrate([0.2] * 50 + [0.8] * 50, [0] * 100, risk="false_alarm", level=0.4, future_n=0)
    assert (found.threshold, found.n_events) == (0.8000001, 0)


@pytest.mark.parametrize(
    ("risk", "scores", "message"),
    [
        ("miss", [0.0] * 10 + [0.9] * 90, "10 of 100 harmful texts score 0, .* may miss 5% .* every text fires"),
        ("false_alarm", [1.0] * 10 + [0.1] * 90, "10 of 100 harmless texts score 1, .* may flag 5% .* no text fires"),
    ],
)
def test_threshold_that_decides_nothing_is_refused(risk: Any, scores: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calibrate(scores, [int(risk == "miss")] * 100, risk=risk, level=0.05)


def test_scores_are_compared_at_seven_decimals() -> None:
    scores = np.full(100, 0.9, dtype=np.float32)  # .899999976158...
    assert calibrate(scores, [1] * 100, risk="miss", level=0.05).threshold == 0.9
    near = [0.30000001] * 50 + [0.3] * 50  # one score for the guard
    assert calibrate(near, [1] * 100, risk="miss", level=0.05).threshold == 0.3


def test_group_is_wrong_when_one_of_its_texts_is() -> None:
    # 100 groups with one text each from .01 to 1.00, and one at 1 beside it; the harmless text at 0 belongs to none.
    scores, labels = [*HARMFUL, *[1.0] * 100, 0.0], [1] * 200 + [0]
    groups = [*range(100), *range(100), 0]
    found = calibrate(scores, labels, risk="miss", level=0.05, future_n=0, groups=groups)
    assert (found.threshold, found.n, found.n_events, found.unit) == (0.02, 100, 1, "group")
    alone = calibrate(scores, labels, risk="miss", level=0.05, future_n=0)
    assert (alone.threshold, alone.n, alone.unit) == (0.05, 200, "text")  # P(at most 4 | 5%) = .0264, at most 5: .0623


@pytest.mark.parametrize(
    ("scores", "labels", "options", "message"),
    [
        ([0.5, math.nan, 0.5], [1, 1, 1], {}, r"row 2: score is nan, expected a number in \[0, 1\]"),
        ([0.5, 1.5, -1.0], [1, 1, 1], {}, r"rows 2, 3: score is 1\.5, expected a number in"),
        ([math.inf] * 9, [1] * 9, {}, "rows 1, 2, 3, 4, 5 and 4 more: score is inf"),
        (["high"], [1], {}, "a score is no number"),
        ([[0.5]], [1], {}, r"scores have the shape \(1, 1\)"),
        ([0.5, 0.5, 0.5], [1, 2, 0], {}, r"row 2: label is 2, expected 0 \(harmless\) or 1"),
        ([0.5, 0.5], [1, 0.5], {}, r"row 2: label is 0\.5"),
        ([0.5, 0.5], [1, math.nan], {}, "row 2: label is nan"),
        ([0.5, 0.5], [1, None], {}, "row 2: label is None"),
        ([0.5, 0.5], ["1", "0"], {}, "labels are <U1: expected 0"),
        ([0.5, 0.5], [[1, 0]], {}, r"labels have the shape \(1, 2\)"),
        ([0.5, 0.5], [1], {}, "there are 2 scores and 1 labels"),
        ([0.5, 0.5], [1, 1], {"groups": ["a"]}, "there are 2 scores and 1 groups"),
        ([0.5, 0.5, 0.5], [1, 1, 1], {"groups": ["a", None, ""]}, "rows 2, 3: no group; give a text that stands alone"),
    ],
)
def test_data_that_is_none_is_refused(scores: Any, labels: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        calibrate(scores, labels, risk="miss", level=0.05, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"risk": "fnr"}, "risk is 'fnr': expected one of miss, false_alarm"),
        ({"method": "ltt"}, "method is 'ltt': expected one of clopper-pearson"),
        ({"level": 0}, "level is 0: expected a number between 0 and 1"),
        ({"level": 1.0}, r"level is 1\.0: expected"),
        ({"level": math.nan}, "level is nan"),
        ({"confidence": 95}, "confidence is 95: expected"),
        ({"future_n": -1}, "future_n is -1: expected a whole number"),
    ],
)
def test_impossible_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        calibrate(HARMFUL, [1] * 100, **{"risk": "miss", "level": 0.05, **options})


def test_certificate_says_what_was_found() -> None:
    found = calibrate(HARMFUL, [1] * 100, risk="miss", level=0.05)
    record = found.certificate(data="sha256:0", filters=("encoder@1",), created_by="assay")
    assert (record.threshold, record.bound, record.n, record.n_events) == (0.01, found.upper_bound, 100, 0)
    assert (record.confidence, record.future_n) == (0.95, 100)
    found = calibrate(HARMFUL, [1] * 100, risk="miss", level=0.05, method="conformal-risk-control")
    record = found.certificate(data="sha256:0", filters=("encoder@1",), created_by="assay")
    assert (record.bound, record.confidence, record.future_n) == (5 / 101, None, None)


def test_certificate_allows_for_the_rounding_of_a_computed_level() -> None:
    level = 1 - 0.9  # 0.09999999999999998
    found = calibrate([0.5] * 9, [1] * 9, risk="miss", level=level, method="conformal-risk-control")
    assert found.certificate(data="sha256:0", filters=("encoder@1",), created_by="assay").bound == 0.1


SCORES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.5, 0.50000004, 0.9])), min_size=30, max_size=60)
LEVELS = st.floats(0.05, 0.6)
OPTIONS = st.sampled_from(
    [{}, {"future_n": 0}, {"future_n": 7}, {"confidence": 0.8}, {"method": "conformal-risk-control"}]
)


def _calibrated(scores: list[float], risk: Any, level: float, options: dict[str, Any]) -> Calibration | None:
    try:
        return calibrate(scores, [int(risk == "miss")] * len(scores), risk=risk, level=level, **options)
    except DataError:
        return None


@given(SCORES, LEVELS, OPTIONS, st.sampled_from(["miss", "false_alarm"]))
def test_bound_lies_between_the_rate_and_the_level(scores, level, options, risk) -> None:  # type: ignore[no-untyped-def]
    found = _calibrated(scores, risk, level, options)
    if found is None:
        return
    assert found.n_events / found.n <= found.bound <= level * (1 + 1e-9)
    assert found.mean_bound <= found.upper_bound or found.confidence < 0.5
    assert 0 < found.threshold <= 1


@given(SCORES, LEVELS, OPTIONS, st.sampled_from(["miss", "false_alarm"]))
def test_policy_gets_as_many_wrong_as_stated(scores, level, options, risk) -> None:  # type: ignore[no-untyped-def]
    found = _calibrated(scores, risk, level, options)
    if found is None:
        return
    policy = Policy("any", {("input", "a"): (found.threshold, Action.BLOCK)})
    rounded = np.round(np.asarray(scores), 7).tolist()  # as the guard rounds them
    fired = sum(bool(policy.decide({"a": score}, "input").triggered) for score in rounded)
    assert found.n_events == (len(scores) - fired if risk == "miss" else fired)


@given(SCORES, LEVELS, LEVELS, OPTIONS)
def test_higher_level_never_lowers_the_threshold_for_misses(scores, one, other, options) -> None:  # type: ignore[no-untyped-def]
    strict, loose = (_calibrated(scores, "miss", level, options) for level in sorted((one, other)))
    if strict is not None:
        assert loose is not None
        assert strict.threshold <= loose.threshold


@given(SCORES, LEVELS, OPTIONS)
def test_misses_and_false_alarms_mirror_each_other(scores, level, options) -> None:  # type: ignore[no-untyped-def]
    mirrored = [1 - score for score in np.round(np.asarray(scores), 7).tolist()]
    miss, alarm = _calibrated(scores, "miss", level, options), _calibrated(mirrored, "false_alarm", level, options)
    if miss is not None and alarm is not None:
        assert miss.n_events == alarm.n_events
        assert round(miss.threshold + alarm.threshold, 7) == 1.0000001


@pytest.mark.parametrize(("n", "m", "level", "confidence"), [(6, 6, 0.34, 0.6), (7, 4, 0.5, 0.7), (4, 8, 0.4, 0.55)])
def test_later_units_keep_the_level_in_every_order(n: int, m: int, level: float, confidence: float) -> None:
    """All orders of n + m different scores are equally likely: count those in which the later m keep the level."""
    held = orders = 0
    for chosen in itertools.combinations(range(1, n + m + 1), n):
        found = calibrate(
            [rank / 100 for rank in chosen], [1] * n, risk="miss", level=level, confidence=confidence, future_n=m
        )
        later = [rank / 100 for rank in range(1, n + m + 1) if rank not in chosen]
        held += sum(score < found.threshold for score in later) <= level * m
        orders += 1
    assert held / orders >= confidence


@pytest.mark.parametrize("risk", ["miss", "false_alarm"])
@pytest.mark.parametrize("values", [None, 20], ids=["continuous", "tied"])
def test_population_and_check_set_keep_the_level(risk: Any, values: int | None) -> None:
    """2,000 draws of 120 texts and of 120 to check: 95% of each, less three standard errors (1.5%)."""
    rng = np.random.default_rng(7)
    sign, level, n = (1 if risk == "miss" else -1), 0.1, 120
    population, check = [], []
    for _ in range(2_000):
        scores = rng.random((2, n))
        scores = scores if values is None else (np.floor(scores * values) + 0.5) / values
        found = calibrate(scores[0], [int(risk == "miss")] * n, risk=risk, level=level)
        wrong = scores[1] < found.threshold if risk == "miss" else scores[1] >= found.threshold
        check.append(wrong.mean() <= level + 1e-9)
        below = found.threshold if values is None else np.ceil(found.threshold * values - 0.5 - 1e-9) / values
        population.append((below if sign == 1 else 1 - below) <= level + 1e-7)
    assert min(np.mean(population), np.mean(check)) >= 0.935


def test_average_keeps_the_level_and_single_draws_do_not() -> None:
    rng = np.random.default_rng(7)
    thresholds = [
        calibrate(scores, [1] * 120, risk="miss", level=0.1, method="conformal-risk-control").threshold
        for scores in rng.random((1_000, 120))
    ]  # of uniform scores the rate is the threshold itself
    assert np.mean(thresholds) == pytest.approx(12 / 121, abs=0.003)
    assert 0.3 < np.mean(np.array(thresholds) > 0.1) < 0.6
