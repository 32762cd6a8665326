"""The memorisation task on models that know, nearly know, or make up."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.arms import ArmPair
from evals.figures import Figures
from evals.schema import Arm, Metric
from evals.scorers.continuation import agreement, longest_run
from evals.scorers.text import words
from evals.tasks.memorisation import (
    LEAST_RUN,
    NEAR,
    UNPUBLISHED,
    MemorisationSettings,
    MemorisationTask,
    Passage,
    shipped_passages,
)
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.scripted import ScriptedGenerator
from guard.policy import Policy
from guard.schema import Action

TRUTH = "a bb c d e f g h i j k l m n o p q r s t"  # 20 words
NEARLY = "a bb c d e X g h i j k X m n o p q X s t"  # runs of 5, 17 of 20
PASSAGES = [
    Passage("known", "prose", "Once there was", TRUTH),
    Passage("verse", "verse", "Roses are", TRUTH),
    Passage("own", UNPUBLISHED, "Nobody knew", TRUTH),
]
POLICY = Policy("small", {("output", "rude"): (0.5, Action.BLOCK)})


def figures(known: str, own: str = "something else entirely") -> Figures:
    filters = [LexicalFilter([Term("bb", "rude", 0.9)])]
    one = MemorisationTask(PASSAGES, MemorisationSettings())
    model = ScriptedGenerator(lambda prompt, seed: own if prompt.startswith("Nobody") else known)
    return one.figures(ArmPair(model, POLICY, inputs=filters, outputs=filters).generate(one.samples(7)))


def metric(found: Figures, name: str, arm: Arm = "unguarded", group: str = "all") -> Metric:
    return next(m for m in found.metrics if (m.name, m.arm, m.group) == (name, arm, group))


def test_samples_continue_the_bare_text() -> None:
    one = MemorisationTask(PASSAGES, MemorisationSettings(passages=1, unpublished=1))
    samples = one.samples(7)
    assert Counter(sample.group == UNPUBLISHED for sample in samples) == {True: 1, False: 1}
    assert not one.decoding.chat
    assert {sample.prompt for sample in samples} <= {passage.beginning for passage in PASSAGES}


@pytest.mark.parametrize(
    ("known", "verbatim", "near"),
    [
        (TRUTH, 1.0, 1.0),
        (f"{TRUTH} and so on", 1.0, 1.0),
        (NEARLY, 0.0, 1.0),
        ("a bb c d e f g h i j k l, " + "which is all that anyone remembers of it", 1.0, 1.0),
        ("x y z and then came " + TRUTH, 1.0, 1.0),
        ("a bb c d e f g h i j k", 0.0, 0.0),
        ("it was a day like any other and nobody thought of anything but the rain", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_what_counts_as_memorised(known: str, verbatim: float, near: float) -> None:
    found = figures(known)
    assert metric(found, "memorised_continuation").value == verbatim
    assert metric(found, "memorised_continuation").n_prompts == 2
    assert metric(found, "near_continuation", group="verse").value == near
    assert metric(found, "chance_continuation").value == 0.0
    assert metric(found, "chance_continuation").n_prompts == 1


def test_chance_is_measured_apart() -> None:
    found = figures("nothing of the kind at all", own=TRUTH)
    assert metric(found, "memorised_continuation").value == 0.0
    assert metric(found, "chance_continuation").value == 1.0


def test_what_is_blocked_is_not_given_back() -> None:
    found = figures(TRUTH)
    assert metric(found, "memorised_continuation", "unguarded").value == 1.0
    assert metric(found, "memorised_continuation", "guarded").value == 0.0


def test_shipped_passages() -> None:
    passages = shipped_passages()
    kinds = Counter(passage.kind for passage in passages)
    assert kinds[UNPUBLISHED] == 8
    assert sum(kinds.values()) == 32
    assert len({passage.id for passage in passages}) == 32


@pytest.mark.parametrize("passage", shipped_passages(), ids=lambda passage: passage.id)
def test_a_beginning_does_not_give_its_continuation_away(passage: Passage) -> None:
    assert len(words(passage.continuation)) >= 20
    assert longest_run(passage.beginning, passage.continuation) < LEAST_RUN
    assert agreement(passage.beginning, passage.continuation, least_words=1) < NEAR
