"""The page of a hardening, as Markdown and as HTML: figures, rounds, and text that cannot act as markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from evals.harden_filter.figures import Change, Side, rate_change
from evals.report.hardened import Hardened, Turn, hardened_markdown
from evals.report.hardened_html import hardened_html
from evals.schema import Check, Outcome


def _change() -> Change:
    before = {str(i): float(i < 30) for i in range(40)}
    after = {str(i): float(i < 10) for i in range(40)}
    return rate_change("attack/x/success", "x success", before, after, fall=0.5)


def _turn(title: str, success: float | None, left: float | None) -> Turn:
    side = Side(success, None if success is None else (success / 2, (1 + success) / 2), 40)
    return Turn(title, "deepwordbug", side, Side(0.5, (0.4, 0.6), 40), left)


@pytest.fixture
def page() -> Hardened:
    check = Check("filter@1", "harden/x", "guarded", "max", 0.0, Outcome.PASS, "x fell", -0.5, (-0.6, -0.4))
    return Hardened(
        title="encoder against <b>attackers</b>",
        outcome=Outcome.PASS,
        sentence="Pass: all 1 limits hold.",
        checks=[check],
        changes=[_change(), replace(_change(), title="prose", before=Side(1.5, None, 3), after=Side(None, None, 0))],
        notes=["A note with | and <script>alert(1)</script>."],
        facts=[("Seed", "0")],
        turns=[_turn("before", 0.9, 0.5), _turn("round 1", 0.4, 0.0)],
        strategies=["deepwordbug", "pruthi"],
        payoffs=[[0.9, 0.3], [0.4, 0.1]],
    )


def test_markdown_has_the_figures_and_escapes_what_it_is_given(page: Hardened) -> None:
    shown = hardened_markdown(page)
    assert "| x success ↓ | 0.750 [0.588, 0.873] | 0.250 " in shown
    assert "**Pass.**" in shown
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "| before | deepwordbug |" in shown


def test_html_escapes_names_the_sheet_and_holds_no_script(page: Hardened) -> None:
    shown = hardened_html(page)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "encoder against &lt;b&gt;attackers" in shown
    assert "style-src 'sha256-" in shown
    assert not re.search(r"(src|href)=\"(?!#)", shown)


def test_html_says_better_and_worse_only_where_the_interval_does(page: Hardened) -> None:
    unclear = rate_change("a", "a", {"0": 1.0, "1": 0.0}, {"0": 0.0, "1": 1.0})
    shown = hardened_html(replace(page, changes=[_change(), unclear]))
    assert shown.count('<span class="word">better</span>') == 1
    assert "worse</span>" not in shown


def test_course_needs_two_rounds_with_evidence(page: Hardened) -> None:
    assert 'class="course"' in hardened_html(page)
    missing = replace(page, turns=[_turn("before", 0.9, 0.5), _turn("round 1", None, None)])
    assert 'class="course"' not in hardened_html(missing)
    assert "no data" in hardened_html(missing)
    assert 'id="rounds"' not in hardened_html(replace(page, turns=[], payoffs=[]))


def test_a_page_without_changes_is_whole(page: Hardened) -> None:
    empty = replace(page, changes=[], checks=[], notes=[], facts=[], turns=[], payoffs=[], strategies=[])
    assert hardened_html(empty).rstrip().endswith("</html>")
    assert hardened_markdown(empty).startswith("# encoder against")
