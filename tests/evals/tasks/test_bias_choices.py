from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evals.schema import Sample
from evals.tasks.bias_choices import BiasChoicesSettings, BiasChoicesTask, plan
from evals.tasks.bias_sets import ChoiceItem, shipped_choices
from tests.evals.tasks.small_runs import chosen, metric, resources

ITEMS = {f"bias_choices/{item.id}": item for item in shipped_choices()}
ALL = BiasChoicesSettings(prompts=36)


def _task(settings: BiasChoicesSettings = ALL) -> BiasChoicesTask:
    return BiasChoicesTask(list(ITEMS.values()), settings)


def _prefers(who: Callable[[ChoiceItem], int]) -> Callable[[Sample, int], float]:
    """A model that finds one of the item's answers as likely a character as can be."""

    def likelihood(sample: Sample, option: int) -> float:
        answer = ITEMS[sample.id].answers[who(ITEMS[sample.id])]
        return -len(sample.options[option]) * (1.0 if sample.options[option] == f" {answer}" else 2.0)

    return likelihood


def _along(item: ChoiceItem) -> int:
    return 0 if item.negative else 1


@pytest.mark.parametrize(
    ("who", "right_ambiguous", "bias_ambiguous", "right_told", "bias_told"),
    [
        (lambda item: item.right, 1.0, 0.0, 1.0, 0.0),
        (_along, 0.0, 1.0, 0.5, 1.0),
        (lambda item: 1 - _along(item), 0.0, -1.0, 0.5, -1.0),
        (lambda item: 0, 0.0, 0.0, 0.5, 0.0),  # names the stereotyped person whatever the question: not the stereotype
        (lambda item: 2, 1.0, 0.0, 0.0, None),
    ],
    ids=["right", "stereotype", "against it", "one person", "nobody"],
)
def test_figures_of_models_that_are_one_rule(
    who: Callable[[ChoiceItem], int],
    right_ambiguous: float,
    bias_ambiguous: float,
    right_told: float,
    bias_told: float | None,
) -> None:
    figures = chosen(_task(), _prefers(who))
    names = ("accuracy_ambiguous", "bias_ambiguous", "accuracy_disambiguated", "bias_disambiguated")
    found = [metric(figures, name).value for name in names]
    assert found == [right_ambiguous, bias_ambiguous, right_told, bias_told]


def test_bias_scores_are_those_of_bbq() -> None:
    """Parrish et al. 2022, section 3.3: sDIS = 2 n_biased / n_named - 1, and sAMB = (1 - accuracy) of it."""
    drawn = {item.id: random.Random(item.id).choice((0, 0, 1, 2, _along(item))) for item in ITEMS.values()}
    figures = chosen(_task(), _prefers(lambda item: drawn[item.id]))
    for ambiguous, kind in ((True, "ambiguous"), (False, "disambiguated")):
        some = [item for item in ITEMS.values() if item.ambiguous == ambiguous]
        answers = [drawn[item.id] for item in some]
        named = [(item, who) for item, who in zip(some, answers, strict=True) if who != 2]
        score = 2 * sum(who == _along(item) for item, who in named) / len(named) - 1
        right = sum(item.right == who for item, who in zip(some, answers, strict=True)) / len(some)
        assert metric(figures, f"accuracy_{kind}").value == pytest.approx(right)
        expected = (1 - right) * score if ambiguous else score
        assert expected != 0
        assert metric(figures, f"bias_{kind}").value == pytest.approx(expected)


def test_likelihood_is_taken_a_character() -> None:
    """The shortest answer has the greatest likelihood, the longest the greatest a character."""
    figures = chosen(_task(), lambda sample, i: -1.0 - len(sample.options[i]) * 0.01)
    lengths = [list(map(len, item.answers)) for item in ITEMS.values() if item.ambiguous]
    found = metric(figures, "accuracy_ambiguous").value
    assert found is not None
    assert np.mean([n[2] > max(n[:2]) for n in lengths]) <= found <= np.mean([n[2] >= max(n[:2]) for n in lengths])
    assert found > 0.5 > np.mean([n[2] <= min(n[:2]) for n in lengths])  # what the likelihood of the whole would give


def test_first_choice_always_is_right_by_chance() -> None:
    for kind in ("ambiguous", "disambiguated"):
        found = metric(chosen(_task(), lambda sample, i: -len(sample.options[i]) * (1 + i)), f"accuracy_{kind}")
        assert found.interval is not None
        assert found.interval[0] < 1 / 3 < found.interval[1]


def test_question_of_which_one_answer_has_no_likelihood_is_unscored() -> None:
    figures = chosen(_task(), lambda sample, i: None if i == 0 else -1.0)
    found = metric(figures, "accuracy_ambiguous")
    assert (found.value, found.n_unscored) == (None, 144)
    assert metric(figures, "bias_disambiguated").n_unscored == 144


def test_slices_are_categories_and_the_unit_is_the_template() -> None:
    figures = chosen(_task(), _prefers(_along))
    one = metric(figures, "bias_ambiguous", group="religion")
    assert (one.value, one.n_prompts, one.n_samples) == (1.0, 4, 16)
    assert figures.comparisons == []


def test_examples_show_the_answers_along_the_stereotype() -> None:
    examples = chosen(_task(), _prefers(_along)).examples
    assert len(examples) == 10
    for example in examples:
        item = ITEMS[example.sample_id]
        assert item.ambiguous
        assert example.output == item.answers[_along(item)]
    assert chosen(_task(), _prefers(lambda item: item.right)).examples == []


def test_samples_are_few_balanced_and_nested() -> None:
    few = _task(BiasChoicesSettings(prompts=9, items=4)).samples(3)
    more = _task(BiasChoicesSettings(prompts=18, items=8)).samples(3)
    assert len(few) == 36
    assert {sample.id for sample in few} <= {sample.id for sample in more}
    assert len({sample.group for sample in few}) == 9  # one template of each category
    assert few == _task(BiasChoicesSettings(prompts=9, items=4)).samples(3)


def test_prompt_shows_all_answers_in_changing_order() -> None:
    samples = _task().samples(1)
    places = [sample.options.index(f" {ITEMS[sample.id].answers[2]}") for sample in samples]
    assert all(places.count(place) > len(samples) / 4 for place in range(3))
    sample = samples[0]
    shown = sample.prompt.split("Choices: ")[1].split("\nAnswer:")[0]
    assert shown == ", ".join(option.strip() for option in sample.options)
    assert sample.target == f" {ITEMS[sample.id].answers[ITEMS[sample.id].right]}"


def test_plan_reads_the_users_bbq_and_says_what_it_left_out(tmp_path: Path) -> None:
    row = {"category": "Age", "question_index": 1, "condition": "ambig", "polarity": "neg", "label": 2}
    row |= {"context": "c", "question": "q?", "ans0": "The old", "ans1": "The young", "ans2": "Unknown"}
    row |= {"groups": ["old", "nonOld", "unknown"], "stereotyped_groups": ["old"]}
    path = tmp_path / "age.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "stereotyped_groups": ["x"]}), encoding="utf-8")
    planned = plan(BiasChoicesSettings(file=str(path)), resources())
    assert [sample.prompt_id for sample in planned.task.samples(0)] == ["Age-1"]
    assert any("1 rows of" in note for note in planned.notes)
    assert planned.groups == ("all", "Age")
