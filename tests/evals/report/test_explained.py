"""The page of explanations: whole without a script or a request, and no text on it can act."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evals.explaining.explained import Explained, Trust, document, levels
from evals.explaining.swaps import GroupEffect
from evals.report.explained_html import explained_html
from evals.stats import Estimate, PairedEstimate
from guard.explain.generation.counterfactual import Change, Counterfactual
from guard.explain.schema import Attribution
from tests.evals.report.chromium import Page, find_chromium, open_page

TEXT = 'You <img src=x onerror="alert(1)"> \u202eidiot \U0001f600 fine\ud800 day'
PARTS = ((0, 3), (4, 33), (35, 42), (43, 44), (45, 50), (51, 54))


def example(text: str = TEXT, *, empty: bool = False) -> Explained:
    parts, values = ((), np.zeros(0)) if empty else (PARTS, np.array([0.5, -1.5, 4.0, 0.0, -0.2, 0.1]))
    attribution = Attribution(
        text, "toxicity<b>", "integrated-gradients", parts, values, 3.0, 0.1, np.abs(values) / 4, True, 12
    )
    change = Change((35, 42), text[35:42], "<i>it</i>")
    edit = Counterfactual(text, "edited", (change,), 0.95, 0.979, 0.2, 41)
    trust = (Trust("comprehensiveness", 0.4, (0.1, 0.7), 8, "more is better"), Trust("other", None, None, 0, "<u>"))
    facts = (("output", "<b>bold</b>"), ("score", "0.979"))
    return Explained("encoder@1<x>", "text", attribution, "log-odds", facts, ("a <note>",), trust, edit)


def effect(name: str) -> GroupEffect:
    estimate = Estimate(0.5, (0.1, 0.9), 4, 8, 1)
    moved = PairedEstimate(-0.2, (-0.3, -0.1), 4, 0)
    return GroupEffect(name, "<group>", ("a", "b"), moved, estimate, Estimate(1.0, (0.5, 1.5), 4, 4, 0), estimate)


def test_levels_stand_to_the_largest_value() -> None:
    assert levels(example().attribution) == [0, -2, 4, 0, 0, 0]
    assert levels(example(empty=True).attribution) == []


def test_document_holds_every_part_and_figure() -> None:
    (one,) = document([example()])["explanations"]
    assert [part["value"] for part in one["parts"]] == [0.5, -1.5, 4.0, 0.0, -0.2, 0.1]
    assert one["parts"][2]["standard_error"] == 1.0
    assert one["gap"] == pytest.approx(2.9 - 2.9)
    assert one["trust"][0]["interval"] == (0.1, 0.7)
    assert one["counterfactual"]["changes"] == [{"start": 35, "end": 42, "word": TEXT[35:42], "to": "<i>it</i>"}]


def test_nothing_that_was_said_acts_as_markup() -> None:
    page = explained_html([example()], [effect("<set>")], title="<title>")
    assert all(
        tag not in page for tag in ("<img", "<b>bold", "<i>it", "<u>", "<set>", "<group>", "<title><", "<script")
    )
    assert "‹U+202E›" in page
    assert "‹U+D800›" in page


def test_long_text_is_cut_and_says_so() -> None:
    long = Explained("f@1", "text", Attribution("x " * 20_000, "c", "m", (), np.zeros(0), 0.0, 0.0), "score")
    page = explained_html([long])
    assert "(20,000 more characters)" in page
    assert len(page) < 60_000


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    executable = find_chromium()
    if executable is None and "ASSAY_CHROMIUM" in os.environ:
        pytest.fail(f"ASSAY_CHROMIUM = {os.environ['ASSAY_CHROMIUM']!r} is no program that can be run")
    if executable is None:
        pytest.skip("no Chromium: install one, or name it in ASSAY_CHROMIUM")
    with open_page(executable) as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1400, 400])
def test_page_opens_clean_and_fits(page: Page, tmp_path: Path, width: int, dark: bool) -> None:
    path = tmp_path / "page.html"
    long = replace(example(), attribution=replace(example().attribution, text=TEXT + " w" * 300 + "x" * 300))
    path.write_text(explained_html([long, example(empty=True)], [effect("identity.kind")]), encoding="utf-8")
    visit = page.open(path, width=width, dark=dark)
    assert visit.complaints == []
    assert visit.requests == [path.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('.explained-text mark').length") == 2
    assert page.evaluate("document.querySelector('mark.up4').title") == "+4.000 log-odds"
    assert page.evaluate("document.querySelector('mark.up4').textContent") == "‹U+202E›idiot "
    assert page.evaluate("document.querySelector('.explained-text').textContent").startswith("You <img src=x onerror=")
    assert page.evaluate("[...document.querySelectorAll('del, ins')].map(e => e.textContent)")[1] == "<i>it</i>"
    backgrounds = {
        page.evaluate(f"getComputedStyle(document.querySelector('{mark}')).backgroundColor")
        for mark in ("mark.up4", "mark.down2", ".explained-text")
    }
    assert len(backgrounds) == 3
