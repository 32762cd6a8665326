"""The table of tasks: from a name in a suite to its settings and its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evals.tasks import (
    attack,
    bias_choices,
    bias_open,
    bias_pairs,
    bias_swaps,
    chinese,
    injection,
    invariance,
    jailbreak,
    memorisation,
    own,
    privacy,
    quality,
    refusal,
    robustness,
    toxicity,
)
from evals.tasks.task import PlannedTask, Resources

__all__ = ["TASKS", "TaskKind"]


@dataclass(frozen=True)
class TaskKind:
    """A kind of task.

    Parameters
    ----------
    settings : type
        Frozen dataclass of int, float and str with defaults: the keys of the suite's table.
    plan : callable
        From settings and resources to the task, ready to run.
    chooses : bool
        Whether the model must say how likely a text is.
    """

    settings: type[Any]
    plan: Callable[[Any, Resources], PlannedTask]
    chooses: bool = False


TASKS: Mapping[str, TaskKind] = {
    "toxicity": TaskKind(toxicity.ToxicitySettings, toxicity.plan),
    "refusal": TaskKind(refusal.RefusalSettings, refusal.plan),
    "quality": TaskKind(quality.QualitySettings, quality.plan),
    "toxicity_zh": TaskKind(chinese.ChineseToxicitySettings, chinese.plan_toxicity),
    "refusal_zh": TaskKind(chinese.ChineseRefusalSettings, chinese.plan_refusal),
    "robustness": TaskKind(robustness.RobustnessSettings, robustness.plan),
    "attack": TaskKind(attack.AttackSettings, attack.plan),
    "jailbreak": TaskKind(jailbreak.JailbreakSettings, jailbreak.plan),
    "injection": TaskKind(injection.InjectionSettings, injection.plan),
    "privacy": TaskKind(privacy.PrivacySettings, privacy.plan),
    "memorisation": TaskKind(memorisation.MemorisationSettings, memorisation.plan),
    "invariance": TaskKind(invariance.InvarianceSettings, invariance.plan),
    "bias_choices": TaskKind(bias_choices.BiasChoicesSettings, bias_choices.plan, chooses=True),
    "bias_pairs": TaskKind(bias_pairs.BiasPairsSettings, bias_pairs.plan, chooses=True),
    "bias_swaps": TaskKind(bias_swaps.BiasSwapsSettings, bias_swaps.plan),
    "bias_open": TaskKind(bias_open.BiasOpenSettings, bias_open.plan),
    "own": TaskKind(own.OwnSettings, own.plan),
}
"""In the order in which they run."""
