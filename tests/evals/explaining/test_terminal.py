"""Explanations on a terminal: colours where there are some, brackets where there are none, and no text that acts."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from evals.explaining.explained import Trust
from evals.explaining.terminal import marked, show_effects, show_explained, show_overall
from tests.evals.report.test_explained import effect, example


def _shown(*, colour: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=colour, color_system="truecolor" if colour else None, width=100)
    show_explained([example(), replace(example(empty=True), counterfactual=None)], console)
    show_effects([effect("identity.kind")], console)
    show_overall([Trust("gap", 0.1, None, 2, "what is missed")], console)
    return out.getvalue()


def test_without_colour_values_stand_before_their_words() -> None:
    shown = _shown(colour=False)
    assert "[-1.50 <img src=x onerror=" in shown
    assert "[+4.00 ‹U+202E›idiot ]" in shown
    assert "\x1b" not in shown
    assert "standard error" in shown
    assert "Least edit: '‹U+202E›idiot' -> '<i>it</i>'" in shown
    assert "Over all texts, gap: 0.100, n 2; what is missed" in shown
    assert "<group>: attribution and exchange" not in shown
    assert "opposite signs" in shown


def test_with_colour_words_have_backgrounds_and_no_brackets() -> None:
    shown = _shown(colour=True)
    assert "\x1b[" in shown
    assert "[+4.00" not in shown
    text = marked(example(), colour=True)
    assert text.plain.startswith("You <img")
    assert {str(span.style).partition(" on ")[0] for span in text.spans} == {"black", "bold white"}


def test_all_values_nothing_marks_nothing() -> None:
    still = replace(example(), attribution=replace(example().attribution, values=np.zeros(6)))
    assert "[" not in marked(still, colour=False).plain
