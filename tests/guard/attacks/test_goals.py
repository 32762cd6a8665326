from __future__ import annotations

import numpy as np
import pytest

from guard.attacks.goals import InputReduction, Targeted, Untargeted, decided_labels
from guard.attacks.schema import Goal, Judged
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

ORIGINAL = AttackedText.of("a b c d")
ROWS = np.array([[0.9, 0.1], [0.5, 0.5], [0.25, 0.75]])


def judged(goal: Goal, label: int, rows: np.ndarray = ROWS, texts: list[str] | None = None) -> list[Judged]:
    attacked = [AttackedText.of(text) for text in texts or ["a b c d"] * len(rows)]
    return goal.judge(rows, attacked, original=ORIGINAL, label=label)


@pytest.mark.parametrize(
    ("goal", "label", "scores", "met"),
    [
        (Untargeted(), 1, [0.9, 0.5, 0.25], [True, True, False]),  # of equals the first label is decided on
        (Untargeted(), 0, [0.1, 0.5, 0.75], [False, False, True]),
        (Untargeted(0.5), 1, [0.9, 0.5, 0.25], [True, False, False]),
        (Untargeted(0.1), 1, [0.9, 0.5, 0.25], [False, False, False]),
        (Untargeted(0.8), 0, [0.1, 0.5, 0.75], [False, False, False]),
        (Targeted(1), 0, [0.1, 0.5, 0.75], [False, False, True]),
        (Targeted(1, 0.5), 0, [0.1, 0.5, 0.75], [False, True, True]),
    ],
)
def test_scores_and_when_the_goal_is_met(goal: Goal, label: int, scores: list[float], met: list[bool]) -> None:
    found = judged(goal, label)
    np.testing.assert_allclose([each.score for each in found], scores, rtol=1e-6)
    assert [each.met for each in found] == met
    assert [each.probabilities for each in found] == [tuple(row) for row in ROWS]


def test_score_rises_towards_the_goal_for_either_label() -> None:
    rows = np.stack([1 - np.linspace(0, 1, 9), np.linspace(0, 1, 9)], axis=1)
    assert np.all(np.diff([each.score for each in judged(Untargeted(0.3), 0, rows)]) > 0)
    assert np.all(np.diff([each.score for each in judged(Untargeted(0.3), 1, rows)]) < 0)


def test_fewer_words_score_higher_than_any_certainty() -> None:
    texts = ["a b c d", "a b c", "a b", "a"]
    rows = np.array([[0.01, 0.99], [0.4, 0.6], [0.45, 0.55], [0.9, 0.1]])
    found = judged(InputReduction(), 1, rows, texts)
    np.testing.assert_allclose([each.score for each in found], [0.99 / 4, 0.25 + 0.6 / 4, 0.5 + 0.55 / 4, 0], rtol=1e-6)
    assert not any(each.met for each in found)
    assert InputReduction().endless
    assert not Untargeted().endless


@pytest.mark.parametrize(
    ("goal", "row", "label", "skips"),
    [
        (Untargeted(), (0.6, 0.4), 1, True),
        (Untargeted(0.3), (0.6, 0.4), 1, False),
        (Untargeted(), (0.4, 0.6), 1, False),
        (InputReduction(), (0.6, 0.4), 1, True),
        (Targeted(0), (0.6, 0.4), 1, True),
        (Targeted(1), (0.6, 0.4), 1, True),
        (Targeted(1), (0.6, 0.4), 0, False),
    ],
)
def test_what_errs_already_is_skipped(goal: Goal, row: tuple[float, float], label: int, skips: bool) -> None:
    assert goal.skips(row, label) is skips


def test_threshold_decides_between_two_labels_only() -> None:
    assert decided_labels(np.array([[0.2, 0.3, 0.5]]), None).tolist() == [2]
    with pytest.raises(ConfigError, match="between two"):
        decided_labels(np.array([[0.2, 0.3, 0.5]]), 0.5)


def test_target_that_is_no_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="labels 0 to 1"):
        judged(Targeted(2), 0)
