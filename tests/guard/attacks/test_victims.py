from __future__ import annotations

import numpy as np
import pytest

from guard.attacks.constraints.modifiable import NotTwice
from guard.attacks.engine import run_attack
from guard.attacks.goals import Untargeted
from guard.attacks.schema import Example, Victim
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.attacks.victims import FilterVictim, VerdictVictim
from guard.errors import ConfigError, FilterError
from guard.filters.callable import CallableFilter
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action
from tests.guard.attacks.word_victim import SwapTo, WordVictim


def rudeness(text: str) -> float:
    return float(WordVictim().probabilities([text])[0, 1])


RUDE = CallableFilter(rudeness, categories=["rude"])


def guard(threshold: float = 0.7) -> Guard:
    policy = Policy("polite", {("input", "rude"): (threshold, Action.BLOCK), ("output", "rude"): (0.1, Action.REVIEW)})
    return Guard(None, policy, inputs=[RUDE], outputs=[RUDE])


def test_filter_as_a_victim() -> None:
    victim = FilterVictim(RUDE)
    assert isinstance(victim, Victim)
    assert victim.labels == ("not rude", "rude")
    assert victim.name == f"{RUDE.name}#rude"
    found = victim.probabilities(["awful", "fine", ""])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[:, 1], [rudeness(text) for text in ("awful", "fine", "")], rtol=1e-6)


def test_category_must_be_told_apart() -> None:
    both = CallableFilter(lambda text: {"a": 0.2, "b": 0.9}, categories=["a", "b"])
    assert FilterVictim(both, "b").probabilities(["x"])[0].tolist() == pytest.approx([0.1, 0.9])
    with pytest.raises(ConfigError, match="name the category"):
        FilterVictim(both)
    with pytest.raises(ConfigError, match="does not score 'c'"):
        FilterVictim(both, "c")


def test_filter_that_fails_is_no_success() -> None:
    def broken(text: str) -> float:
        raise ValueError("no")

    with pytest.raises(FilterError):
        FilterVictim(CallableFilter(broken, categories=["x"])).probabilities(["a"])


@pytest.mark.parametrize(("threshold", "status"), [(0.9, "skipped"), (0.7, "succeeded"), (0.6, "failed")])
def test_attack_goes_by_the_threshold(threshold: float, status: str) -> None:
    # "awful" has 0.88, "bad" 0.73, "poor" 0.62.
    chain = SwapTo({"awful": ("poor",)})
    attack = Attack("swaps", Untargeted(threshold), (chain,), GreedyByImportance(), (NotTwice(),))
    (attempt,) = run_attack(attack, FilterVictim(RUDE), [Example("a", "an awful day", 1)])
    assert attempt.status == status
    assert attempt.label_after == (1 if status == "failed" else 0)


def test_guard_as_a_victim() -> None:
    victim = VerdictVictim.of_guard(guard(), name="polite@1")
    assert isinstance(victim, Victim)
    assert victim.labels == ("allowed", "blocked")
    texts = ["awful", "bad", "poor", "fine"]
    found = victim.probabilities(texts)[:, 1]
    assert (found >= 0.5).tolist() == [
        verdict.action is Action.BLOCK for verdict in guard().check(texts, stage="input")
    ]
    assert found.tolist() == sorted(found, reverse=True)
    np.testing.assert_allclose(found[3], 0.5 * rudeness("fine") / 0.7, rtol=1e-6)
    attack = Attack("swaps", Untargeted(), (SwapTo({"awful": ("poor", "bad")}),), GreedyByImportance())
    (attempt,) = run_attack(attack, victim, [Example("a", "an awful day", 1)])
    assert (attempt.status, attempt.perturbed) == ("succeeded", "an poor day")


def test_guard_whose_filter_fails_stays_blocked() -> None:
    def broken(text: str) -> float:
        raise ValueError("no")

    policy = Policy("strict", {("input", "x"): (0.5, Action.BLOCK)})
    failing = Guard(None, policy, inputs=[CallableFilter(broken, categories=["x"])], outputs=[])
    assert VerdictVictim.of_guard(failing, name="strict").probabilities(["a"])[0].argmax() == 1


def test_guard_that_blocks_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="blocks nothing"):
        VerdictVictim.of_guard(guard(), name="polite", stage="output")


def test_names_tell_thresholds_and_stages_apart() -> None:
    names = {VerdictVictim.of_guard(guard(threshold), name="g").name for threshold in (0.6, 0.7)}
    assert len(names) == 2
    assert all(name.startswith("g/input#") for name in names)
