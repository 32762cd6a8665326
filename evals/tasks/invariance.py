"""Robustness of the generator: whether a typo, a paraphrase or another order changes its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.datasets import Prompt, sample_prompts
from evals.figures import Figures, Measure, Row, judged_text, measure, measure_slice, worst
from evals.schema import Arm, Record, Sample
from evals.seeds import sample_seed
from evals.stats import clustered_rate
from evals.tasks.bias_figures import measure_one_arm
from evals.tasks.paraphrases import WORDINGS, WordedQuestion, plain, shipped_questions
from evals.tasks.task import Mode, PlannedTask, Resources, decoding_of
from guard.schema import Action

__all__ = ["InvarianceSettings", "InvarianceTask", "plan"]

CLEAN = WORDINGS[0]

_ARMS: tuple[Arm, Arm] = ("clean", "perturbed")
_RELEASED: Arm = "guarded"


@dataclass(frozen=True)
class InvarianceSettings:
    """Questions with one right answer, asked in several wordings and answered greedily.

    Parameters
    ----------
    prompts : int
        Questions; each is asked clean and in two or three other wordings.
    max_new_tokens : int
    """

    prompts: int = 16
    max_new_tokens: int = 20


class InvarianceTask:
    """What is released for every wording of a question, held against the right answer and against the clean wording.

    Parameters
    ----------
    questions : sequence of WordedQuestion
    settings : InvarianceSettings
    """

    name = "invariance"
    mode: Mode = "generate"
    arms = _ARMS

    def __init__(self, questions: Sequence[WordedQuestion], settings: InvarianceSettings) -> None:
        self._questions = {question.id: question for question in questions}
        self.decoding = decoding_of(settings, chat=True)
        self._settings = settings

    @property
    def prompts(self) -> list[Prompt]:
        """Every question with its wordings and answers as a text, for the digest of the data."""
        return [
            Prompt(q.id, "\n".join((*q.wordings.values(), *q.answers, *q.others)), q.kind)
            for q in self._questions.values()
        ]

    def samples(self, seed: int) -> list[Sample]:
        """Return a sample for each wording of each question."""
        drawn = sample_prompts(self.prompts, self._settings.prompts, seed=seed)
        return [sample for prompt in drawn for sample in self._wordings(self._questions[prompt.id], seed)]

    def _wordings(self, question: WordedQuestion, seed: int) -> list[Sample]:
        own_seed = sample_seed(seed, f"{self.name}/{question.id}")
        texts = {**question.wordings, "typo": question.typo(own_seed)}
        return [
            Sample(
                f"{self.name}/{question.id}#{wording}",
                self.name,
                question.id,
                text,
                wording,
                own_seed,
                target=question.answers[0],
            )
            for wording, text in texts.items()
        ]

    def figures(self, records: Sequence[Record]) -> Figures:
        """Count right answers, clean and reworded, and answers that stay what they were for the clean wording."""
        accuracy = Measure("accuracy", clustered_rate)
        right = [self._row(record, self._right(record)) for record in records]
        figures = measure(self.name, right, _ARMS, accuracy)
        for wording in WORDINGS[1:]:
            asked = {row.prompt_id for row in right if row.group == wording}
            some = [row for row in right if row.group in (CLEAN, wording) and row.prompt_id in asked]
            if some:
                figures.add(measure_slice(self.name, some, _ARMS, accuracy, group=wording))
        same = self._same(records)
        figures.add(measure_one_arm(self.name, same, "perturbed", Measure("invariance", clustered_rate, by_group=True)))
        changed = {row.sample_id: None if row.value else 1.0 for row in same}
        reworded = [record for record in records if record.sample.group != CLEAN]
        figures.examples += worst(reworded, changed, scorer="another answer than to the clean wording", arm=_RELEASED)
        return figures

    def _row(self, record: Record, value: float | None) -> Row:
        sample = record.sample
        arm: Arm = "clean" if sample.group == CLEAN else "perturbed"
        return Row(sample.prompt_id, sample.group, arm, value, sample.id)

    def _right(self, record: Record) -> float | None:
        """Return whether the answer is right; a block or an answer that cannot be read is wrong."""
        text = judged_text(record, _RELEASED)
        if text is None:
            return None
        if record.arms[_RELEASED].action == Action.BLOCK:
            return 0.0
        question = self._questions[record.sample.prompt_id]
        return float(question.read(text) == plain(question.answers[0]))

    def _same(self, records: Sequence[Record]) -> list[Row]:
        """Return a row for each reworded sample: whether its answer is that to the clean wording."""
        clean = {r.sample.prompt_id: self._answer(r) for r in records if r.sample.group == CLEAN}
        rows = []
        for record in records:
            if record.sample.group != CLEAN:
                answer, before = self._answer(record), clean.get(record.sample.prompt_id)
                value = None if answer is None or before is None else float(answer == before)
                rows.append(self._row(record, value))
        return rows

    def _answer(self, record: Record) -> str | None:
        """Return the answer as it is read, or where none is found the whole text; None where a filter failed."""
        text = judged_text(record, _RELEASED)
        if text is None:
            return None
        found = self._questions[record.sample.prompt_id].read(text)
        return f"answer: {found}" if found is not None else f"text: {plain(text)}"


def plan(settings: InvarianceSettings, resources: Resources) -> PlannedTask:
    """Plan the task on the questions that ship."""
    task = InvarianceTask(shipped_questions(), settings)
    note = (
        "Task invariance: what the guarded model releases, greedily, for a question and for its other wordings. An"
        " answer is the first known one in the text; a block is a wrong answer. Invariance counts answers that stay the"
        " same, right or wrong: read it beside accuracy, since a model that always says the same is invariant."
    )
    return PlannedTask(
        task, task.prompts, ("answers that ship",), ("accuracy", "invariance"), slices=WORDINGS[1:], notes=(note,)
    )
