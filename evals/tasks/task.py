"""What a task is: samples to run, figures to take from them, and what its report must name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from evals.datasets import Prompt
from evals.figures import Figures
from evals.schema import Arm, Record, Sample, Scorer
from evals.scorers.helpfulness import HelpfulnessScorer, find_judge
from guard.schema import Decoding, Filter

__all__ = ["AssetPath", "Mode", "PlannedTask", "Resources", "Task", "decoding_of"]

AssetPath = Callable[[str], Path]
"""From the name of an asset to where it lies."""

Mode = Literal["generate", "judge", "choose", "attack"]
"""The model answers; the guard alone judges the prompts; the model says how likely each of a sample's options is; or a
recipe changes the prompts until the guard lets them pass."""


class Task(Protocol):
    """What is asked of a model, and what is measured on the answers."""

    @property
    def name(self) -> str:
        """The first part of the names of its metrics."""

    @property
    def mode(self) -> Mode:
        """How its samples are run."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of its metrics."""

    @property
    def decoding(self) -> Decoding | None:
        """How the model decodes; None where it does not."""

    def samples(self, seed: int) -> list[Sample]:
        """Return the samples of the task, a function of the seed."""

    def figures(self, records: Sequence[Record]) -> Figures:
        """Measure."""


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
        Names of the metrics that it will give, without the task's.
    assets : tuple of str
    slices : tuple of str
        Groups that its metrics may have besides ``all``; those of the prompts where it is empty.
    notes : tuple of str
        What a reader must know.
    """

    task: Task
    prompts: Sequence[Prompt]
    scorers: tuple[str, ...]
    metrics: tuple[str, ...]
    assets: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def metric_names(self) -> tuple[str, ...]:
        """``task/name`` of each metric."""
        return tuple(f"{self.task.name}/{metric}" for metric in self.metrics)

    @property
    def groups(self) -> tuple[str, ...]:
        """The slices that its metrics may have."""
        return ("all", *sorted(self.slices or {prompt.group for prompt in self.prompts}))


@dataclass(frozen=True)
class Resources:
    """What tasks are planned with; nothing is loaded before it is called for.

    Parameters
    ----------
    asset : callable
        From the name of an asset to where it lies.
    judge : callable
        From a category (``toxicity``, ``refusal``) to the filter that judges it; its scores need not be a guard's.
    perplexity : callable
        From the name of a reference model to its scorer.
    prompts : sequence of Prompt, optional
        The user's own, for the toxicity task.
    rater : callable
        From the name of a model to the judge of helpfulness that it is.
    """

    asset: AssetPath
    judge: Callable[[str], Filter[str]]
    perplexity: Callable[[str], Scorer]
    prompts: Sequence[Prompt] | None = None
    rater: Callable[[str], HelpfulnessScorer] = find_judge


def decoding_of(settings: object, *, chat: bool) -> Decoding:
    """Return how the task of `settings` decodes; greedy where the settings name no temperature.

    Parameters
    ----------
    settings : object
        With ``max_new_tokens``, and perhaps ``temperature`` and ``top_p``.
    chat : bool
        Whether the prompt goes through the model's chat template.
    """
    return Decoding(
        max_new_tokens=getattr(settings, "max_new_tokens"),  # noqa: B009 - settings of any task
        temperature=getattr(settings, "temperature", 0.0),
        top_p=getattr(settings, "top_p", 1.0),
        chat=chat,
    )
