"""What every method promises of every filter that it can explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from guard.errors import FilterError
from guard.explain.filters.linear import LinearFilter
from guard.explain.filters.table import explainer, methods
from guard.filters.differentiable import Differentiable
from guard.schema import Filter, Scores
from tests.contracts.filters import FACTORIES

TEXTS = ["you are aw\u200bful", "", "stupid ｋｉｎｄ person, call 555-1234!", "a \U0001f600 \ud800 傻瓜", " \t\n"]
METHODS = (
    "exact",
    "gradient-x-input",
    "integrated-gradients",
    "occlusion",
    "path-gradient",
    "shapley",
    "shapley-exact",
    "state-gradient",
)

Made = Callable[[str], Filter[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make each filter once."""
    known: dict[str, Filter[str]] = {}

    def make(name: str) -> Filter[str]:
        if name not in known:
            folder: Path = tmp_path_factory.mktemp("filter")
            known[name] = FACTORIES[name](folder)
        return known[name]

    return make


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_explanations_fit_their_texts_and_scores(made: Made, name: str) -> None:
    filter_ = made(name)
    scores = filter_.score_batch(TEXTS)[:, 0]
    for method in methods(filter_):
        _check(filter_, method, scores)


def _check(filter_: Filter[str], method: str, scores: Scores) -> None:
    category, explain = filter_.categories[0], explainer(filter_, method, error=1.0).explain
    found = explain(TEXTS, category)
    assert [one.text for one in found] == TEXTS
    for one, score in zip(found, scores, strict=True):
        assert (one.category, one.method) == (category, method)
        assert one.values.dtype == np.float64
        edges = [edge for part in one.parts for edge in part]
        assert edges == sorted(edges)
        assert all(0 <= start < end <= len(one.text) for start, end in one.parts)
        by_odds = isinstance(filter_, Differentiable) or method == "exact"
        number = 1 / (1 + np.exp(-one.number)) if by_odds else one.number
        assert number == pytest.approx(score, abs=2e-2 if filter_.name.startswith("encoder") else 1e-4)
        if one.complete and method != "integrated-gradients":
            assert one.gap == pytest.approx(0.0, abs=1e-5)
    assert found[1].parts == ()
    for at in (2, 0):
        (alone,) = explain([TEXTS[at]], category)
        assert alone.values == pytest.approx(found[at].values, abs=1e-5)
        assert alone.n_scored == found[at].n_scored


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_no_text_is_no_explanation_and_a_strange_category_an_error(made: Made, name: str) -> None:
    filter_ = made(name)
    assert explainer(filter_).explain([], filter_.categories[0]) == []
    with pytest.raises(FilterError, match="no category 'nothing of the kind'"):
        explainer(filter_).explain(["a"], "nothing of the kind")


def test_every_method_explains_some_filter(made: Made) -> None:
    assert {method for name in FACTORIES for method in methods(made(name))} == set(METHODS)
    assert any(isinstance(made(name), LinearFilter) for name in FACTORIES)
