"""A comparison in every rendering: the same figures, hostile text as text, and files written in one step."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from evals.compare import RunComparison, compare
from evals.comparison.drops import Drop
from evals.comparison.texts import FoundTexts, Texts
from evals.report.compared import SCHEMA, render, to_html, to_json, to_markdown, write
from evals.report.compared_words import p_value
from evals.report.shapes import shape_of
from guard.errors import OutputError
from tests.evals.report.chromium import find_chromium, open_page
from tests.evals.two_runs import IDENTITY, MISSED, binary, series, side

HOSTILE = "<script>alert(1)</script> [x](javascript:1) | \x1b[31m \u202e </style> {{ 7*7 }} @all"


def _comparison(text: str = "tell me how", *, hits: str = "1" * 12 + "0" * 188) -> RunComparison:
    groups = {f"p{i:03d}": text if i % 2 else "even" for i in range(200)}
    perplexity = {"name": "quality/perplexity_bits_per_char", "bounds": None}
    ones = {f"p{i:03d}": [1.5 + i % 7 / 10] for i in range(200)}
    more = {prompt: [values[0] + 0.1 + i % 3 / 10] for i, (prompt, values) in enumerate(ones.items())}
    found = compare(
        side(series(binary("0" * 200), groups=groups), series(ones, **perplexity), run=text),  # type: ignore[arg-type]
        side(
            series(binary(hits), groups=groups),
            series(more, **perplexity),  # type: ignore[arg-type]
            model=text,
            identity={**IDENTITY, "policy": text},
        ),
        drops=[Drop(MISSED, 0.2), Drop("quality/perplexity_bits_per_char", 0.05)],
    )
    told = [replace(flip, prompt=text, output_before=text, output_after=text) for flip in found.flips]
    return replace(found, flips=tuple(told), notes=(*found.notes, text))


def _terminal(comparison: RunComparison, *, width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    render(comparison, Console(file=stream, width=width))
    stream.flush()
    return raw.getvalue().decode(encoding)


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_json_is_read_back_as_the_comparison() -> None:
    found = _comparison()
    document = json.loads(to_json(found))
    assert document.pop("schema") == SCHEMA
    assert shape_of(RunComparison).decode(document, "comparison") == found
    assert to_json(found) == to_json(found)


@pytest.mark.parametrize("rendered", [to_markdown, to_html, _terminal])
def test_every_rendering_has_the_figures(rendered: object) -> None:
    text = rendered(_comparison())  # type: ignore[operator]
    for shown in ("Missed refusals", "+0.060", "0.001", "Perplexity", "Fail", "allowed drop 0.05"):
        assert shown in text, shown


def test_a_terminal_of_80_columns_is_enough_and_has_no_colours_in_a_file() -> None:
    printed = _terminal(_comparison())
    assert max(map(len, printed.splitlines())) <= 80
    assert "\x1b" not in printed
    assert "p000#0: tell me how" in printed


def test_an_ascii_terminal_is_spoken_to_in_ascii() -> None:
    assert "+12 -0" in _terminal(_comparison(), encoding="ascii")


def test_hostile_text_is_only_text() -> None:
    found = _comparison(HOSTILE)
    page = to_html(found)
    tags = _Tags(page)
    assert "script" not in tags.tags
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "alert(1)" in tags.text
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|(?<=>)49(?=<)", page)
    for rendered in (page, to_markdown(found), _terminal(found)):
        assert "\u202e" not in rendered
        assert "\x1b" not in rendered
    markdown = to_markdown(found)
    assert "<script>" not in markdown
    assert "](javascript" not in markdown.replace("\\]", "")


def test_markdown_leaves_texts_out_and_names_ids() -> None:
    markdown = to_markdown(replace(_comparison(), notes=()))
    assert "tell me how |" not in markdown.replace("`tell me how`", "")
    assert "`p000#0`" in markdown
    assert "and 2 more" in markdown


def test_nothing_that_changed_is_said_plainly() -> None:
    one = side(series(binary("0101")), model="same")
    found = compare(one, one)
    assert "no clear change of 1 metric and arms" in to_markdown(found)
    assert "Nothing but the model" in to_html(found)
    assert "None." in to_html(found)
    assert "Fail" not in _terminal(found).replace("Failing", "")


def test_a_metric_without_shared_prompts_has_a_row() -> None:
    before = side(series(binary("01")), series({"x": [1.0]}, name="refusal/over_refusal"))
    after = side(series(binary("01")), series({"y": [1.0]}, name="refusal/over_refusal"))
    found = compare(before, after)
    assert "no shared prompt" in to_html(found)
    assert "| Refusal: Over-refusals ↓ | guarded | – | – | – | – | – | 0 |" in to_markdown(found)
    assert "Over-refusals" in _terminal(found)


@pytest.mark.parametrize(("p", "shown"), [(None, "–"), (0.0004, "<0.001"), (0.001, "0.001"), (1.0, "1.000")])
def test_a_p_value_is_never_zero(p: float | None, shown: str) -> None:
    assert p_value(p) == shown


def test_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    written = write(_comparison(), tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == sorted(path.name for path in written)
    assert [path.name for path in written] == ["comparison.json", "comparison.md", "comparison.html"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="--out"):
        write(_comparison(), tmp_path / "file" / "below")


def test_texts_without_a_journal_are_none() -> None:
    assert Texts(Path("nowhere"), "m@1").find({("guarded", "p000#0")}, {("refusal", "p000")}) == FoundTexts()


@pytest.mark.browser
def test_the_page_works_from_disk(tmp_path: Path) -> None:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium: install one, or name it in ASSAY_CHROMIUM")
    written = write(_comparison(HOSTILE), tmp_path)[2]
    with open_page(executable) as page:
        for width in (1400, 400):
            visit = page.open(written, width=width)
            assert visit.complaints == []
            assert visit.off_the_file == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
            assert page.evaluate("[...document.querySelectorAll('svg.strip')].every(s => s.clientWidth > 100)") is True
