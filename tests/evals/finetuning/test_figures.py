from __future__ import annotations

import math

import pytest

from evals.finetuning.figures import figure_rows, perplexities
from evals.schema import Outcome


def test_perplexities_are_those_that_a_reader_works_out() -> None:
    before = [[math.log(8)] * 2, [math.log(2)] * 2, []]
    after = [[math.log(4)] * 2, [math.log(1)] * 2, []]
    found = perplexities(before, after, units=["a", "b", "c"], n_chars=8)
    assert found.before.value == pytest.approx(4.0)
    assert found.after.value == pytest.approx(2.0)
    assert found.ratio.value == pytest.approx(0.5)
    assert (found.n_rows, found.n_ids, found.n_unscored, found.ratio.n) == (3, 4, 1, 2)
    assert found.bits_before == pytest.approx((2 * 3 + 2 * 1) / 8)
    assert figure_rows(found)[0][-2:] == ["2", "1"]


def test_the_verdict_is_the_interval_s() -> None:
    def judged(gains: list[float]) -> Outcome:
        before = [[2.0, 2.0] for _ in gains]
        after = [[2.0 - gain, 2.0 - gain / 2] for gain in gains]
        return perplexities(before, after, units=[str(n) for n in range(len(gains))], n_chars=9).outcome

    assert judged([0.5, 0.6, 0.4, 0.5]) is Outcome.PASS
    assert judged([-0.5, -0.6, -0.4, -0.5]) is Outcome.FAIL
    assert judged([0.5, -0.6, 0.4, -0.5]) is Outcome.INCONCLUSIVE
    assert judged([0.5]) is Outcome.INCONCLUSIVE


def test_rows_of_one_unit_do_not_count_as_several() -> None:
    before, after = [[2.0]] * 40, [[1.0]] * 20 + [[2.5]] * 20
    apart = perplexities(before, after, units=[str(n) for n in range(40)], n_chars=9)
    joined = perplexities(before, after, units=[str(n // 10) for n in range(40)], n_chars=9)
    assert apart.ratio.value == joined.ratio.value
    assert apart.ratio.interval is not None
    assert joined.ratio.interval is not None
    assert joined.ratio.interval[0] < apart.ratio.interval[0]


def test_no_data_is_no_figure() -> None:
    found = perplexities([[]], [[]], units=["a"], n_chars=0)
    assert found.before.value is None
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.sentence.startswith("Inconclusive")
    assert figure_rows(found)[0][1] == "no data"
