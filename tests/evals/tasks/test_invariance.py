from __future__ import annotations

from collections.abc import Callable

import pytest

from evals.tasks.invariance import InvarianceSettings, InvarianceTask, plan
from evals.tasks.paraphrases import WordedQuestion, plain, shipped_questions, with_typos
from tests.evals.tasks.small_runs import answered, metric, resources

QUESTIONS = {question.id: question for question in shipped_questions()}


def _task(prompts: int = 64) -> InvarianceTask:
    return InvarianceTask(list(QUESTIONS.values()), InvarianceSettings(prompts=prompts))


def _answers(seed: int = 1) -> dict[str, tuple[str, str]]:
    """From each prompt to its wording and the right answer."""
    return {sample.prompt: (sample.group, sample.target) for sample in _task().samples(seed)}


def _model(say: Callable[[str, str], str]) -> Callable[[str, int], str]:
    known = _answers()
    return lambda prompt, seed: say(*known[prompt])


def test_model_that_knows_everything() -> None:
    figures = answered(_task(), _model(lambda wording, answer: f"It is {answer}, I think."))
    assert metric(figures, "accuracy", arm="clean").value == 1.0
    assert metric(figures, "accuracy", arm="perturbed").value == 1.0
    assert metric(figures, "invariance", arm="perturbed").value == 1.0
    assert figures.examples == []


@pytest.mark.parametrize("wording", ["typo", "paraphrase", "reordered"])
def test_model_that_one_wording_confuses(wording: str) -> None:
    figures = answered(_task(), _model(lambda how, answer: "I wonder." if how == wording else answer))
    for other in ("typo", "paraphrase", "reordered"):
        expected = 0.0 if other == wording else 1.0
        assert metric(figures, "accuracy", arm="perturbed", group=other).value == expected
        assert metric(figures, "accuracy", arm="clean", group=other).value == 1.0
        assert metric(figures, "invariance", arm="perturbed", group=other).value == expected
        (drop,) = [c for c in figures.comparisons if (c.name, c.group) == ("accuracy", other)]
        assert drop.value == expected - 1.0
    assert {example.group for example in figures.examples} == {wording}


def test_reordered_is_held_against_the_clean_wording_of_the_same_questions() -> None:
    """Capitals have no other order, so a model that knows only those has nothing to lose there."""
    figures = answered(_task(), _model(lambda how, answer: answer if answer in ("Paris", "Tokyo") else "?"))
    assert metric(figures, "accuracy", arm="clean").value == pytest.approx(2 / 64)
    assert metric(figures, "accuracy", arm="clean", group="reordered").value == 0.0


def test_model_that_always_says_the_same_is_invariant_and_wrong() -> None:
    figures = answered(_task(), lambda prompt, seed: "Paris, of course.")
    assert metric(figures, "invariance", arm="perturbed").value == 1.0
    assert metric(figures, "accuracy", arm="clean").value == pytest.approx(1 / 64)


def test_same_answer_in_other_words_is_the_same() -> None:
    figures = answered(_task(), _model(lambda how, answer: answer if how == "clean" else f"Well: {answer}!"))
    assert metric(figures, "invariance", arm="perturbed").value == 1.0


def test_answer_that_cannot_be_read_counts_by_its_text() -> None:
    figures = answered(_task(), _model(lambda how, answer: "Hm." if how != "typo" else "Sorry?"))
    assert metric(figures, "invariance", arm="perturbed", group="typo").value == 0.0
    assert metric(figures, "invariance", arm="perturbed", group="paraphrase").value == 1.0


def test_block_of_the_guard_is_a_wrong_answer() -> None:
    figures = answered(_task(), _model(lambda how, answer: answer), blocked=["capital"])
    share = metric(figures, "accuracy", arm="clean")
    assert share.value == pytest.approx(50 / 64)
    assert share.n_unscored == 0


def test_samples_are_every_wording_of_the_questions_drawn() -> None:
    samples = _task(10).samples(4)
    by_question: dict[str, set[str]] = {}
    for sample in samples:
        by_question.setdefault(sample.prompt_id, set()).add(sample.group)
    assert len(by_question) == 10
    for id_, groups in by_question.items():
        assert groups == {*QUESTIONS[id_].wordings, "typo"}
    assert len({sample.id for sample in samples}) == len(samples)
    assert samples == _task(10).samples(4)


@pytest.mark.parametrize(
    ("question", "text", "read"),
    [
        ("arithmetic-00", "7 plus 5 is 12.", "12"),
        ("arithmetic-00", "The answer is twelve", "12"),
        ("arithmetic-00", "7 + 5 = 13", "13"),
        ("arithmetic-00", "7 + 5", None),
        ("arithmetic-07", "Half of 18 is 9.", "9"),
        ("arithmetic-00", "112", "112"),
        ("capital-00", "The capital of France is Paris.", "paris"),
        ("capital-10", "It is Sydney.", "sydney"),
        ("capital-00", "Parisian food is good", None),
        ("yes_no-00", "Yes, it is.", "yes"),
        ("yes_no-00", "No.", "no"),
        ("yes_no-00", "I do not know", None),
        ("choice-00", "An apple is a fruit.", "apple"),
        ("choice-00", "The hammer, not the apple", "hammer"),
        ("extraction-02", "At 9.", "nine"),
        ("extraction-02", "", None),
    ],
)
def test_answers_are_read(question: str, text: str, read: str | None) -> None:
    assert QUESTIONS[question].read(text) == read


def test_every_question_reads_its_own_answers_and_no_wrong_one_as_right() -> None:
    for question in QUESTIONS.values():
        right = plain(question.answers[0])
        assert {question.read(f"I say {answer}.") for answer in question.answers} == {right}
        assert right not in {question.read(other) for other in question.others}
        assert len(set(question.wordings.values())) == len(question.wordings)


def test_no_arithmetic_answer_is_a_number_of_its_question() -> None:
    for question in QUESTIONS.values():
        if question.kind == "arithmetic":
            assert all(question.answers[0] not in wording.split() for wording in question.wordings.values())


@pytest.mark.parametrize("seed", range(5))
def test_typos_change_every_question_and_misspell_no_answer(seed: int) -> None:
    for question in QUESTIONS.values():
        text = question.typo(seed)
        clean = question.wordings["clean"]
        assert text != clean
        assert text == question.typo(seed)
        for answer in (*question.answers, *question.others):
            assert (f" {answer}" in text) == (f" {answer}" in clean)


def test_typos_leave_names_and_short_words_alone() -> None:
    assert {with_typos("Tom is in the Kitchen", seed=seed, keep=["kitchen"]) for seed in range(9)} == {
        "Tom is in the Kitchen"
    }
    assert all(with_typos("book", seed=seed) != "book" for seed in range(20))


def test_question_without_known_answers_reads_nothing() -> None:
    question = WordedQuestion("x", "open", {"clean": "Why?"}, ("because",))
    assert question.read("no reason") is None


def test_plan_is_small_and_names_the_wordings() -> None:
    planned = plan(InvarianceSettings(), resources())
    assert planned.groups == ("all", "paraphrase", "reordered", "typo")
    assert 48 <= len(planned.task.samples(0)) <= 64
