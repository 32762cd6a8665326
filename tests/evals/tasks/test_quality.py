"""Quality: figures of single answers, of the set, and by judges that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from evals.datasets import Prompt
from evals.schema import Sample, Scorer
from evals.scorers.mauve import MauveScorer
from evals.tasks.quality import QualitySettings, QualityTask, plan
from evals.tasks.task import Resources
from guard.errors import DataError
from tests.evals.tasks.small_runs import answered, metric, resources

PROMPTS = [
    Prompt(f"plain-{i}", f"tell me about {word}", "plain") for i, word in enumerate(["tea", "rain", "snow", "fog"])
]


class Length:
    """A stand-in for perplexity: one over the length."""

    name = "length"

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        return [None if text is None else 1 / (1 + len(text)) for text in texts]


class Rating:
    """A stand-in for a judge: tea is helpful, fog gets no rating."""

    name = "rating@1"

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        ratings = {"tea": 9.0, "rain": 5.0, "snow": 1.0}
        return [None if text is None else ratings.get(text.split()[0]) for text in texts]


def _task(judge: Scorer | None = None, mauve: MauveScorer | None = None) -> QualityTask:
    return QualityTask(PROMPTS, QualitySettings(prompts=4), Length(), judge=judge, mauve=mauve)


def _own(prompt: str, _seed: int) -> str:
    word = prompt.split()[-1]
    return f"{word} a{word} b{word} c{word} d{word}"


def test_set_of_different_answers_is_diverse_and_of_one_answer_monotonous() -> None:
    diverse = answered(_task(), _own)
    assert metric(diverse, "corpus_distinct_2").value == 1.0
    assert metric(diverse, "self_bleu").value == 0.0
    same = answered(_task(), lambda _prompt, _seed: "one and the same answer")
    assert metric(same, "corpus_distinct_2").value == 1 / 4
    assert metric(same, "self_bleu").value == pytest.approx(1.0)
    # Each answer by itself is as diverse as can be: only the figure of the set tells.
    assert metric(same, "distinct_2").value == 1.0


def test_set_figures_are_over_released_answers() -> None:
    figures = answered(_task(), _own, blocked=("dtea",))
    guarded = metric(figures, "corpus_distinct_1", arm="guarded")
    assert (guarded.n_prompts, guarded.n_unscored) == (3, 1)
    (difference,) = [c for c in figures.comparisons if c.name == "corpus_distinct_1"]
    assert (difference.value, difference.n_prompts) == (0.0, 3)


def test_set_figures_have_no_value_of_a_single_sample() -> None:
    figures = answered(_task(), _own)
    assert {series.metric for series in figures.values}.isdisjoint({"self_bleu", "corpus_distinct_1"})


def test_ratings_are_on_their_own_scale() -> None:
    found = metric(answered(_task(Rating()), _own), "helpfulness")
    assert found.value == 5.0
    assert found.interval is not None
    assert 1.0 <= found.interval[0] <= 5.0 <= found.interval[1] <= 10.0
    assert (found.n_samples, found.n_unscored) == (3, 1)


def test_mauve_of_few_answers_is_not_given() -> None:
    def never(texts: Sequence[str]) -> object:
        raise AssertionError("nothing should be embedded")

    scorer = MauveScorer(["text"] * 600, never, encoder="e@1")  # type: ignore[arg-type]
    found = metric(answered(_task(mauve=scorer), _own), "mauve")
    assert (found.value, found.n_unscored) == (None, 4)


def _resources() -> Resources:
    own = resources()
    return Resources(own.asset, own.judge, lambda _reference: Length())


def test_plan_is_silent_about_what_was_not_asked_for() -> None:
    planned = plan(QualitySettings(), _resources())
    assert planned.metrics[-4:] == ("corpus_distinct_1", "corpus_distinct_2", "corpus_distinct_3", "self_bleu")
    assert planned.scorers == ("length",)
    assert not any("MAUVE" in note or "helpfulness" in note for note in planned.notes)


def test_plan_with_a_judge_says_whose_opinion_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_judge.py").write_text("def rate(prompt):\n    return 'Rating: 6'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    planned = plan(QualitySettings(prompts=3, judge="python:a_judge:rate"), _resources())
    assert planned.metrics[-1] == "helpfulness"
    assert planned.scorers[1].startswith("helpfulness by python@")
    assert any("python:a_judge:rate" in note for note in planned.notes)
    assert metric(answered(planned.task, _own), "helpfulness").value == 6.0


@pytest.mark.model
def test_plan_with_texts_by_people_warns_of_their_number(tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text("one text\nanother text\n", encoding="utf-8")
    planned = plan(QualitySettings(people=str(file)), _resources())
    assert planned.metrics[-1] == "mauve"
    assert planned.assets == ("minilm",)
    assert any("is not given for 40" in note for note in planned.notes)
    with pytest.raises(DataError, match="cannot read"):
        plan(QualitySettings(people=str(tmp_path / "none.txt")), _resources())
