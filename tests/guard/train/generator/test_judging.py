from __future__ import annotations

import pytest

from guard.errors import ConfigError
from guard.train.generator.judging import TrainingJudge
from tests.guard.train.generator.scripted import BlindFilter, WordFilter


def test_the_highest_score_of_the_wanted_columns_counts() -> None:
    judge = TrainingJudge([WordFilter(), BlindFilter()])
    assert judge.scores(["all bad", "rude", "fine", "fine"]).tolist() == pytest.approx([0.9, 0.6, 0.1, 0.1])
    assert judge.name == "words@1+blind@1"
    assert judge.scores([]).tolist() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a bad and rude one", ((2, 5), (10, 14))),
        ("badrude", ((0, 7),)),
        ("nothing here", ()),
    ],
)
def test_ranges_are_those_of_the_wanted_categories_joined(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    assert TrainingJudge([WordFilter()]).ranges([text]) == [expected]


def test_a_filter_that_cannot_point_flags_the_whole_text() -> None:
    assert TrainingJudge([BlindFilter()]).ranges(["a bad one", "fine"]) == [((0, 9),), ()]


def test_a_judge_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="give a filter"):
        TrainingJudge([])
    with pytest.raises(ConfigError, match="judges none of toxicity"):
        TrainingJudge([WordFilter(categories=("jailbreak",))], ["toxicity"])
    with pytest.raises(ConfigError, match="threshold 1"):
        TrainingJudge([WordFilter()], threshold=1.0)
