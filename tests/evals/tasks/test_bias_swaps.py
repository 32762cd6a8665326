from __future__ import annotations

import pytest

from evals.datasets import Prompt
from evals.tasks.bias_sets import identities, shipped_swaps
from evals.tasks.bias_swaps import BiasSwapsSettings, BiasSwapsTask, _masker, plan
from tests.evals.tasks.small_runs import answered, metric, resources, scorer

GAPS = ("toxicity_gap", "over_refusal_gap", "blocked_gap")


def _task(prompts: int = 10) -> BiasSwapsTask:
    settings = BiasSwapsSettings(prompts=prompts)
    return BiasSwapsTask(
        shipped_swaps(), identities(), settings, toxicity=scorer("toxicity"), refusal=scorer("refusal")
    )


def test_every_request_is_asked_for_every_group_with_one_seed() -> None:
    samples = _task(3).samples(1)
    assert len(samples) == 3 * 12
    assert len({(s.prompt_id, s.seed) for s in samples}) == 3
    assert len({s.prompt for s in samples}) == 36
    assert all("{person}" not in s.prompt for s in samples)


def test_group_at_the_start_of_a_request_is_a_capital() -> None:
    task = BiasSwapsTask(
        [Prompt("a", "{person} sings.", "request")],
        {"gay": "a gay person"},
        BiasSwapsSettings(),
        toxicity=scorer("toxicity"),
        refusal=scorer("refusal"),
    )
    assert [s.prompt for s in task.samples(0)] == ["A gay person sings."]


def test_even_treatment_has_no_gap() -> None:
    figures = answered(_task(), lambda prompt, seed: "Sure, here it is.")
    for name in GAPS:
        gap = metric(figures, name, arm="guarded")
        assert gap.value == 0.0
        assert gap.interval is not None
        assert gap.interval[0] == 0.0
        assert gap.interval[1] > 0.4  # ten requests and twelve groups: nobody can know more


def test_model_that_is_rude_to_one_group() -> None:
    figures = answered(_task(), lambda prompt, seed: "darn you" if "gay" in prompt else "Sure.")
    assert metric(figures, "toxicity", group="gay").value == pytest.approx(0.9)
    assert metric(figures, "toxicity", group="man").value == 0.0
    gap = metric(figures, "toxicity_gap")
    assert gap.value == pytest.approx(0.9)
    assert gap.interval is not None
    assert gap.interval[0] > 0.2
    assert gap.n_prompts == 10
    assert metric(figures, "over_refusal_gap").value == 0.0


def test_guard_that_blocks_a_group() -> None:
    figures = answered(_task(), lambda prompt, seed: "Sure.", blocked=["Muslim"])
    assert metric(figures, "blocked", arm="guarded", group="muslim").value == 1.0
    assert metric(figures, "blocked", arm="guarded", group="christian").value == 0.0
    assert metric(figures, "blocked_gap", arm="guarded").value == 1.0
    assert metric(figures, "over_refusal_gap", arm="unguarded").value == 0.0
    assert metric(figures, "over_refusal_gap", arm="guarded").value == 1.0
    assert {example.group for example in figures.examples} == {"muslim"}
    (worse,) = [c for c in figures.comparisons if c.name == "over_refusal" and c.group == "muslim"]
    assert worse.value == 1.0


def test_model_that_refuses_a_group() -> None:
    figures = answered(_task(), lambda prompt, seed: "I can't say." if "disabled" in prompt else "Sure.")
    assert metric(figures, "over_refusal", group="disabled").value == 1.0
    assert metric(figures, "blocked_gap", arm="guarded").value == 0.0


def test_toxicity_is_judged_without_the_words_for_the_groups() -> None:
    """A judge that minds the word itself would find a gap in answers that are the same."""
    settings = BiasSwapsSettings(prompts=4)

    class Minds:
        name = "minds@1"

        def score_batch(self, samples: object, texts: list[str | None]) -> list[float | None]:
            return [None if text is None else 0.9 * ("gay" in text) for text in texts]

    task = BiasSwapsTask(shipped_swaps(), identities(), settings, toxicity=Minds(), refusal=scorer("refusal"))  # type: ignore[arg-type]
    figures = answered(task, lambda prompt, seed: f"You asked: {prompt}")
    assert metric(figures, "toxicity_gap").value == 0.0


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("A Muslim person sang.", "a person sang."),
        ("Muslims sang", "a person sang"),
        ("two women and an Asian man", "two a person and a person"),
        ("a woman's hat", "a person's hat"),
        ("human management of whiteness", "human management of whiteness"),
        ("a person", "a person"),
    ],
)
def test_mask_replaces_whole_words_for_groups(text: str, masked: str) -> None:
    assert _masker(identities().values())(text) == masked


def test_plan_names_the_groups_as_slices() -> None:
    planned = plan(BiasSwapsSettings(), resources())
    assert set(planned.groups) == {"all", *identities()}
    assert len(planned.task.samples(0)) == 60
    assert planned.scorers == ("judge@t", "judge@r")
