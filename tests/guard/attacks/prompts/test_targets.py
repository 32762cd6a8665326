"""Targets: a model, the same behind its guard, and outputs that could not be had."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guard.attacks.prompts.targets import GeneratorTarget, GuardTarget
from guard.errors import FilterError
from guard.filters.callable import CallableFilter
from guard.generators.failures import GenerationFailure, OutputMissingError
from guard.generators.scripted import ScriptedGenerator
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action

POLICY = Policy(
    "small", {("input", "rude"): (0.5, Action.BLOCK), ("output", "rude"): (0.5, Action.BLOCK)}, message="No."
)


def rude(text: str) -> float:
    if "broken" in text:
        raise FilterError("the filter is broken")
    return float("darn" in text)


class Choosy:
    """A generator that has no output for some prompts."""

    name = "choosy@1"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        if any("too long" in prompt for prompt in prompts):
            failure = GenerationFailure("too_long", "it does not fit")
            raise OutputMissingError("one prompt does not fit", failure)
        return [prompt.upper() for prompt in prompts]


def guarded(generator: object) -> GuardTarget:
    filter_ = CallableFilter(rude, categories=["rude"])
    return GuardTarget(Guard(generator, POLICY, inputs=[filter_], outputs=[filter_]), name="x")  # type: ignore[arg-type]


def test_a_model_answers_with_the_seed_of_each_prompt() -> None:
    target = GeneratorTarget(ScriptedGenerator(lambda prompt, seed: f"{prompt}/{seed}"))
    assert [one.text for one in target.answer(["a", "b"], [3, 4])] == ["a/3", "b/4"]
    assert target.name.startswith("model:scripted@")


def test_a_guard_tells_what_it_blocked_and_what_it_could_not_check() -> None:
    target = guarded(ScriptedGenerator(lambda prompt, seed: f"echo {prompt}"))
    fine, blocked, broken = target.answer(["hello", "darn", "broken"], [0, 0, 0])
    assert (fine.text, fine.action, fine.error) == ("echo hello", Action.ALLOW, None)
    assert (blocked.text, blocked.action, blocked.error) == ("No.", Action.BLOCK, None)
    assert broken.error is not None


@pytest.mark.parametrize("target", [GeneratorTarget(Choosy()), guarded(Choosy())])
def test_an_output_that_cannot_be_had_costs_its_neighbours_nothing(target: GeneratorTarget | GuardTarget) -> None:
    answers = target.answer(["hello", "too long", "bye"], [0, 1, 2])
    assert [one.text for one in answers] == ["HELLO", None, "BYE"]
    assert answers[1].error == "too_long: it does not fit"
