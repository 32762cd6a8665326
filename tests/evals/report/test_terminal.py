"""The terminal report: readable at 80 columns, silent in colour off a terminal, and deaf to escapes."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from rich.console import Console

from evals.report.terminal import render
from evals.schema import Report
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.strategies import reports


def _rendered(report: Report, *, width: int = 80, terminal: bool = False, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    colours: Literal["standard"] | None = "standard" if terminal else None
    render(report, Console(file=stream, width=width, force_terminal=terminal, color_system=colours, _environ={}))
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("models", [1, 2])
def test_render_fits_80_columns_and_loses_no_figure(models: int) -> None:
    report = example_report(models=models)
    shown = _rendered(report)
    assert max(len(line) for line in shown.splitlines()) <= 80
    for figure in ("0.365", "[0.307, 0.423]", "0.083", "[0.025, 0.141]", "−0.282", "[−0.334, −0.230]", "(3)"):
        assert figure in shown
    assert "✗ Fail: " in shown
    assert "…" not in shown


def test_render_wide_puts_the_interval_beside_its_figure() -> None:
    assert "0.083 [0.025, 0.141]  better −0.282 [−0.334, −0.230]" in _rendered(example_report(models=1), width=140)


def test_render_colours_only_a_terminal() -> None:
    assert "\x1b" not in _rendered(example_report())
    assert "\x1b[1;31m✗ Fail:" in _rendered(example_report(), terminal=True)


def test_render_hostile_text_cannot_steer_the_terminal() -> None:
    shown = _rendered(hostile_report(), terminal=True)
    ours = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", ours)
    assert "[bold red]markup[/]" in re.sub(r"[│\s]+", " ", ours)
    assert "title\x07" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_render_other_encodings_lose_signs_but_not_figures(encoding: str) -> None:
    shown = _rendered(example_report(), encoding=encoding)
    assert "-0.282" in shown
    assert "x Fail:" in shown
    assert "<U+202E>" in _rendered(hostile_report(), encoding=encoding)


@given(reports)
@settings(max_examples=25, deadline=None)
def test_render_any_report_is_printable(report: Report) -> None:
    assert "\x1b" not in _rendered(report, width=60)


def test_render_without_checks_says_the_verdict() -> None:
    assert "Gate" not in (shown := _rendered(replace(example_report(), checks=())))
    assert "Fail:" in shown
