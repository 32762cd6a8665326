"""From a suite to tasks: the prompts of each, the scorers of each, and what a reader must know about both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.datasets import Prompt, benign_requests, do_not_answer, harmbench, real_toxicity_prompts
from evals.perturb import PERTURBATIONS
from evals.runner import Task
from evals.schema import Scorer
from evals.scorers.category import CategoryScorer
from evals.suite import Suite
from evals.tasks.quality import QualityTask
from evals.tasks.refusal import RefusalTask
from evals.tasks.robustness import RobustnessTask
from evals.tasks.toxicity import ToxicityTask
from guard.schema import Filter

__all__ = ["AssetPath", "PlannedTask", "independence_notes", "plan_tasks"]

AssetPath = Callable[[str], Path]
"""From the name of an asset to where it lies."""

_MISUSE = "malicious_uses"
"""The risk area of Do-Not-Answer whose every question should be turned down; others may get a careful answer."""


@dataclass(frozen=True)
class PlannedTask:
    """A task with what its report must name.

    Parameters
    ----------
    task : Task
    prompts : sequence of Prompt
        All from which samples are drawn.
    scorers : tuple of str
    metrics : tuple of str
        ``task/name`` of each metric that it will give.
    assets : tuple of str
    """

    task: Task
    prompts: Sequence[Prompt]
    scorers: tuple[str, ...]
    metrics: tuple[str, ...]
    assets: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms of its metrics."""
        return ("unguarded", "guarded") if self.task.generates else ("clean", "perturbed")

    @property
    def groups(self) -> tuple[str, ...]:
        """The slices that its metrics may have."""
        own = {prompt.group for prompt in self.prompts} if self.task.generates else set(PERTURBATIONS)
        return ("all", *sorted(own))


def plan_tasks(
    suite: Suite,
    *,
    asset: AssetPath,
    toxicity: Callable[[], Filter[str]],
    refusal: Callable[[], Filter[str]],
    perplexity: Callable[[str], Scorer],
    own_prompts: Sequence[Prompt] | None = None,
) -> list[PlannedTask]:
    """Return the tasks of a suite, ready to run; nothing is loaded for a task that does not run.

    Parameters
    ----------
    suite : Suite
    asset : callable
    toxicity, refusal : callable
        Make the judges of those categories.
    perplexity : callable
        From the name of a reference model to its scorer.
    own_prompts : sequence of Prompt, optional
        The user's, in place of RealToxicityPrompts.
    """
    planned = []
    if suite.toxicity:
        scorer = CategoryScorer(toxicity(), "toxicity")
        prompts = own_prompts or real_toxicity_prompts(folder=asset("rtp-prompts"))
        task = ToxicityTask(prompts, suite.toxicity, scorer)
        planned.append(_planned(task, prompts, scorer.name, () if own_prompts else ("rtp-prompts",), _TOXICITY))
    if suite.refusal:
        scorer = CategoryScorer(refusal(), "refusal")
        harmful, benign = _harmful(asset), benign_requests()
        refusals = RefusalTask(harmful, benign, suite.refusal, scorer)
        planned.append(_planned(refusals, refusals.prompts, scorer.name, _HARMFUL_ASSETS, _REFUSAL))
    if suite.quality:
        reference = perplexity(suite.quality.reference)
        plain = [prompt for prompt in benign_requests() if prompt.group == "plain"]
        planned.append(_planned(QualityTask(plain, suite.quality, reference), plain, reference.name, (), _QUALITY))
    if suite.robustness:
        robustness = RobustnessTask(_harmful(asset), benign_requests(), suite.robustness)
        planned.append(_planned(robustness, robustness.prompts, "the guard's verdict", _HARMFUL_ASSETS, _ROBUSTNESS))
    return planned


_TOXICITY = ("toxicity_probability", "expected_maximum_toxicity", "toxic_share")
_REFUSAL = ("missed_refusal", "over_refusal")
_QUALITY = ("perplexity_bits_per_char", "distinct_1", "distinct_2", "distinct_3", "repetition")
_ROBUSTNESS = ("recall", "false_alarm")
_HARMFUL_ASSETS = ("harmbench", "donotanswer")


def _planned(
    task: Task, prompts: Sequence[Prompt], scorer: str, assets: tuple[str, ...], metrics: tuple[str, ...]
) -> PlannedTask:
    return PlannedTask(task, prompts, (scorer,), tuple(f"{task.name}/{name}" for name in metrics), assets)


def _harmful(asset: AssetPath) -> list[Prompt]:
    """Gather requests that should be turned down, none of which the shipped encoder was trained on."""
    misuse = [prompt for prompt in do_not_answer(folder=asset("donotanswer")) if prompt.group == _MISUSE]
    return [*harmbench(folder=asset("harmbench")), *misuse]


def independence_notes(planned: Sequence[PlannedTask], filters: Sequence[Filter[str]]) -> list[str]:
    """Say in plain words which scorer is one of the filters that it judges, and which is not."""
    guards = {filter_.name for filter_ in filters}
    notes = []
    for one in planned:
        for scorer in one.scorers:
            if scorer in guards:
                notes.append(
                    f"Task {one.task.name}: the scorer {scorer} is also a filter of the guard, so the guarded figures"
                    " are too good: it judges its own decisions. Name another with --scorer."
                )
            elif one.task.name in ("toxicity", "refusal"):
                notes.append(f"Task {one.task.name}: judged by {scorer}, which is not one of the guard's filters.")
    if any(one.task.name == "robustness" for one in planned):
        ways = ", ".join(PERTURBATIONS)
        notes.append(f"Task robustness measures the guard's input filters, not the model; perturbations: {ways}.")
    return notes
