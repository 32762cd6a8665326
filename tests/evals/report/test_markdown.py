"""The Markdown report: golden, and no text in it is markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from evals.report.markdown import code, prose, to_markdown
from evals.report.visible import on_one_line
from evals.schema import Outcome, Report
from tests.evals.report.conftest import GOLDEN
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports, texts

_READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def _inline(markdown: str) -> list[Token]:
    return [child for token in _READER.parse(markdown) for child in token.children or []]


def test_markdown_example_is_golden(matches_golden: Callable[[str, Path], None]) -> None:
    matches_golden(to_markdown(example_report()), GOLDEN / "report.md")


def test_markdown_says_the_verdict_first() -> None:
    lines = to_markdown(example_report()).splitlines()
    assert lines[0] == "# Assay: fail"
    assert lines[2].startswith("**✗ Fail:** smollm2-135m: robustness/false\\_alarm perturbed is")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain words, 0.5 (half)", "plain words, 0.5 (half)"),
        ("a | b", "a &vert; b"),
        ("`x`", "\\`x\\`"),
        ("<b>", "&lt;b&gt;"),
        ("![x](y)", "!\\[x\\](y)"),
        ("@team #12 # 12", "@<!-- -->team #<!-- -->12 # 12"),
        ("https://x.example", "https:<!-- -->//x.example"),
        ("see www.x.example", "see www.<!-- -->x.example"),
        ("a :tada: b: c", "a :<!-- -->tada: b: c"),
        ("$x$", "\\$x\\$"),
        ("1. item", "&#49;. item"),
        ("- item", "\\- item"),
        ("# title", "\\# title"),
        ("#1", "\\#<!-- -->1"),
        ("two\n\nlines\n", "two lines"),
        ("\u202ex", "‹U+202E›x"),
    ],
)
def test_prose_escapes_what_would_act(text: str, escaped: str) -> None:
    assert prose(text) == escaped


@given(texts)
@example("\\| `|` \\")
@example("![a](http://b) <img src=x> **c** ~~d~~ [e]: f")
def test_prose_any_text_in_a_cell_reads_as_itself(text: str) -> None:
    found = _inline(f"| h |\n| --- |\n| {prose(text)} |\n")[1:]
    assert {token.type for token in found} <= {"text", "text_special", "html_inline"}
    assert all(token.content == "<!-- -->" for token in found if token.type == "html_inline")
    shown = "".join(token.content for token in found if token.type != "html_inline")
    assert shown == on_one_line(text)


@given(texts)
def test_prose_any_text_in_a_list_is_one_paragraph(text: str) -> None:
    kinds = [token.type for token in _READER.parse(f"- {prose('x' + text)}\n- {prose(text)}.\n")]
    item = ["list_item_open", "paragraph_open", "inline", "paragraph_close", "list_item_close"]
    assert kinds == ["bullet_list_open", *item, *item, "bullet_list_close"]


@given(texts)
@example("a|b`c\\")
@example("\\")
def test_code_any_text_in_a_cell_reads_as_itself(text: str) -> None:
    found = _inline(f"| h | i |\n| --- | --- |\n| {code(text)} | x |\n")[2:]
    shown = "".join(token.content for token in found if token.type != "html_inline")
    assert shown == f"{on_one_line(text)}x"
    assert {token.content for token in found if token.type == "html_inline"} <= {"<code>", "</code>"}


def test_markdown_hostile_text_stays_text() -> None:
    page = to_markdown(hostile_report())
    found = _inline(page)
    assert not {token.type for token in found} & {"image", "link_open", "s_open"}
    kept = {token.content for token in found if token.type == "html_inline"}
    assert kept == {"<!-- -->", "<code>", "</code>"}
    for acting in ("<script", "<img", "@everyone", "http://", "\x1b", "\u202e", "\x00", "\ud800"):
        assert acting not in re.sub(r"`[^`\n]*`", "", page)


@given(reports)
@settings(max_examples=25, deadline=None)
def test_markdown_any_report_has_no_markup_of_others(report: Report) -> None:
    page = to_markdown(report)
    page.encode("utf-8")
    found = _inline(page)
    assert not {token.type for token in found} & {"image", "link_open", "s_open"}
    assert {token.content for token in found if token.type == "html_inline"} <= {"<!-- -->", "<code>", "</code>"}


def test_markdown_without_checks_models_and_notes_is_still_a_page() -> None:
    bare = replace(
        example_report(), checks=(), models=(), notes=(), provenance={}, times={}, outcome=Outcome.INCONCLUSIVE
    )
    page = to_markdown(bare)
    assert "# Assay: inconclusive" in page
    assert "No limit was set, so nothing was checked." in page
