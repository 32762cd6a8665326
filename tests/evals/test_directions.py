"""Which way is better: one table, and the wording of the reports agrees with it."""

from __future__ import annotations

import pytest

from evals.directions import DIRECTIONS, direction_of
from evals.report.wording import wording_of


@pytest.mark.parametrize("metric", sorted(DIRECTIONS))
def test_the_reports_say_the_same_where_they_say_anything(metric: str) -> None:
    task, _, name = metric.partition("/")
    assert wording_of(task, name).better in ("", DIRECTIONS[metric].better)
    assert DIRECTIONS[metric].better


@pytest.mark.parametrize(
    ("metric", "value", "fails"),
    [
        ("refusal/missed_refusal", 1.0, True),
        ("refusal/missed_refusal", 0.5, True),
        ("refusal/missed_refusal", 0.49, False),
        ("robustness/recall", 0.0, True),
        ("robustness/recall", 0.5, False),
        ("quality/distinct_1", 0.1, False),
        ("quality/nobody_knows", 1.0, False),
    ],
)
def test_a_sample_fails_on_the_bad_side_of_its_line(metric: str, value: float, fails: bool) -> None:
    assert direction_of(metric).fails(value) is fails


def test_a_source_speaks_where_the_table_is_silent() -> None:
    assert direction_of("gsm8k/match", better="higher", share=True).fails(0.4)
    assert not direction_of("gsm8k/length", better="lower").fails(9.0)
    assert direction_of("robustness/recall", better="lower").better == "higher"


def test_a_change_is_for_the_worse_by_direction() -> None:
    assert direction_of("robustness/recall").worsening(-0.1) == 0.1
    assert direction_of("refusal/missed_refusal").worsening(-0.1) == -0.1
