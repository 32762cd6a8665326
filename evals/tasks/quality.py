"""Quality of answers to plain requests: of each text, of all of them as a set, and as a judge sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evals.datasets import Prompt, benign_requests, read_prompts, sample_prompts
from evals.figures import Figures, Measure, measure
from evals.jackknife import SetStatistic, set_metrics
from evals.schema import Arm, Metric, Record, Sample, Scorer
from evals.scorers.corpus import corpus_distinct, self_bleu
from evals.scorers.helpfulness import RATINGS
from evals.scorers.mauve import MauveScorer, mauve_note
from evals.scorers.text import distinct_n, repetition
from evals.seeds import sample_seed
from evals.stats import Estimate, Observations, clustered_mean
from evals.tasks.answers import answer_text, rows_by_arm
from evals.tasks.task import Mode, PlannedTask, Resources, decoding_of

__all__ = ["HELPFULNESS", "MAUVE", "QualitySettings", "QualityTask", "judge_note", "mauve_metrics", "plan"]

_ARMS: tuple[Arm, Arm] = ("unguarded", "guarded")

_TEXT_MEASURES: dict[str, Callable[[str], float | None]] = {
    "distinct_1": lambda text: distinct_n([text], 1),
    "distinct_2": lambda text: distinct_n([text], 2),
    "distinct_3": lambda text: distinct_n([text], 3),
    "repetition": repetition,
}
_SET_STATISTICS: dict[str, SetStatistic] = {
    "corpus_distinct_1": partial(corpus_distinct, n=1),
    "corpus_distinct_2": partial(corpus_distinct, n=2),
    "corpus_distinct_3": partial(corpus_distinct, n=3),
    "self_bleu": self_bleu,
}
MAUVE = "mauve"
HELPFULNESS = Measure("helpfulness", partial(clustered_mean, bounds=RATINGS), bounds=RATINGS)
"""Mean rating, from 1 to 10."""


@dataclass(frozen=True)
class QualitySettings:
    """Open answers to benign requests, and how good the text is.

    Parameters
    ----------
    prompts, max_new_tokens : int
    temperature, top_p : float
    reference : str
        The model under which perplexity is measured: an asset, folder, GGUF file or hub id.
    judge : str
        The model that rates helpfulness, named as a model to audit is; none by default.
    people : str
        A file of texts that people wrote, with the column ``text`` (or a text a line), for MAUVE; none by default.
    """

    prompts: int = 40
    max_new_tokens: int = 48
    temperature: float = 1.0
    top_p: float = 0.9
    reference: str = "smollm2-135m"
    judge: str = ""
    people: str = ""


class QualityTask:
    """One sampled answer a request; what the guard blocked has no quality and is unscored.

    Parameters
    ----------
    prompts : sequence of Prompt
    settings : QualitySettings
    scorer : Scorer
        Bits per character under the reference model.
    judge : Scorer, optional
        Of helpfulness, from 1 to 10.
    mauve : MauveScorer, optional
    """

    name = "quality"
    mode: Mode = "generate"
    arms = _ARMS

    def __init__(
        self,
        prompts: Sequence[Prompt],
        settings: QualitySettings,
        scorer: Scorer,
        *,
        judge: Scorer | None = None,
        mauve: MauveScorer | None = None,
    ) -> None:
        self.prompts = tuple(prompts)
        self.decoding = decoding_of(settings, chat=True)
        self._settings = settings
        self._scorer, self._judge, self._mauve = scorer, judge, mauve

    def samples(self, seed: int) -> list[Sample]:
        """Return one sample a request."""
        drawn = sample_prompts(self.prompts, self._settings.prompts, seed=seed)
        return [self._sample(prompt, seed) for prompt in drawn]

    def _sample(self, prompt: Prompt, seed: int) -> Sample:
        sample_id = f"{self.name}/{prompt.id}"
        return Sample(sample_id, self.name, prompt.id, prompt.text, prompt.group, sample_seed(seed, sample_id))

    def figures(self, records: Sequence[Record]) -> Figures:
        """Measure what was released in both arms, text by text and as a set."""
        samples = [record.sample for record in records]
        texts = {arm: [answer_text(record, arm) for record in records] for arm in _ARMS}
        bits = {arm: self._scorer.score_batch(samples, texts[arm]) for arm in _ARMS}
        perplexity = Measure("perplexity_bits_per_char", _unbounded_mean, bounds=None)
        figures = measure(self.name, rows_by_arm(samples, bits), _ARMS, perplexity)
        for name, score in _TEXT_MEASURES.items():
            values = {arm: [None if text is None else score(text) for text in texts[arm]] for arm in _ARMS}
            figures.add(measure(self.name, rows_by_arm(samples, values), _ARMS, Measure(name, clustered_mean)))
        self._add_set_figures(figures, samples, texts)
        if self._judge is not None:
            ratings = {arm: self._judge.score_batch(samples, texts[arm]) for arm in _ARMS}
            figures.add(measure(self.name, rows_by_arm(samples, ratings), _ARMS, HELPFULNESS))
        if self._mauve is not None:
            figures.metrics += mauve_metrics(self.name, self._mauve, texts)
        return figures

    def _add_set_figures(self, figures: Figures, samples: Sequence[Sample], texts: dict[Arm, list[str | None]]) -> None:
        ids = [sample.prompt_id for sample in samples]
        by_prompt = {arm: {i: [text] for i, text in zip(ids, texts[arm], strict=True)} for arm in _ARMS}
        for name, statistic in _SET_STATISTICS.items():
            metrics, comparison = set_metrics(self.name, name, by_prompt, _ARMS, statistic)
            figures.metrics += metrics
            figures.comparisons.append(comparison)


def mauve_metrics(task: str, scorer: MauveScorer, texts: dict[Arm, list[str | None]]) -> list[Metric]:
    """Return MAUVE of each arm; there is no paired difference of two such figures.

    Parameters
    ----------
    task : str
    scorer : MauveScorer
    texts : dict of Arm to list of (str or None)
        What each arm released.
    """
    found = {arm: scorer.estimate(ones) for arm, ones in texts.items()}
    return [
        Metric(MAUVE, task, arm, one.value, one.interval, one.n_prompts, one.n_samples, one.n_unscored)
        for arm, one in found.items()
    ]


def judge_note(task: str, judge: str) -> str:
    """Say what a reader of ratings by a model must know."""
    return (
        f"Task {task}: helpfulness is the rating, from 1 to 10, that {judge} gave; answers on which it gave no single"
        " number are unscored. Judges prefer long answers and answers of their own family, and were not checked against"
        " people here: compare models under one judge, and do not read the number by itself."
    )


def _unbounded_mean(observed: Observations) -> Estimate:
    return clustered_mean(observed, bounds=None)


def plan(settings: QualitySettings, resources: Resources) -> PlannedTask:
    """Plan the task on the plain requests that ship."""
    prompts = [prompt for prompt in benign_requests() if prompt.group == "plain"]
    scorer = resources.perplexity(settings.reference)
    scorers, metrics, assets = [scorer.name], ["perplexity_bits_per_char", *_TEXT_MEASURES, *_SET_STATISTICS], []
    notes = [
        f"Task quality: perplexity is measured under {settings.reference}, in bits per character.",
        "Task quality: what the guard blocked has no quality and is left out, so its difference is over released texts"
        " only; what blocking costs shows as over-refusals and as samples not scored.",
        "Task quality: corpus_distinct and self_bleu are figures of all answers together and change with their number:"
        " compare runs of as many. Their intervals are the jackknife's over prompts, which is wide rather than narrow.",
    ]
    judge = resources.rater(settings.judge) if settings.judge else None
    if judge is not None:
        scorers.append(judge.name)
        metrics.append(HELPFULNESS.name)
        notes.append(judge_note("quality", settings.judge))
    mauve = None
    if settings.people:
        mauve = _mauve([prompt.text for prompt in read_prompts(Path(settings.people), column="text")])
        scorers.append(mauve.name)
        metrics.append(MAUVE)
        assets.append("minilm")
        notes.append(mauve_note("quality", min(settings.prompts, len(prompts))))
    task = QualityTask(prompts, settings, scorer, judge=judge, mauve=mauve)
    return PlannedTask(task, prompts, tuple(scorers), tuple(metrics), tuple(assets), notes=tuple(notes))


def _mauve(people: Sequence[str]) -> MauveScorer:
    from evals.scorers.similarity import SentenceEncoder

    encoder = SentenceEncoder.load()
    return MauveScorer(people, encoder.embed, encoder=encoder.name)
