from __future__ import annotations

import re
from xml.etree import ElementTree

from evals.report.finetuned import Course, Finetuned, Shown, finetuned_markdown
from evals.report.finetuned_html import finetuned_html
from evals.schema import Outcome

NASTY = '<script>alert("x")</script> [a](javascript:1) | \u202e'
PAGE = Finetuned(
    title="mine fine-tuned",
    outcome=Outcome.PASS,
    sentence=NASTY,
    figures=[("", "before", "after"), ("perplexity", "12.3 [10.1, 14.2]", "4.5 [4.1, 5.0]")],
    check=[("in the data", "rows"), ("data: copies", "1,203")],
    courses=[
        Course("loss", [(step, 3.0 / (step + 1)) for step in range(1, 900)], [(0, 3.1), (450, 0.2), (899, 0.3)], 450)
    ],
    samples=[Shown(NASTY, "reference", "before", "after")],
    notes=[NASTY],
    facts=[("data", NASTY)],
)


def test_no_text_acts_as_markup() -> None:
    page, text = finetuned_html(PAGE), finetuned_markdown(PAGE)
    assert "<script" not in page
    assert "<script" not in text
    assert "[a](" not in text
    assert "\u202e" not in page
    assert "\u202e" not in text


def test_curves_go_where_the_numbers_say() -> None:
    page = finetuned_html(PAGE)
    drawn = re.search(r'<svg class="course-plot".*?</svg>', page, re.DOTALL)
    assert drawn is not None
    root = ElementTree.fromstring(drawn[0])
    train, validation = (
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in root.iter("polyline")
    )
    assert len(train) < 500
    assert [y for _, y in train] == sorted(y for _, y in train)  # a loss that falls goes down the page
    (dot,) = root.iter("circle")
    assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == validation[1]
    assert root.attrib["aria-label"] == "loss: step 0 3.1, step 450 0.2, step 899 0.3"


def test_figures_stand_in_both_and_are_not_escaped() -> None:
    text = finetuned_markdown(PAGE)
    assert "| perplexity | 12.3 [10.1, 14.2] | 4.5 [4.1, 5.0] |" in text
    assert "1,203" in text
    assert "12.3 [10.1, 14.2]" in finetuned_html(PAGE)


def test_a_course_without_points_draws_nothing() -> None:
    empty = Finetuned("x", Outcome.INCONCLUSIVE, "y", [("", "n")], [("", "n")], [Course("loss", [], [])])
    assert "<polyline" not in finetuned_html(empty)
    assert "Samples" not in finetuned_markdown(empty)
