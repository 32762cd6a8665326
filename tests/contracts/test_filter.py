"""Contract 1: what every filter owes its caller, whatever is inside it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from guard.schema import Filter, Locator, check_scores
from tests.contracts.filters import FACTORIES

ORDINARY = ["you are nice", "You are AWFUL!", "awful " * 30, "", "1234", "你这个傻瓜", "a", "the quick brown fox " * 5]
ORDINARY += ["mail jo@example.org", "password = 'hunter2!x'", "Should I take aspirin?"]
STRANGE = [
    "",
    " ",
    "\x00",
    "aw\x00ful",
    "\ud800",
    "awful \udfff\ud800 awful",
    "👨\u200d👩\u200d👧\u200d👦 awful 🏳️\u200d🌈",
    "\u202ea\u200bw\u200bful",
    "a\u0301\u0302\u0303" * 50,
    "\U0010ffff\ufffe",
    "ﷺ" * 100,
    "\r\n\t\x0b\x85\u2028",
]
ATOL = 1e-5


@pytest.fixture(scope="module", params=sorted(FACTORIES))
def filter_(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filter[str]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    return FACTORIES[request.param](folder)


def test_has_name_and_categories(filter_: Filter[str]) -> None:
    assert isinstance(filter_, Filter)
    kind, at, digest = filter_.name.partition("@")
    assert kind
    assert at
    assert digest
    assert isinstance(filter_.categories, tuple)
    assert filter_.categories
    assert len(set(filter_.categories)) == len(filter_.categories)
    assert all(isinstance(category, str) and category for category in filter_.categories)


@pytest.mark.parametrize("n_items", [0, 1, 2, 33])
def test_scores_are_a_matrix(filter_: Filter[str], n_items: int) -> None:
    items = list(itertools.islice(itertools.cycle(ORDINARY), n_items))
    check_scores(filter_.score_batch(items), n_items=n_items, filter_=filter_)


def test_scores_tell_texts_apart(filter_: Filter[str]) -> None:
    assert np.ptp(filter_.score_batch(ORDINARY), axis=0).max() > 0.01


def test_row_does_not_depend_on_its_neighbours(filter_: Filter[str]) -> None:
    together = filter_.score_batch(ORDINARY)
    alone = np.concatenate([filter_.score_batch([item]) for item in ORDINARY])
    order = np.random.default_rng(0).permutation(len(ORDINARY))
    shuffled = filter_.score_batch([ORDINARY[i] for i in order])
    assert np.allclose(together, alone, atol=ATOL)
    assert np.allclose(together[order], shuffled, atol=ATOL)


def test_same_text_scores_the_same_again(filter_: Filter[str]) -> None:
    assert np.array_equal(filter_.score_batch(ORDINARY), filter_.score_batch(ORDINARY))


@pytest.mark.parametrize("item", STRANGE)
def test_strange_text_is_scored(filter_: Filter[str], item: str) -> None:
    check_scores(filter_.score_batch([item, "you"]), n_items=2, filter_=filter_)


@pytest.mark.parametrize("item", ["are nice " * 11_112, "x" * 100_000, "ｆ" * 10_000, "аb" * 5_000])
def test_long_text_is_scored(filter_: Filter[str], item: str) -> None:
    check_scores(filter_.score_batch([item]), n_items=1, filter_=filter_)


def test_end_of_a_long_text_counts(filter_: Filter[str]) -> None:
    padding = "nice day " * 300
    endings = ["awful", "you", "1", "aaaa", "zzz qxq", "i hate you", "stupid person", "are"]
    endings += ["jo@example.org", "password=hunter2x", "should i take aspirin?"]
    without, *with_ending = filter_.score_batch([padding, *(padding + f"{ending} " * 20 for ending in endings)])
    # Of a model with random weights, one ending or another outweighs the padding; cut off, none could.
    assert any(not np.allclose(row, without, atol=1e-4) for row in with_ending)


def test_spans_lie_inside_the_text_in_order(filter_: Filter[str]) -> None:
    if not isinstance(filter_, Locator):
        pytest.skip("cannot locate")
    for text in [*ORDINARY, *STRANGE]:
        spans = filter_.locate(text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
        assert all(span.category in filter_.categories and 0 < span.score <= 1 for span in spans)
        assert [span.start for span in spans] == sorted(span.start for span in spans)
    assert any(filter_.locate(text) for text in ORDINARY)


def test_located_category_has_a_score_and_the_reverse(filter_: Filter[str]) -> None:
    if not isinstance(filter_, Locator):
        pytest.skip("cannot locate")
    for text, row in zip(ORDINARY, filter_.score_batch(ORDINARY), strict=True):
        scores = dict(zip(filter_.categories, row, strict=True))
        located = {span.category for span in filter_.locate(text)}
        # What a model scores faintly, or cannot read, it need not find; a word list finds all that it scores.
        assert (
            {c for c in scores if scores[c] >= 0.5 and text and text.isascii()}
            <= located
            <= {c for c in scores if scores[c] > 0}
        )
