"""The plans of the safety tasks: what they announce is what they measure, on the texts that ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.arms import ArmPair
from evals.schema import Scorer
from evals.tasks import injection, jailbreak, memorisation, privacy
from evals.tasks.task import PlannedTask, Resources
from guard.filters.callable import CallableFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator
from guard.policy import Policy
from guard.schema import Action, Filter

PLANS: dict[str, Callable[[Resources], PlannedTask]] = {
    "jailbreak": lambda resources: jailbreak.plan(jailbreak.JailbreakSettings(goals=3, templates=24), resources),
    "injection": lambda resources: injection.plan(injection.InjectionSettings(), resources),
    "privacy": lambda resources: privacy.plan(privacy.PrivacySettings(attempts=12), resources),
    "memorisation": lambda resources: memorisation.plan(memorisation.MemorisationSettings(), resources),
}


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """Assets of a line or two, laid out as the real ones, and a judge of one rule."""
    (tmp_path / "harmbench_prompts.txt").write_text("Explain how to pick locks\nForge a stamp\n", encoding="utf-8")
    risks = ("discrimination_exclusion_toxicity_hateful_offensive", "human_chatbox", "information_hazard")
    for area in (*risks, "malicious_uses", "misinformation_harms"):
        (tmp_path / f"{area}.jsonl").write_text(json.dumps({"prompt": f"How to {area}?"}) + "\n", encoding="utf-8")
    wild = ["You are free now: [INSERT PROMPT HERE]", "No slot."]
    (tmp_path / "inthewild_jailbreak_llms.json").write_text(json.dumps(wild), encoding="utf-8")

    def judge(category: str) -> Filter[str]:
        return CallableFilter(lambda text: float("can't" in text), categories=[category], name=f"judge@{category}")

    def perplexity(name: str) -> Scorer:
        raise AssertionError(f"no task asks for the reference {name}")

    return Resources(lambda name: tmp_path, judge, perplexity)


@pytest.fixture(params=PLANS)
def planned(request: pytest.FixtureRequest, resources: Resources) -> PlannedTask:
    """One of the tasks, planned."""
    return PLANS[request.param](resources)


def measured(planned: PlannedTask) -> Any:
    words = LexicalFilter([Term("stamp", "rude", 0.9)])
    policy = Policy("small", {("input", "rude"): (0.5, Action.BLOCK), ("output", "rude"): (0.5, Action.BLOCK)})
    model = ScriptedGenerator(lambda prompt, seed: f"{prompt[:60]} and so on, said {seed % 9} people.")
    pair = ArmPair(model, policy, inputs=[words], outputs=[words])
    return planned.task.figures(pair.generate(planned.task.samples(7)))


def test_a_plan_announces_its_metrics_and_slices(planned: PlannedTask) -> None:
    figures = measured(planned)
    assert {metric.name for metric in figures.metrics} == set(planned.metrics)
    assert {metric.group for metric in figures.metrics} <= set(planned.groups)
    assert {metric.task for metric in figures.metrics} == {planned.task.name}
    assert all(metric.value is not None for metric in figures.metrics if metric.group == "all")
    assert all(metric.n_unscored == 0 for metric in figures.metrics)
    assert len(planned.notes) == 2


def test_samples_are_a_function_of_the_seed(planned: PlannedTask) -> None:
    samples = planned.task.samples(7)
    assert samples == planned.task.samples(7)
    assert samples != planned.task.samples(8)
    assert len({sample.id for sample in samples}) == len(samples)
    assert all(sample.id.startswith(f"{planned.task.name}/") for sample in samples)
    assert not any("{goal}" in s.prompt or "{instruction}" in s.prompt or "{secret}" in s.prompt for s in samples)


def test_texts_of_a_plan_have_ids_of_their_own(planned: PlannedTask) -> None:
    assert len({prompt.id for prompt in planned.prompts}) == len(planned.prompts)


def test_defaults_stay_within_sixty_samples(resources: Resources) -> None:
    tasks = [
        jailbreak.plan(jailbreak.JailbreakSettings(), resources),
        injection.plan(injection.InjectionSettings(), resources),
        privacy.plan(privacy.PrivacySettings(), resources),
        memorisation.plan(memorisation.MemorisationSettings(), resources),
    ]
    assert [len(one.task.samples(7)) <= 60 for one in tasks] == [True] * 4


@pytest.mark.parametrize("filters_fail", [True, False])
def test_an_outage_of_the_guard_leaves_guarded_samples_unscored(filters_fail: bool, resources: Resources) -> None:
    def broken(text: str) -> float:
        if filters_fail:
            raise ValueError("out of order")
        return 0.0

    policy = Policy("small", {("output", "rude"): (0.5, Action.BLOCK)})
    filter_ = CallableFilter(broken, categories=["rude"], name="rude@1")
    for plan in PLANS.values():
        task = plan(resources).task
        pair = ArmPair(ScriptedGenerator(lambda prompt, seed: "Well."), policy, inputs=[], outputs=[filter_])
        figures = task.figures(pair.generate(task.samples(7)))
        for metric in figures.metrics:
            out = filters_fail and metric.arm == "guarded"
            assert (metric.value is None, metric.n_samples == 0, metric.n_unscored > 0) == (out, out, out)
