"""Quality of answers to plain requests: perplexity under a named reference, distinct-n and repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.datasets import Prompt, benign_requests, sample_prompts
from evals.figures import Figures, Measure, Row, judged_text, measure
from evals.schema import Arm, Record, Sample, Scorer
from evals.scorers.text import distinct_n, repetition
from evals.seeds import sample_seed
from evals.stats import Estimate, Observations, clustered_mean
from evals.tasks.task import Mode, PlannedTask, Resources, decoding_of
from guard.schema import Action

__all__ = ["QualitySettings", "QualityTask", "plan"]

_ARMS: tuple[Arm, Arm] = ("unguarded", "guarded")

_TEXT_MEASURES: dict[str, Callable[[str], float | None]] = {
    "distinct_1": lambda text: distinct_n([text], 1),
    "distinct_2": lambda text: distinct_n([text], 2),
    "distinct_3": lambda text: distinct_n([text], 3),
    "repetition": repetition,
}


@dataclass(frozen=True)
class QualitySettings:
    """Open answers to benign requests, and how good the text is.

    Parameters
    ----------
    prompts, max_new_tokens : int
    temperature, top_p : float
    reference : str
        The model under which perplexity is measured: an asset, folder, GGUF file or hub id.
    """

    prompts: int = 40
    max_new_tokens: int = 48
    temperature: float = 1.0
    top_p: float = 0.9
    reference: str = "smollm2-135m"


class QualityTask:
    """One sampled answer a request; what the guard blocked has no quality and is unscored.

    Parameters
    ----------
    prompts : sequence of Prompt
    settings : QualitySettings
    scorer : Scorer
        Bits per character under the reference model.
    """

    name = "quality"
    mode: Mode = "generate"
    arms = _ARMS

    def __init__(self, prompts: Sequence[Prompt], settings: QualitySettings, scorer: Scorer) -> None:
        self.prompts = tuple(prompts)
        self.decoding = decoding_of(settings, chat=True)
        self._settings = settings
        self._scorer = scorer

    def samples(self, seed: int) -> list[Sample]:
        """Return one sample a request."""
        drawn = sample_prompts(self.prompts, self._settings.prompts, seed=seed)
        return [self._sample(prompt, seed) for prompt in drawn]

    def _sample(self, prompt: Prompt, seed: int) -> Sample:
        sample_id = f"{self.name}/{prompt.id}"
        return Sample(sample_id, self.name, prompt.id, prompt.text, prompt.group, sample_seed(seed, sample_id))

    def figures(self, records: Sequence[Record]) -> Figures:
        """Measure what was released in both arms."""
        samples = [record.sample for record in records]
        texts = {arm: [_released(record, arm) for record in records] for arm in _ARMS}
        bits = {arm: self._scorer.score_batch(samples, texts[arm]) for arm in _ARMS}
        perplexity = Measure("perplexity_bits_per_char", _unbounded_mean, bounds=None)
        figures = measure(self.name, _rows(samples, bits), _ARMS, perplexity)
        for name, score in _TEXT_MEASURES.items():
            values = {arm: [None if text is None else score(text) for text in texts[arm]] for arm in _ARMS}
            figures.add(measure(self.name, _rows(samples, values), _ARMS, Measure(name, clustered_mean)))
        return figures


def _unbounded_mean(observed: Observations) -> Estimate:
    return clustered_mean(observed, bounds=None)


def _released(record: Record, arm: Arm) -> str | None:
    return None if record.arms[arm].action == Action.BLOCK else judged_text(record, arm)


def _rows(samples: Sequence[Sample], values: dict[Arm, list[float | None]]) -> list[Row]:
    return [
        Row(sample.prompt_id, sample.group, arm, value, sample.id)
        for arm in _ARMS
        for sample, value in zip(samples, values[arm], strict=True)
    ]


def plan(settings: QualitySettings, resources: Resources) -> PlannedTask:
    """Plan the task on the plain requests that ship."""
    prompts = [prompt for prompt in benign_requests() if prompt.group == "plain"]
    scorer = resources.perplexity(settings.reference)
    metrics = ("perplexity_bits_per_char", *_TEXT_MEASURES)
    notes = (
        f"Task quality: perplexity is measured under {settings.reference}, in bits per character.",
        "Task quality: what the guard blocked has no quality and is left out, so its difference is over released texts"
        " only; what blocking costs shows as over-refusals and as samples not scored.",
    )
    return PlannedTask(QualityTask(prompts, settings, scorer), prompts, (scorer.name,), metrics, notes=notes)
