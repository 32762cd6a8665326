"""Plots put figures where they belong, and write no text that could act."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.curves import Curve
from evals.report.plots import axis_for, check_strip, histogram, roc, scale, strip
from evals.schema import Check, Histogram, Metric, Outcome

_BEFORE = Metric("m", "t", "unguarded", 0.5, (0.25, 1.0), 9, 9, 0)
_AFTER = Metric("m", "t", "guarded", None, None, 9, 0, 9)


@pytest.mark.parametrize(
    ("values", "share", "ticks"),
    [
        ([0.1, 0.9], True, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ([0.0], True, (0.0, 0.02, 0.04, 0.06)),
        ([], True, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ([1.2, 1.9], False, (1.2, 1.4, 1.6, 1.8, 2.0)),
        ([3.0], False, (2.6, 2.8, 3.0, 3.2, 3.4)),
        ([1.5e308, 1.6e308], False, (9e299, 9.5e299, 1e300, 1.05e300, 1.1e300)),
        ([-5e-324, 5e-324], False, (-0.05, -0.025, 0.0, 0.025, 0.05)),
    ],
)
def test_axis_for_has_round_ticks(values: list[float], share: bool, ticks: tuple[float, ...]) -> None:
    assert axis_for(values, share=share).ticks == ticks


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.booleans())
def test_axis_for_any_values_holds_them(values: list[float], share: bool) -> None:
    axis = axis_for(values, share=share)
    assert axis.low < axis.high
    assert axis.low <= min(values) + 1e-6
    assert max(values) <= axis.high + 1e-6
    assert 2 <= len(axis.ticks) <= 8
    assert all(0 <= axis.at(value) <= 100 for value in values)


def test_strip_draws_the_interval_and_says_it() -> None:
    drawn = str(strip([_BEFORE, _AFTER], axis_for([0.0, 1.0], share=True), limits=[0.25]))
    assert 'aria-label="unguarded 0.500 [0.250, 1.000]; guarded not scored"' in drawn
    assert '<line class="whisker before" x1="26.50%" x2="97.00%" y1="12" y2="12"/>' in drawn
    assert '<circle class="dot before" cx="50.00%"' in drawn
    assert "after" not in drawn
    assert '<line class="limit" x1="26.50%" x2="26.50%"' in drawn


@pytest.mark.parametrize(("bound", "shaded"), [("max", r'x="(\d+\.\d+)%"'), ("min", r'width="(\d+\.\d+)%"')])
def test_check_strip_shades_the_forbidden_side(bound: str, shaded: str) -> None:
    check = Check("m", "t/n", "guarded", "max" if bound == "max" else "min", 0.1, Outcome.FAIL, "", 0.2, (0.1, 0.3))
    drawn = str(check_strip(check))
    edge = re.search(shaded, drawn)
    limit = re.search(r'class="limit" x1="(\d+\.\d+)%"', drawn)
    assert edge
    assert limit
    assert edge[1] == limit[1]


def test_check_strip_without_a_value_shows_the_limit() -> None:
    drawn = str(check_strip(Check("m", "t/n", "guarded", "max", 0.0, Outcome.INCONCLUSIVE, "")))
    assert 'aria-label="not scored, limit ≤ 0.000"' in drawn
    assert "whisker" not in drawn


def test_histogram_heights_follow_the_square_root() -> None:
    found = Histogram("t", "s", "unguarded", (0.0, 0.5, 1.0), (100, 25), 0)
    heights = [float(h) for h in re.findall(r'class="bar before"[^>]*height="([\d.]+)"', str(histogram(found, None)))]
    assert heights[1] == pytest.approx(heights[0] / 2, abs=0.1)
    assert "unguarded: 125 samples" in str(histogram(found, None))


def test_histogram_of_nothing_is_empty() -> None:
    found = Histogram("t", "s", "guarded", (0.0, 1.0), (0,), 7)
    assert "rect" not in str(histogram(None, found))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_histogram_any_counts_stay_inside(counts: list[int]) -> None:
    edges = tuple(float(i) for i in range(len(counts) + 1))
    drawn = str(histogram(Histogram("t", "s", "guarded", edges, tuple(counts), 0), None))
    for y, height in re.findall(r'<rect[^>]* y="([\d.-]+)" height="([\d.-]+)"', drawn):
        assert float(y) >= 0
        assert float(height) >= 0


def test_scale_writes_its_ticks() -> None:
    assert re.findall(r">([^<>]+)</text>", str(scale(axis_for([-1.0, 1.0], share=False)))) == [
        "−1",
        "−0.5",
        "0",
        "0.5",
        "1",
    ]


def test_roc_climbs_from_corner_to_corner() -> None:
    curve = Curve("refusal", "all", "jail\u202ebreak", (0.2, 0.9), (0.1, 0.5))
    drawn = str(roc(curve, curve.at(0.5)))
    assert 'points="0.0,100.0 0.0,50.0 50.0,50.0 50.0,0.0 100.0,0.0"' in drawn
    assert '<circle class="dot after" cx="50.0" cy="50.0"' in drawn
    assert 'aria-label="ROC curve of jail‹U+202E›break, area 0.750; at 0.500 recall 0.500, false alarms 0.500"' in drawn
    assert "circle" not in str(roc(curve, None))


def test_roc_of_many_scores_stays_small() -> None:
    scores = tuple(i / 20_000 for i in range(20_000))
    assert len(str(roc(Curve("refusal", "all", "c", scores, scores), None))) < 40_000
