"""MAUVE: that of the paper's own curve, sure of nothing on few texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from evals.scorers.mauve import LEAST_TEXTS, Histograms, MauveScorer, mauve, mauve_estimate, mauve_note, quantised
from guard.errors import DataError

Floats = npt.NDArray[np.float64]


def _embed(texts: Sequence[str]) -> Floats:
    """A vector for each text: its topic, which is its first word, with a little of the rest."""
    rows = []
    for text in texts:
        topic, number = text.split()
        rng = np.random.default_rng(int(number))
        rows.append(np.eye(8)[int(topic)] * 5 + rng.normal(size=8))
    return np.array(rows)


def _texts(n: int, *, topics: int, start: int = 0) -> list[str]:
    return [f"{i % topics} {start + i}" for i in range(n)]


def test_equal_histograms_are_one_and_disjoint_ones_near_zero() -> None:
    half, other = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.0, 0.0, 0.5, 0.5])
    assert float(mauve(half, half)) == pytest.approx(1.0, abs=1e-4)
    assert float(mauve(half, other)) == pytest.approx(0.0041, abs=1e-3)  # the least that scale 5 and 25 points give
    assert float(mauve(half, other)) == pytest.approx(float(mauve(other, half)))


def test_rows_are_scored_one_by_one() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(20), size=3), rng.dirichlet(np.ones(20), size=3)
    assert mauve(p, q) == pytest.approx([float(mauve(p[i], q[i])) for i in range(3)])


def test_curve_is_that_of_the_papers_own_package() -> None:
    theirs = pytest.importorskip("mauve.compute_mauve")
    from sklearn.metrics import auc

    rng = np.random.default_rng(1)
    for _ in range(5):
        p, q = rng.dirichlet(np.full(30, 0.3)), rng.dirichlet(np.full(30, 0.3))
        curve = theirs.get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 25), 5)
        x, y = curve.T
        area = (auc(x[x.argsort()], y[x.argsort()]) + auc(y[y.argsort()], x[y.argsort()])) / 2
        assert float(mauve(p, q)) == pytest.approx(area, abs=1e-9)


def test_same_topics_score_higher_than_fewer_topics() -> None:
    people = _embed(_texts(LEAST_TEXTS, topics=8))
    alike = mauve_estimate(quantised(people, _embed(_texts(LEAST_TEXTS, topics=8, start=10_000))))
    narrow = mauve_estimate(quantised(people, _embed(_texts(LEAST_TEXTS, topics=3, start=10_000))))
    assert alike.value is not None
    assert narrow.value is not None
    assert alike.interval is not None
    assert narrow.interval is not None
    assert narrow.interval[1] < alike.interval[0]
    assert alike.interval[0] <= alike.value <= alike.interval[1]


def test_jackknife_is_that_of_leaving_each_pair_out() -> None:
    rng = np.random.default_rng(2)
    n, k = LEAST_TEXTS, 5
    found = Histograms(rng.integers(0, k, n), rng.integers(0, k, n), k)
    each = []
    for gone in range(n):
        rest = [np.bincount(np.delete(labels, gone), minlength=k) / (n - 1) for labels in (found.people, found.model)]
        each.append(float(mauve(*rest)))
    error = np.sqrt((n - 1) / n * np.square(np.array(each) - np.mean(each)).sum())
    estimate = mauve_estimate(found)
    assert estimate.value is not None
    assert estimate.interval is not None
    assert (estimate.value - estimate.interval[0]) / error == pytest.approx(1.9647, abs=1e-3)


def test_few_texts_give_no_figure_and_are_not_even_embedded() -> None:
    def never(_texts: Sequence[str]) -> Floats:
        raise AssertionError("nothing should be embedded")

    scorer = MauveScorer(_texts(LEAST_TEXTS, topics=8), never, encoder="e@1")
    found = scorer.estimate([*_texts(LEAST_TEXTS - 1, topics=8), None])
    assert (found.value, found.interval, found.n_samples, found.n_unscored) == (None, None, 0, LEAST_TEXTS)


def test_missing_and_blank_texts_count_as_unscored() -> None:
    scorer = MauveScorer(_texts(LEAST_TEXTS + 50, topics=8), _embed, encoder="e@1")
    found = scorer.estimate([*_texts(LEAST_TEXTS, topics=8, start=9_000), None, "  "])
    assert (found.n_samples, found.n_unscored) == (LEAST_TEXTS, 2)
    assert found.value is not None
    assert found.value > 0.9


def test_name_tells_the_texts_apart_and_not_their_order() -> None:
    texts = _texts(10, topics=3)
    name = MauveScorer(texts, _embed, encoder="e@1").name
    assert name == MauveScorer(texts[::-1], _embed, encoder="e@1").name
    assert name != MauveScorer(texts[:-1], _embed, encoder="e@1").name


def test_one_text_cannot_be_clustered() -> None:
    with pytest.raises(DataError, match="at least 2 on each side"):
        quantised(np.ones((1, 4)), np.ones((5, 4)))


@pytest.mark.parametrize(("n", "said"), [(40, "is not given for 40"), (900, "too good"), (6000, "like with like")])
def test_note_warns_by_the_number_of_texts(n: int, said: str) -> None:
    assert said in mauve_note("quality", n)
