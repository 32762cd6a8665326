"""The cascade: what it settles, what it passes on, and the bound on what it misses."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError, DataError, FilterError
from guard.filters.callable import CallableFilter
from guard.filters.cascade import CascadeFilter, Reader, blend_scores, fit_cascade
from guard.schema import Scores


class Table:
    """Scores looked up by text; counts the texts it was asked about."""

    def __init__(self, rows: dict[str, list[float]], categories: tuple[str, ...] = ("rude", "odd")) -> None:
        self.rows, self.categories, self.asked = rows, categories, list[str]()
        self.name = f"table@{len(rows)}"

    def score_batch(self, items: Sequence[str]) -> Scores:
        self.asked += items
        return np.array([self.rows[item] for item in items], dtype=np.float32).reshape(-1, len(self.categories))


class LatinTable(Table):
    def reads(self, text: str) -> bool:
        return text.isascii()


CHEAP = {"calm": [0.1, 0.1], "rude": [0.4, 0.1], "odd": [0.1, 0.4], "sure": [0.95, 0.1], "тихо": [0.0, 0.0]}
DEAR = {"calm": [0.8, 0.0], "rude": [0.7, 0.2], "odd": [0.0, 0.6], "sure": [0.6, 0.3], "тихо": [0.9, 0.0]}


def test_dear_filter_reads_only_what_is_open() -> None:
    dear = Table(DEAR)
    cascade = CascadeFilter(Table(CHEAP), dear, low=0.3)
    scores = cascade.score_batch(["calm", "rude", "odd"])
    assert dear.asked == ["rude", "odd"]
    assert np.array_equal(scores, np.float32([[0.1, 0.1], [0.7, 0.2], [0.0, 0.6]]))
    assert (cascade.stats().n_texts, cascade.stats().n_skipped) == (3, 1)
    assert cascade.stats().share_skipped == pytest.approx(1 / 3)


def test_one_category_over_its_low_opens_the_text() -> None:
    dear = Table(DEAR)
    CascadeFilter(Table(CHEAP), dear, low={"rude": 0.5, "odd": 0.1}).score_batch(["calm", "rude", "odd"])
    assert dear.asked == ["calm", "rude", "odd"]  # 0.1 is not below 0.1


def test_low_of_zero_settles_nothing_and_of_one_nearly_all() -> None:
    dear = Table(DEAR)
    assert np.array_equal(
        CascadeFilter(Table(CHEAP), dear, low=0).score_batch(["calm", "тихо"]), np.float32([[0.8, 0], [0.9, 0]])
    )
    assert CascadeFilter(Table(CHEAP), Table({}), low=1).score_batch(["calm", "sure"]).shape == (2, 2)


def test_high_settles_what_is_certain_in_any_category() -> None:
    dear = Table(DEAR)
    cascade = CascadeFilter(Table(CHEAP), dear, low=0.3, high={"rude": 0.9})
    assert np.array_equal(cascade.score_batch(["sure", "odd"]), np.float32([[0.95, 0.1], [0.0, 0.6]]))
    assert dear.asked == ["odd"]


def test_text_that_the_cheap_filter_does_not_read_is_never_settled() -> None:
    dear = Table(DEAR)
    assert isinstance(LatinTable(CHEAP), Reader)
    scores = CascadeFilter(LatinTable(CHEAP), dear, low=0.3).score_batch(["calm", "тихо"])
    assert dear.asked == ["тихо"]
    assert scores[1, 0] == np.float32(0.9)


def test_text_that_the_cheap_filter_does_not_read_is_not_blended() -> None:
    cascade = CascadeFilter(LatinTable(CHEAP), Table(DEAR), low=0, blend=1.0)
    read, unread = cascade.score_batch(["calm", "тихо"])[:, 0]
    assert unread == np.float32(0.9)
    assert read < np.float32(0.8)


def test_columns_follow_the_dear_filter() -> None:
    cheap = Table({"a": [0.9, 0.2, 0.1]}, ("extra", "odd", "rude"))
    cascade = CascadeFilter(cheap, Table({"a": [0.5, 0.6]}), low=0.3)
    assert cascade.categories == ("rude", "odd")
    assert np.array_equal(cascade.score_batch(["a"]), np.float32([[0.1, 0.2]]))


def test_blend_applies_to_open_texts_only() -> None:
    cascade = CascadeFilter(Table(CHEAP), Table(DEAR), low=0.3, blend={"rude": 1.0})
    calm, rude = cascade.score_batch(["calm", "rude"])
    assert calm[0] == np.float32(0.1)
    odds = np.sqrt((0.4 / 0.6) * (0.7 / 0.3))
    assert rude[0] == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert rude[1] == np.float32(0.2)  # no share given: the dear score, to the bit


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 2), max_size=20), st.floats(0, 10))
@settings(max_examples=50)
def test_blend_stays_in_range_and_keeps_agreement(pairs: list[tuple[float, float]], share: float) -> None:
    cheap, dear = np.float32([p[:1] for p in pairs]).reshape(-1, 1), np.float32([p[1:] for p in pairs]).reshape(-1, 1)
    blended = blend_scores(cheap, dear, [share])
    assert blended.dtype == np.float32
    assert ((blended >= 0) & (blended <= 1)).all()
    assert np.allclose(blend_scores(dear, dear, [share]), dear, atol=1e-6)
    if share > 0:
        assert (blended <= np.maximum(np.maximum(cheap, dear), 1e-6) + 1e-6).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": {"rude": 0.3}}, "odd is missing"),
        ({"low": {"rude": 0.3, "odd": 0.3, "rood": 0.1}}, "rood is unknown"),
        ({"low": 1.5}, "must lie in"),
        ({"low": float("nan")}, "must lie in"),
        ({"low": 0.5, "high": 0.4}, "is over high"),
        ({"low": 0.5, "blend": -1}, "must lie in"),
    ],
)
def test_impossible_setting_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CascadeFilter(Table(CHEAP), Table(DEAR), **options)  # type: ignore[arg-type]


def test_cheap_filter_that_lacks_a_category_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no odd"):
        CascadeFilter(Table(CHEAP, ("rude", "other")), Table(DEAR), low=0.3)


@pytest.mark.parametrize("broken", ["cheap", "dear"])
@pytest.mark.parametrize("value", [np.float32([[np.nan, 0.0]]), np.zeros((1, 3), np.float32), None])
def test_failure_of_either_filter_is_the_cascades(broken: str, value: object) -> None:
    class Broken(Table):
        def score_batch(self, items: Sequence[str]) -> Scores:
            return value  # type: ignore[return-value]

    filters = {"cheap": Table(CHEAP), "dear": Table(DEAR)} | {broken: Broken({})}
    with pytest.raises(FilterError, match="table@0"):
        CascadeFilter(**filters, low=0.3).score_batch(["rude"])


def test_exception_of_a_filter_is_chained() -> None:
    with pytest.raises(FilterError, match="cannot score 1 items") as caught:
        CascadeFilter(Table({}), Table(DEAR), low=0.3).score_batch(["rude"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_name_tells_filters_and_settings_apart() -> None:
    cheap, dear = Table(CHEAP), Table(DEAR)
    names = [
        CascadeFilter(cheap, dear, low=0.3).name,
        CascadeFilter(cheap, dear, low=0.2).name,
        CascadeFilter(cheap, dear, low=0.3, high=0.9).name,
        CascadeFilter(cheap, dear, low=0.3, blend=0.5).name,
        CascadeFilter(dear, Table(DEAR | {"x": [0, 0]}), low=0.3).name,
    ]
    assert len(set(names)) == 5
    assert names[0] == CascadeFilter(cheap, dear, low={"odd": 0.3, "rude": 0.3}).name


def test_counters_lose_nothing_between_threads() -> None:
    cascade = CascadeFilter(
        CallableFilter(lambda text: float(len(text) > 3), categories=["long"]),
        CallableFilter(lambda _: 0.5, categories=["long"]),
        low=0.5,
    )
    threads = [
        threading.Thread(target=lambda: [cascade.score_batch(["abc", "abcd"]) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cascade.stats().n_texts, cascade.stats().n_skipped) == (800, 400)


def test_share_skipped_of_nothing_is_no_number() -> None:
    assert CascadeFilter(Table(CHEAP), Table(DEAR), low=0.3).stats().share_skipped is None


def _random_scores(seed: int, n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    harmful = rng.random(n) < 0.3
    shift = np.where(harmful, 1.2, -1.2)[:, None]
    logits = [shift + rng.normal(size=(n, 2)) * spread for spread in (1.5, 1.0)]
    cheap, dear = (1 / (1 + np.exp(-z)) for z in logits)
    return cheap.astype(np.float32), dear.astype(np.float32)


def test_fit_by_hand() -> None:
    # Five calm texts; 60 that fire. 59 would be too few to bound 5% with none missed, as log 0.05 / log 0.95 = 58.4.
    cheap = np.float32([0.1, 0.2, 0.3, 0.4, 0.5] + [0.45] * 60)[:, None]
    dear = np.float32([0.0] * 5 + [0.9] * 60)[:, None]
    fit = fit_cascade(cheap, dear, [0.8], max_added_miss=0.05)
    assert fit.low == pytest.approx((0.4,))
    assert (fit.n_fired, fit.n_missed) == (60, 0)
    assert fit.bound == pytest.approx(1 - 0.05 ** (1 / 60))
    assert fit.share_skipped == pytest.approx(3 / 65)


@pytest.mark.parametrize("seed", range(3))
def test_fitted_cascade_misses_what_the_fit_says(seed: int) -> None:
    cheap, dear = _random_scores(seed)
    fit = fit_cascade(cheap, dear, [0.7, 0.8], max_added_miss=0.03)
    assert 0 < fit.share_skipped < 1
    assert fit.bound <= 0.03
    assert all(low < limit for low, limit in zip(fit.low, (0.7, 0.8), strict=True))
    texts = [str(index) for index in range(len(cheap))]
    rows = [dict(zip(texts, scores.tolist(), strict=True)) for scores in (cheap, dear)]
    cascade = CascadeFilter(Table(rows[0]), Table(rows[1]), low=dict(zip(("rude", "odd"), fit.low, strict=True)))
    found = cascade.score_batch(texts)
    before, after = ((scores >= (0.7, 0.8)).any(axis=1) for scores in (dear, found))
    assert (before & ~after).sum() == fit.n_missed
    assert (~before & after).sum() == 0
    assert cascade.stats().share_skipped == pytest.approx(fit.share_skipped)


def test_bound_holds_on_new_texts_at_its_level() -> None:
    broken = 0
    for seed in range(200):
        fit = fit_cascade(*_random_scores(seed, 600), [0.7, 0.8], max_added_miss=0.05)
        cheap, dear = _random_scores(10_000 + seed, 20_000)
        fired = (dear >= (0.7, 0.8)).any(axis=1)
        broken += ((cheap < fit.low).all(axis=1) & fired).sum() / fired.sum() > 0.05
    assert broken <= 19  # of 200 at level 0.95: 10 expected at most, 19 with probability 0.997


def test_category_without_a_rule_holds_nothing_back() -> None:
    cheap, dear = _random_scores(0)
    cheap[:, 1] = 0.99
    assert fit_cascade(cheap, dear, [0.7, np.inf], max_added_miss=0.05).low[1] == 1.0
    assert fit_cascade(cheap, dear, [0.7, np.inf], max_added_miss=0.05).share_skipped > 0.1
    assert fit_cascade(cheap, dear, [0.7, 0.8], max_added_miss=0.05).share_skipped == 0


def test_larger_allowance_settles_more() -> None:
    cheap, dear = _random_scores(1)
    shares = [fit_cascade(cheap, dear, [0.7, 0.8], max_added_miss=m).share_skipped for m in (0.01, 0.03, 0.1, 0.3)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_cheap_filter_that_ranks_a_firing_text_lowest_settles_nothing() -> None:
    cheap = np.float32([0.5] * 20 + [0.0] * 60)[:, None]
    dear = np.float32([0.0] * 20 + [0.9] * 60)[:, None]
    fit = fit_cascade(cheap, dear, [0.8], max_added_miss=0.05)
    assert (fit.low, fit.share_skipped) == ((0.0,), 0.0)


def test_too_few_firing_texts_are_refused_with_the_number_needed() -> None:
    cheap, dear = np.zeros((58, 1)), np.ones((58, 1))
    with pytest.raises(DataError, match=r"58 texts fire, .* at least 59"):
        fit_cascade(cheap, dear, [0.5], max_added_miss=0.05)


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.5, 0.5], [np.inf, np.inf]])
def test_thresholds_that_do_not_fit_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        fit_cascade(*_random_scores(0), thresholds, max_added_miss=0.05)


@pytest.mark.parametrize("most", [0, 1, -0.1])
def test_impossible_allowance_is_refused(most: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        fit_cascade(*_random_scores(0), [0.5, 0.5], max_added_miss=most)
