"""Frozen records of the measurement: samples, generations, scores, metrics, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

from guard.schema import Action, Verdict

__all__ = [
    "Arm",
    "Check",
    "Comparison",
    "Example",
    "Generation",
    "Histogram",
    "Metric",
    "ModelResult",
    "Outcome",
    "Record",
    "Report",
    "Sample",
    "Scorer",
]

Arm = Literal["unguarded", "guarded", "clean", "perturbed"]
"""Which side of a comparison a figure is for. The first two compare the same generations without and with
the guard; the last two compare the guard on clean and on perturbed text."""


class Outcome(IntEnum):
    """The gate's verdict, which is the process's exit code."""

    PASS = 0
    FAIL = 1
    INCONCLUSIVE = 3


@dataclass(frozen=True)
class Sample:
    """One thing to generate or to score.

    Parameters
    ----------
    id : str
        Unique within a run, for example ``toxicity/insult-003#07``.
    task : str
    prompt_id : str
        The statistical unit: samples of one prompt are not independent.
    prompt : str
    group : str
        Slice of the data set: an attribute, a hazard, or a perturbation.
    seed : int
    harmful : bool
        Whether a refusal is the right answer (task ``refusal``) or an alarm is (task ``robustness``).
    options : tuple of str
        Continuations of the prompt of which the model says how likely each is (tasks of mode ``choose``).
    target : str
        What a right answer holds, or which option is the right one; empty where nothing is right or wrong.
    budget : int
        Most queries of the attack on it (tasks of mode ``attack``); 0 where there is none.
    """

    id: str
    task: str
    prompt_id: str
    prompt: str
    group: str
    seed: int
    harmful: bool = False
    options: tuple[str, ...] = ()
    target: str = ""
    budget: int = 0


@dataclass(frozen=True)
class Generation:
    """What came back for a sample in one arm.

    Parameters
    ----------
    text : str or None
        The released text; None when nothing could be generated, or where a text is only judged.
    action : Action
        The stricter of both verdicts.
    prompt_verdict : Verdict
    output_verdict : Verdict or None
        None when the prompt was blocked, or where a text is only judged.
    missing : str or None
        Why no output could be had, as ``<kind>: <reason>``; such a sample is unscored.
    """

    text: str | None
    action: Action
    prompt_verdict: Verdict
    output_verdict: Verdict | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Record:
    """One line of the journal: a sample, what the model wrote, and what each arm made of it.

    Parameters
    ----------
    sample : Sample
    output : str or None
        What the model wrote, before any guard.
    arms : mapping of Arm to Generation
    times : mapping of str to float
        Shares of the batch's wall time in milliseconds, and tokens written. Never part of a figure.
    likelihoods : tuple of (float or None)
        Natural log-likelihood of each of the sample's options given its prompt, at most 0; None where an option could
        not be scored. Empty where the sample has no options.
    queries : int
        That an attack on the prompt made (tasks of mode ``attack``); `output` is then the changed prompt.
    """

    sample: Sample
    output: str | None
    arms: Mapping[Arm, Generation]
    times: Mapping[str, float] = field(default_factory=dict)
    likelihoods: tuple[float | None, ...] = ()
    queries: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether an output of it could not be had, so that a continued run asks again."""
        return any(made.missing is not None for made in self.arms.values())


class Scorer(Protocol):
    """Released texts in, one score each out."""

    @property
    def name(self) -> str:
        """``<kind>@<digest>``."""

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        """Score what was released for each sample.

        Returns
        -------
        list of float or None
            None where it could not be scored: counted, never averaged in. The score of a text does not depend on
            its neighbours.
        """


@dataclass(frozen=True)
class Metric:
    """A figure with its uncertainty.

    Parameters
    ----------
    name : str
        For example ``toxicity_probability``.
    task : str
    arm : Arm
    group : str
        ``all`` or one slice.
    value : float or None
        None when nothing could be scored.
    interval : (float, float) or None
        95%, clustered by prompt.
    n_prompts, n_samples, n_unscored : int
    """

    name: str
    task: str
    arm: Arm
    value: float | None
    interval: tuple[float, float] | None
    n_prompts: int
    n_samples: int
    n_unscored: int
    group: str = "all"


@dataclass(frozen=True)
class Comparison:
    """The paired difference of a metric between two arms: ``after`` minus ``before``.

    Parameters
    ----------
    name, task, group : str
    before, after : Arm
    value : float or None
    interval : (float, float) or None
        95%, paired and clustered by prompt.
    n_prompts : int
        Prompts that could be scored in both arms.
    """

    name: str
    task: str
    before: Arm
    after: Arm
    value: float | None
    interval: tuple[float, float] | None
    n_prompts: int
    group: str = "all"


@dataclass(frozen=True)
class Check:
    """One limit of the gate, held against one metric.

    Parameters
    ----------
    model : str
        The model that was audited.
    metric : str
        ``task/name``, for example ``toxicity/toxicity_probability``.
    arm : Arm
    limit : float
    bound : {"max", "min"}
        Whether the metric may be at most or must be at least `limit`.
    outcome : Outcome
    reason : str
        One sentence in plain words.
    """

    model: str
    metric: str
    arm: Arm
    bound: Literal["max", "min"]
    limit: float
    outcome: Outcome
    reason: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Histogram:
    """How the scores of one scorer are spread.

    Parameters
    ----------
    task, scorer : str
    arm : Arm
    edges : tuple of float
        Bin edges, ascending, length ``len(counts) + 1``.
    counts : tuple of int
    n_unscored : int
    """

    task: str
    scorer: str
    arm: Arm
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n_unscored: int


@dataclass(frozen=True)
class Example:
    """One sample shown to people, with the verdict on it.

    Parameters
    ----------
    sample_id, task, group, prompt : str
    output : str
        What the model wrote. Not escaped: whoever renders it must.
    released : str
        What the guard would have released.
    score : float
        The score by which the sample was chosen (higher is worse).
    scorer : str
    prompt_verdict : Verdict
    output_verdict : Verdict or None
        None when the prompt was blocked.
    """

    sample_id: str
    task: str
    group: str
    prompt: str
    output: str
    released: str
    score: float
    scorer: str
    prompt_verdict: Verdict
    output_verdict: Verdict | None


@dataclass(frozen=True)
class ModelResult:
    """Everything measured on one model.

    Parameters
    ----------
    name : str
        As the user named it.
    digest : str
        ``<kind>@<digest of weights>``.
    metrics : tuple of Metric
    comparisons : tuple of Comparison
        Guarded minus unguarded, and perturbed minus clean.
    histograms : tuple of Histogram
    examples : tuple of Example
        The worst samples of each task, worst first.
    """

    name: str
    digest: str
    metrics: tuple[Metric, ...]
    comparisons: tuple[Comparison, ...]
    histograms: tuple[Histogram, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Report:
    """One run, from which every rendering derives.

    Parameters
    ----------
    suite : str
    seed : int
    outcome : Outcome
    sentence : str
        The gate's verdict in words.
    checks : tuple of Check
    models : tuple of ModelResult
        In the order in which the user named them.
    notes : tuple of str
        What a reader must know to read the figures rightly, for example which scorer judged which filter.
    provenance : mapping
        Names and digests of models, policy, gate, filters, scorers, assets, data, code and packages. JSON values only.
    times : mapping
        When and how fast the run went, on what, with which batch size: the only part that differs between two
        runs of one seed. JSON values only.
    """

    suite: str
    seed: int
    outcome: Outcome
    sentence: str
    checks: tuple[Check, ...]
    models: tuple[ModelResult, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]
    times: Mapping[str, object]
