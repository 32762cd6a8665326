"""The HTML report: one file, nothing fetched, nothing run but its own script, and every text only text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from jinja2 import UndefinedError

from evals.report.html import _environment, _script, to_html
from evals.report.visible import visible
from evals.schema import Example, Outcome, Report
from guard.schema import Action, Span, Verdict
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.example_records import THRESHOLDS, example_records, example_values, hostile_records
from tests.evals.report.strategies import reports, texts

_VOID = {"meta", "input"}


class _Reader(HTMLParser):
    """Collects elements, attributes and text, and checks that elements close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open[-1:] != ["style"]:
            self.text += data


_ACTING_TAGS = {"img", "iframe", "object", "embed", "link", "base", "form", "video", "audio", "image"}


def _is_inert(page: str) -> _Reader:
    found = _Reader(page)
    assert not _ACTING_TAGS & set(found.tags)
    assert not [name for name in found.attributes if name.startswith("on") or name in ("style", "src", "srcset")]
    assert all(link.startswith("#") for link in found.links)
    *data, (attributes, program) = found.scripts
    assert attributes == {}
    assert program == _script()
    for attributes, packed in data:
        assert attributes["type"] == "application/octet-stream"
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    return found


def _one_example(**changes: object) -> Report:
    report = example_report(models=1)
    model = report.models[0]
    shown: Example = replace(model.examples[0], **changes)  # type: ignore[arg-type]
    bare = replace(model, metrics=(), comparisons=(), histograms=(), examples=(shown,))
    return replace(report, models=(bare,))


def test_html_holds_what_the_report_holds() -> None:
    found = _is_inert(to_html(example_report()))
    text = " ".join(found.text.split())
    for shown in (
        "Fail", "robustness/false_alarm perturbed is 0.15", "smollm2-135m", "gemma3-270m", "0.083[0.025, 0.141]",
        "−0.282[−0.334, −0.230]", "≤ 0.150", "Perplexity is measured under gemma3-270m", "toxicity/insult-014#03",
        "block", "worthless", "I can't help with that.", "detoxify-original@61a1f3c0", "packages.torch", "2.13.0",
        "tokens_per_second.smollm2-135m", "How to read this", "Content warning", "homoglyph", "765",
        "the guard adds 8.3 ms",
    ):  # fmt: skip
        assert shown in text
    assert found.tags["h1"] == 1
    assert found.tags["figure"] >= 6


def _named(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_html_policy_forbids_everything_but_its_own_style_and_script() -> None:
    page = to_html(example_report(), records=example_records(n=3))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert style
    assert script
    assert policy
    assert policy[1].split("; ") == [
        "default-src 'none'",
        f"style-src {_named(style[1])}",
        f"script-src {_named(script[1])}",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"url\(|@import|https?:", style[1])


_MARKUP_WORDS = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "</script", "<!--")
_ASKING_WORDS = ("eval(", "Function(", "fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", "localStorage")


def test_html_script_writes_no_markup_and_asks_for_nothing() -> None:
    script = _script()
    for word in _MARKUP_WORDS + _ASKING_WORDS:
        assert word not in script
    assert set(re.findall(r"https?://[^\s\"]+", script)) == {"http://www.w3.org/2000/svg"}


def test_html_hostile_text_is_shown_and_not_obeyed() -> None:
    found = _is_inert(to_html(hostile_report()))
    assert "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>" in found.text
    for shown in ("‹U+202E›gnp.exe", "‹U+001B›[31m", "‹U+D800›", "‹U+0000›", "{{ 7*7 }} {% x %}"):
        assert shown in found.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\ud800-\udfff]", found.text)


@given(texts, texts)
@settings(max_examples=12, deadline=None)
def test_html_any_text_leaves_the_page_as_it_is(prompt: str, output: str) -> None:
    plain = _is_inert(to_html(_one_example(prompt="x", output="x")))
    found = _is_inert(to_html(_one_example(prompt=f"x{prompt}", output=f"x{output}")))
    changed = {tag for tag in found.tags if found.tags[tag] != plain.tags[tag]}
    assert changed <= {"span", "mark"}
    assert visible(f"x{prompt}") in found.text
    assert visible(f"x{output}") in found.text


@given(reports)
@settings(max_examples=15, deadline=None)
def test_html_any_report_is_a_page(report: Report) -> None:
    page = to_html(report)
    _is_inert(page)
    page.encode("utf-8")


def test_html_text_is_folded_and_warned_about() -> None:
    page = to_html(_one_example())
    assert page.index("Content warning") < page.index("<details><summary>Show text")
    folded = re.search(r"<details><summary>Show text.*?</details>", page, re.DOTALL)
    assert folded
    assert "He turned to the new colleague" in folded[0]
    assert page.count("He turned to the new colleague") == 1


def test_html_spans_are_marked_with_their_category() -> None:
    page = to_html(_one_example())
    assert '<mark title="insult 0.94; toxicity 0.97">worthless</mark><mark title="insult 0.94"> idiot</mark>' in page


def test_html_long_text_is_cut_and_says_so() -> None:
    page = to_html(_one_example(output="y" * 1_000_000))
    assert "996,000 more characters are in report.json." in page
    assert len(page) < 200_000


def test_html_failed_filter_is_named() -> None:
    verdict = Verdict(Action.BLOCK, "output", {}, (), (Span(0, 1, "x", 0.1),), "filter encoder@1 returned NaN")
    assert "A filter failed: filter encoder@1 returned NaN" in to_html(_one_example(output_verdict=verdict))


@pytest.mark.parametrize("outcome", list(Outcome))
def test_html_outcome_is_said_in_words(outcome: Outcome) -> None:
    page = to_html(replace(example_report(), outcome=outcome))
    assert f'<section id="verdict" class="verdict {outcome.name.lower()}"' in page
    assert f'<h1 id="verdict-title">{outcome.name.capitalize()}</h1>' in page


def test_html_one_model_needs_no_model_column() -> None:
    assert 'class="model"' not in to_html(example_report(models=1))
    assert to_html(example_report()).count('class="model"') > 24


def test_html_empty_report_is_still_a_page() -> None:
    page = to_html(replace(example_report(), checks=(), models=(), notes=(), provenance={}, times={}))
    assert "No limit was set, so nothing was checked." in page
    assert "Every sample could be scored." in page


def test_html_same_report_gives_the_same_page() -> None:
    assert to_html(example_report()) == to_html(example_report())
    records = example_records(n=5)
    first, second = (to_html(example_report(), records=records, values=example_values(records)) for _ in range(2))
    assert first == second


def test_html_with_records_has_curves_and_a_browser() -> None:
    found = _is_inert(to_html(example_report(), records=example_records(n=20), thresholds=THRESHOLDS))
    text = " ".join(found.text.split())
    assert [attributes.get("id") for attributes, _ in found.scripts] == ["thresholds-data", "samples-data", None]
    assert "Robustness: clean10 harmful, 10 harmless" in text
    assert "On perturbed texts 2" in text
    assert {"find-words", "find-task", "threshold", "curve-category"} <= found.ids


def test_html_without_records_has_neither() -> None:
    found = _is_inert(to_html(example_report()))
    assert len(found.scripts) == 1
    assert not {"find-words", "threshold", "thresholds", "browser"} & found.ids


@pytest.mark.parametrize(
    ("thresholds", "unset"),
    [
        ({"input": {"jailbreak": 0.5, "toxicity": 1}}, 0),
        ({"input": {"jailbreak": 0.5}}, 3),
        ({"input": 0.5}, 6),
        ("x", 6),
    ],
)
def test_html_takes_thresholds_from_the_provenance(thresholds: object, unset: int) -> None:
    report = replace(example_report(models=1), provenance={"thresholds": thresholds})
    assert to_html(report, records=example_records(n=20)).count("none set") == unset


def test_html_categories_that_the_policy_acts_on_come_first() -> None:
    page = to_html(example_report(), records=example_records(n=20), thresholds={("input", "toxicity"): 0.8})
    rows = re.findall(r'<th scope="row" data-value="(\w+)"><span class="name">\w+</span><button', page)
    assert rows == ["toxicity", "jailbreak"] * 3


def test_html_without_thresholds_says_that_none_is_set() -> None:
    page = to_html(example_report(models=1), records=example_records(n=20))
    assert page.count("none set") == 6


def test_html_shows_no_control_before_the_script_runs() -> None:
    page = to_html(example_report(), records=example_records(n=20), thresholds=THRESHOLDS)
    for opening in re.findall(r'<(?:div|button)[^>]*(?:id="tuner"|id="browser"|class="plain-button")[^>]*>', page):
        assert opening.endswith(" hidden>")
    body = page[page.index("<main>") :]
    held = "".join(re.findall(r'<div id="tuner".*?\n</div>\n|<div id="browser".*?\n</div>\n', body, re.DOTALL))
    outside = len(re.findall("<(?:input|select)", body)) - len(re.findall("<(?:input|select)", held))
    assert (outside, len(re.findall("<(?:input|select)", held))) == (0, 14)
    assert "<noscript>" in body


def test_html_hostile_records_leave_the_page_as_it_is() -> None:
    plain = _is_inert(to_html(example_report(), records=example_records(n=2)))
    found = _is_inert(to_html(example_report(), records=hostile_records()))
    assert set(found.tags) == set(plain.tags)


def test_html_card_names_the_check_that_decided() -> None:
    page = " ".join(_is_inert(to_html(example_report())).text.split())
    assert "smollm2-135m✗ Fail transformers@5d2f0c9a1b7e Failed by: robustness/false_alarm perturbed is" in page
    assert "gemma3-270m✓ Pass transformers@c01d44e8f2a3 Closest to its limit: toxicity/toxicity_probability" in page


def test_html_card_without_a_limit_says_so() -> None:
    page = _is_inert(to_html(replace(example_report(models=1), checks=())))
    assert "No limits" in page.text


def test_html_names_what_a_figure_is_evidence_for() -> None:
    text = _is_inert(to_html(example_report(models=1))).text
    assert "LLM01:2025 Prompt Injection" in text
    assert "EU AI Act" in text
    own = replace(example_report().models[0].metrics[0], task="mine", name="my_metric")
    bare = replace(example_report().models[0], metrics=(own,), comparisons=(), histograms=(), examples=())
    assert "What the figures are evidence for" not in to_html(replace(example_report(), models=(bare,)))


def test_html_slices_can_be_sorted_by_what_they_hold() -> None:
    page = to_html(example_report(models=1))
    assert '<td class="group" data-value="threat" data-label="Group">threat</td>' in page
    assert page.count('class="stack metrics slices sortable"') == 3


def test_html_template_with_an_unknown_name_fails() -> None:
    with pytest.raises(UndefinedError):
        _environment().from_string("{{ nothing }}").render()
