from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.schema import Outcome
from evals.sequential import SequentialGate, Standing, random_order
from evals.stats import clustered_rate, prompt_any
from evals.values import Value
from evals.watched import PromptValue, SequentialLimit, from_values
from guard.errors import ConfigError, DataError

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def order(n: int) -> tuple[str, ...]:
    return tuple(f"p{i:03}" for i in range(n))


def at_most(limit: float, n: int, **options: object) -> SequentialLimit:
    return dataclasses.replace(SequentialLimit("max", limit, order(n)), **options)


def fed(limit: SequentialLimit, values: list[float | None], *, futility: float = 0.05) -> SequentialGate[str]:
    """A gate of one limit that saw one sample of each prompt, in the planned order."""
    gate = SequentialGate({"it": limit}, futility=futility)
    gate.observe({"it": {prompt: [value] for prompt, value in zip(limit.prompts, values, strict=False)}})
    return gate


def standing(limit: SequentialLimit, values: list[float | None], **options: float) -> Standing:
    return fed(limit, values, **options).standing("it")


# Deciding early


@pytest.mark.parametrize(
    ("bound", "limit", "value", "n", "outcome"),
    [
        ("max", 0.1, 0.0, 50, None),
        ("max", 0.1, 0.0, 51, PASS),
        ("max", 0.1, 1.0, 2, None),
        ("max", 0.1, 1.0, 3, FAIL),
        ("min", 0.9, 1.0, 50, None),
        ("min", 0.9, 1.0, 51, PASS),
        ("min", 0.9, 0.0, 2, None),
        ("min", 0.9, 0.0, 3, FAIL),
    ],
)
def test_limit_is_decided_as_soon_as_it_is_clear(
    bound: str, limit: float, value: float, n: int, outcome: Outcome | None
) -> None:
    found = standing(at_most(limit, 400, bound=bound), [value] * n)
    assert (found.outcome, found.at_end, found.n_prompts) == (outcome, False, n)


def test_a_pass_stays_when_later_prompts_are_worse() -> None:
    limit = at_most(0.1, 400)
    assert standing(limit, [0.0] * 51 + [1.0] * 5).outcome is PASS


def test_the_interval_of_an_early_pass_is_within_the_limit() -> None:
    found = standing(at_most(0.1, 400), [0.0] * 51)
    assert found.interval[1] <= 0.1
    assert standing(at_most(0.1, 400), [0.0] * 50).interval[1] > 0.1


def test_nothing_observed_is_open() -> None:
    found = standing(at_most(0.1, 400), [])
    assert (found.outcome, found.value, found.interval) == (None, None, (0.0, 1.0))
    assert found.reason == "no data, limit at most 0.1"


# At the end


def spread(hits: int, n: int) -> list[float | None]:
    """Hits at even distances, one at the start, so that nothing is clear before the end."""
    places = {i * n // hits for i in range(hits)}
    return [float(i in places) for i in range(n)]


@pytest.mark.parametrize(("hits", "outcome"), [(5, PASS), (6, INCONCLUSIVE), (13, INCONCLUSIVE)])
def test_the_last_prompt_brings_the_verdict_of_the_ordinary_gate(hits: int, outcome: Outcome) -> None:
    limit = SequentialLimit("max", 0.2, order(56))
    values = spread(hits, 56)
    found = standing(limit, values, futility=0)
    ordinary = clustered_rate({f"p{i}": [value] for i, value in enumerate(values)})
    assert ordinary.interval is not None
    assert (ordinary.interval[1] <= 0.2) == (outcome is PASS)
    assert found.outcome is outcome
    assert found.at_end
    assert found.interval == pytest.approx(ordinary.interval)
    said = "decided at the end" if outcome is PASS else "not decided"
    assert found.reason.endswith(f"after 56 of 56 prompts, limit at most 0.2: {said}")


def test_before_the_last_prompt_the_ordinary_interval_does_not_count() -> None:
    assert standing(SequentialLimit("max", 0.2, order(56)), spread(5, 55), futility=0).outcome is None


def test_a_failure_at_the_end_is_corrected_over_the_limits() -> None:
    # 12 of 30 against 0.2: exact lower end 0.227 at 95%, below 0.2 at 99.5%. The hits come late, so that
    # nothing is clear before.
    values = {prompt: [float(i >= 18)] for i, prompt in enumerate(order(30))}
    one = SequentialGate({0: at_most(0.2, 30)}, futility=0)
    ten = SequentialGate({i: at_most(0.2, 30) for i in range(10)}, futility=0)
    for gate in (one, ten):
        gate.observe({0: values})
    assert one.outcome is FAIL
    assert one.standing(0).at_end
    assert ten.outcomes[0] is INCONCLUSIVE


def test_fractions_are_not_decided_by_the_interval_at_the_end() -> None:
    found = standing(SequentialLimit("max", 0.2, order(20)), [0.1] * 20)
    assert (found.outcome, found.at_end) == (INCONCLUSIVE, False)
    assert found.reason.endswith("not decided")


# Several limits


def test_a_failure_must_be_clear_over_all_limits() -> None:
    values = {prompt: [1.0] for prompt in order(3)}
    five = SequentialGate({i: at_most(0.1, 400) for i in range(5)})
    five.observe({0: values})
    assert five.outcome is None
    five.observe({0: {"p003": [1.0]}})
    assert five.outcomes[0] is FAIL
    assert five.outcome is FAIL  # while the others are open


def test_holm_asks_less_of_the_next_limit() -> None:
    """Three hits are evidence of 96. Of three limits the first needs 3 x 40, the next one 2 x 40."""
    alone = SequentialGate({key: at_most(0.1, 400) for key in "abc"})
    both = SequentialGate({key: at_most(0.1, 400) for key in "abc"})
    weak = {prompt: [1.0] for prompt in order(3)}
    strong = {prompt: [1.0] for prompt in order(9)}
    alone.observe({"b": weak})
    both.observe({"a": strong, "b": weak})
    assert alone.outcomes["b"] is None
    assert both.outcomes == {"a": FAIL, "b": FAIL, "c": None}


def test_a_pass_needs_all_limits() -> None:
    gate = SequentialGate({"a": at_most(0.1, 60), "b": at_most(0.1, 60)})
    clear = {prompt: [0.0] for prompt in order(60)}
    gate.observe({"a": clear})
    assert gate.outcomes == {"a": PASS, "b": None}
    assert gate.settled(["a"])
    assert not gate.settled()
    assert gate.outcome is None
    gate.observe({"b": clear})
    assert gate.outcome is PASS


def test_an_undecided_limit_makes_the_gate_inconclusive() -> None:
    gate = SequentialGate({"a": at_most(0.1, 60), "b": at_most(0.2, 10)})
    gate.observe({"a": {p: [0.0] for p in order(60)}, "b": {p: [0.0] for p in order(10)}})
    assert gate.outcomes == {"a": PASS, "b": INCONCLUSIVE}
    assert gate.outcome is INCONCLUSIVE
    assert gate.settled()


@pytest.mark.parametrize("n_samples", [1, 25])
def test_gate_at_its_limits_errs_seldom(n_samples: int) -> None:
    """Rates at three limits: five failed runs of a hundred at most, over all looks and limits."""
    rng = np.random.default_rng(7)
    failed = 0
    for _ in range(200):
        gate = SequentialGate({limit: at_most(limit, 100) for limit in (0.05, 0.1, 0.2)})
        block = {}
        for limit in (0.05, 0.1, 0.2):
            own = rng.beta(limit * 2 / 3, (1 - limit) * 2 / 3, 100) if n_samples > 1 else np.full(100, limit)
            means = rng.binomial(n_samples, own) / n_samples
            block[limit] = {p: PromptValue(float(m), n_samples, 0) for p, m in zip(order(100), means, strict=True)}
        gate.observe_prompts(block)
        failed += gate.outcome is FAIL
    assert failed <= 10


# Giving up


def test_a_limit_at_its_rate_is_given_up_before_the_pool_is_used_up() -> None:
    values: list[float | None] = [float(i % 5 == 0) for i in range(200)]
    assert standing(at_most(0.2, 220), values).outcome is INCONCLUSIVE
    assert standing(at_most(0.2, 220), values, futility=0).outcome is None
    assert standing(at_most(0.2, 220), values).reason.endswith("the remaining prompts are unlikely to decide it")


def test_more_prompts_may_still_decide_what_was_given_up() -> None:
    values: list[float | None] = [float(i % 5 == 0) for i in range(200)]
    limit = at_most(0.2, 300)
    gate = fed(limit, values, futility=0.9)
    assert gate.outcomes["it"] is INCONCLUSIVE
    gate.observe({"it": {prompt: [1.0] for prompt in limit.prompts[200:]}})
    assert gate.outcomes["it"] is FAIL


# Order and blocks


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_outcome_depends_on_the_planned_order_alone(random: object, size: int) -> None:
    """Prompts that come back in another order, in blocks of another size, give the same standing."""
    rng = np.random.default_rng(2)
    limit = at_most(0.2, 120)
    values = {prompt: [float(hit)] for prompt, hit in zip(limit.prompts, rng.random(90) < 0.15, strict=False)}
    one = SequentialGate({"it": limit})
    one.observe({"it": values})
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = SequentialGate({"it": limit})
    for start in range(0, len(shuffled), size):
        other.observe({"it": {prompt: values[prompt] for prompt in shuffled[start : start + size]}})
    assert other.standing("it") == one.standing("it")


def test_prompts_ahead_of_the_order_wait() -> None:
    gate = SequentialGate({"it": at_most(0.1, 100)})
    gate.observe({"it": {prompt: [1.0] for prompt in order(100)[1:]}})
    assert gate.standing("it").n_prompts == 0
    gate.observe({"it": {"p000": [1.0]}})
    assert gate.standing("it").n_prompts == 100


def test_random_order_is_a_function_of_the_ids_and_the_seed() -> None:
    ids = order(50)
    assert random_order(reversed(ids), seed=1) == random_order(ids, seed=1)
    assert random_order(ids, seed=1) != random_order(ids, seed=2)
    assert sorted(random_order(ids, seed=1)) == list(ids)


# Samples, unscored and reduced


def test_samples_of_a_prompt_count_once() -> None:
    gate = SequentialGate({"it": at_most(0.1, 400)})
    gate.observe({"it": {prompt: [0.0] * 25 for prompt in order(50)}})
    found = gate.standing("it")
    assert (found.outcome, found.n_prompts, found.n_samples) == (None, 50, 1250)


def test_statistic_reduces_the_samples_of_a_prompt() -> None:
    gate = SequentialGate({"it": at_most(0.1, 400, statistic=prompt_any)})
    gate.observe({"it": {prompt: [0.1, 0.9, None] for prompt in order(3)}})
    found = gate.standing("it")
    assert (found.outcome, found.value) == (FAIL, 1.0)
    assert (found.n_samples, found.n_unscored) == (6, 3)


def test_too_many_unscored_samples_are_no_pass() -> None:
    limit = at_most(0.1, 400)
    values: list[float | None] = [0.0] * 57 + [None] * 3
    assert standing(limit, values).outcome is PASS
    found = standing(limit, [*values, None])
    assert found.outcome is None
    assert found.reason.endswith("but 4 of 61 samples are unscored: open")


def test_too_many_unscored_samples_may_still_fail() -> None:
    assert standing(at_most(0.1, 400), [None, 1.0, 1.0, None, 1.0]).outcome is FAIL


def test_too_many_unscored_samples_at_the_end_are_inconclusive() -> None:
    found = standing(at_most(0.1, 60), [0.0] * 54 + [None] * 6)
    assert (found.outcome, found.n_prompts, found.n_unscored) == (INCONCLUSIVE, 54, 6)


def test_prompts_that_do_not_count_are_taken_up_without_a_trace() -> None:
    """Every second prompt of the run is of another kind: the others decide as if they were alone."""
    ran, counting = order(102), set(order(102)[::2])
    gate = SequentialGate({"it": at_most(0.1, 800)})
    for block, outcome in ((ran[:100], None), (ran[100:], PASS)):
        values = [Value(prompt, "", "g", 0.0) for prompt in block if prompt in counting]
        gate.observe_prompts({"it": from_values(values, prompts=block)})
        assert gate.outcomes["it"] is outcome
    found = gate.standing("it")
    assert (found.n_prompts, found.n_samples, found.n_unscored) == (51, 51, 0)
    assert "after 102 of 800 prompts (51 with a value)" in found.reason


def test_a_forecast_takes_the_rest_to_be_like_what_was_seen() -> None:
    """Every second prompt has a value: 10 of 20, so the two that are left bring one, which settles nothing."""
    gate = SequentialGate({"it": at_most(0.2, 22)})
    block = {p: PromptValue(0.0, 1, 0) if i % 2 else PromptValue(None, 0, 0) for i, p in enumerate(order(20))}
    gate.observe_prompts({"it": block})
    assert gate.outcomes["it"] is INCONCLUSIVE


# What is refused


def test_a_prompt_for_the_second_time_is_refused_and_nothing_of_its_block_taken_in() -> None:
    gate = SequentialGate({"a": at_most(0.1, 400), "b": at_most(0.1, 400)})
    gate.observe({"b": {"p000": [0.0]}})
    with pytest.raises(DataError, match="p000 was observed before"):
        gate.observe({"a": {"p000": [0.0]}, "b": {"p000": [0.0]}})
    assert gate.standing("a").n_prompts == 0


def test_a_prompt_that_was_not_planned_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of the planned"):
        SequentialGate({"it": at_most(0.1, 4)}).observe({"it": {"p004": [0.0]}})


def test_an_unknown_limit_is_refused() -> None:
    gate = SequentialGate({"it": at_most(0.1, 4)})
    with pytest.raises(ConfigError, match="no limit 'that'; it watches 'it'"):
        gate.observe({"that": {}})
    with pytest.raises(ConfigError, match="no limit 'that'"):
        gate.standing("that")


@pytest.mark.parametrize("value", [-0.5, 1.5, math.nan])
def test_a_value_out_of_bounds_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"outside \[0, 1\]"):
        standing(at_most(0.1, 4), [value])


@pytest.mark.parametrize(
    ("options", "says"),
    [({"alpha": 0.0}, "alpha"), ({"alpha": math.nan}, "alpha"), ({"futility": 1.0}, "futility")],
)
def test_a_gate_of_impossible_numbers_is_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SequentialGate({"it": at_most(0.1, 4)}, **options)


def test_a_gate_without_limits_is_refused() -> None:
    with pytest.raises(ConfigError, match="no limit"):
        SequentialGate({})


@pytest.mark.parametrize(
    ("limit", "options", "says"),
    [
        (6.0, {}, "wait for the end"),
        (0.1, {"max_unscored": -1.0}, "max_unscored"),
        (0.1, {"prompts": ()}, "at least one"),
        (0.1, {"prompts": ("a", "a")}, "once"),
    ],
)
def test_a_limit_of_impossible_numbers_is_refused(limit: float, options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        at_most(limit, 4, **options)
