"""Contract 2: a score that is no score is refused, and raising a score never lowers the action."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.certificate import Certificate
from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.schema import Action

CATEGORIES = ("a", "b", "c")
UNIT = st.floats(0.0, 1.0)
RULES = st.dictionaries(
    st.tuples(st.sampled_from(["input", "output"]), st.sampled_from(CATEGORIES)),
    st.tuples(UNIT, st.sampled_from(Action)),
)
SCORES = st.fixed_dictionaries(dict.fromkeys(CATEGORIES, UNIT))


@given(RULES, SCORES, st.sampled_from(CATEGORIES), UNIT, st.sampled_from(["input", "output"]))
def test_raising_a_score_never_lowers_the_action(rules, scores, category, other, stage) -> None:  # type: ignore[no-untyped-def]
    policy = Policy("any", rules)
    low, high = sorted((scores[category], other))
    before = policy.decide({**scores, category: low}, stage)
    after = policy.decide({**scores, category: high}, stage)
    assert before.action <= after.action
    assert set(before.triggered) <= set(after.triggered)


@given(RULES, SCORES, st.sampled_from(["input", "output"]))
def test_action_is_the_strictest_of_the_rules_that_fire(rules, scores, stage) -> None:  # type: ignore[no-untyped-def]
    fired = {c: rules[stage, c] for c in CATEGORIES if (stage, c) in rules and scores[c] >= rules[stage, c][0]}
    verdict = Policy("any", rules).decide(scores, stage)
    assert verdict.action == max([action for _, action in fired.values()], default=Action.ALLOW)
    assert set(verdict.triggered) == set(fired)
    margins = [scores[c] - fired[c][0] for c in verdict.triggered]
    assert margins == sorted(margins, reverse=True)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.001, 1.001])
@pytest.mark.parametrize("category", ["a", "unruled"])
def test_impossible_score_is_refused(score: float, category: str) -> None:
    policy = Policy("any", {("input", "a"): (0.5, Action.BLOCK)})
    with pytest.raises(FilterError, match=f"score of {category} is .*: expected a number in"):
        policy.decide({"a": 0.0, category: score}, "input")


VALUES = st.sampled_from(
    [
        "0",
        "1",
        "0.5",
        "-1",
        "nan",
        "inf",
        "true",
        "''",
        "'block'",
        "'miss'",
        "[]",
        "['a']",
        "{}",
        "{a = 1}",
        "1979-05-27",
    ]
)
KEYS = ["name", "on_error", "message", "filter_timeout_s", "regenerations", "regenerate_note", "on_error_for", "input"]
RULE_KEYS = ["threshold", "action", "notice", "certificate"]
CERTIFICATE_KEYS = [field.name for field in dataclasses.fields(Certificate)]


def _lines(keys: list[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(st.sampled_from(keys), VALUES).map(lambda d: "".join(f"{k} = {v}\n" for k, v in d.items()))


@given(_lines(KEYS), st.booleans(), _lines(RULE_KEYS), st.booleans(), _lines(CERTIFICATE_KEYS))
def test_any_toml_is_a_policy_or_a_config_error_of_one_line(top, rule, keys, certified, certificate) -> None:  # type: ignore[no-untyped-def]
    text = (
        top + ("[output.a]\n" + keys if rule else "") + ("[output.a.certificate]\n" + certificate if certified else "")
    )
    found, again = _parsed(text), _parsed(text)
    assert found == again
    if isinstance(found, str):
        assert "\n" not in found
        assert found.startswith("policy any.toml")
    else:
        assert len(found.digest) == 64


def _parsed(text: str) -> Policy | str:
    try:
        return Policy.parse(text.encode("utf-8"), "any.toml")
    except ConfigError as error:
        return str(error)
