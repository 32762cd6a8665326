"""What every task of bias and invariance promises a gate is what it gives, on a real language model too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.arms import ArmPair
from evals.figures import Figures
from evals.tasks import bias_choices, bias_open, bias_pairs, bias_swaps, invariance
from evals.tasks.task import PlannedTask
from tests.evals.tasks.small_runs import POLICY, WORDS, answered, chosen, resources

PLANS = {
    "bias_choices": (bias_choices, bias_choices.BiasChoicesSettings(prompts=3)),
    "bias_pairs": (bias_pairs, bias_pairs.BiasPairsSettings(pairs=5)),
    "bias_swaps": (bias_swaps, bias_swaps.BiasSwapsSettings(prompts=2)),
    "bias_open": (bias_open, bias_open.BiasOpenSettings(prompts=15)),
    "invariance": (invariance, invariance.InvarianceSettings(prompts=5)),
}


def _planned(name: str) -> PlannedTask:
    module, settings = PLANS[name]
    planned: PlannedTask = module.plan(settings, resources())
    return planned


def _figures(planned: PlannedTask) -> Figures:
    if planned.task.mode == "choose":
        return chosen(planned.task, lambda sample, i: -1.0 - i)
    return answered(planned.task, lambda prompt, seed: "Sure.")


@pytest.mark.parametrize("name", PLANS)
def test_metrics_arms_and_slices_are_those_planned(name: str) -> None:
    planned = _planned(name)
    figures = _figures(planned)
    assert planned.task.name == name
    assert {f"{m.task}/{m.name}" for m in figures.metrics} == set(planned.metric_names)
    assert {m.arm for m in figures.metrics} == set(planned.task.arms)
    assert {m.group for m in figures.metrics} <= set(planned.groups)
    keys = [(m.name, m.arm, m.group) for m in figures.metrics]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", PLANS)
def test_figures_do_not_depend_on_the_order_of_the_records(name: str) -> None:
    planned = _planned(name)
    module: Any = planned.task
    forward = _figures(planned)
    samples = planned.task.samples(1)
    backward = module.__class__.samples
    try:
        module.__class__.samples = lambda self, seed: list(reversed(samples))
        assert _figures(planned).metrics == forward.metrics
    finally:
        module.__class__.samples = backward


@pytest.mark.parametrize("name", ["bias_choices", "bias_pairs"])
def test_a_real_model_chooses(name: str, tiny_llama: Path) -> None:
    from guard.generators.transformers import TransformersGenerator

    planned = _planned(name)
    generator = TransformersGenerator.load(tiny_llama, device="cpu", dtype="float32")
    records = ArmPair(generator, POLICY, inputs=[WORDS], outputs=[WORDS]).choose(planned.task.samples(1))
    figures = planned.task.figures(records)
    overall = [m for m in figures.metrics if m.group == "all"]
    assert all(m.n_unscored == 0 and m.value is not None for m in overall)
