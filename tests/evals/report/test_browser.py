"""The HTML report in headless Chromium: what a reader can do with it, and what it must never do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.compare import compare
from evals.comparison.sides import load_side
from evals.curves import Curve, curves, exact_share
from evals.report import write
from evals.report.compared_html import to_html as compared_html
from evals.report.html import to_html
from evals.report.visible import visible
from evals.report.wording import interval, number
from evals.schema import Record
from guard.schema import Span
from tests.evals.report.chromium import Page, find_chromium, open_page
from tests.evals.report.example import example_report, hostile_report
from tests.evals.report.example_records import THRESHOLDS, example_records, example_values, hostile_records
from tests.evals.two_runs import RuderModel, real_run

pytestmark = pytest.mark.browser

_BAD_PAGE = """<!doctype html><title>bad</title><img src="http://127.0.0.1:9/pixel.png">
<script>console.error("broken"); throw new Error("worse")</script>"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One tab for all tests of this file."""
    executable = find_chromium()
    if executable is None and "ASSAY_CHROMIUM" in os.environ:
        pytest.fail(f"ASSAY_CHROMIUM = {os.environ['ASSAY_CHROMIUM']!r} is no program that can be run")
    if executable is None:
        pytest.skip("no Chromium: install one, or name it in ASSAY_CHROMIUM")
    with open_page(executable) as opened:
        yield opened


def _written(folder: Path, records: list[tuple[str, Record]] | None = None, **changes: Any) -> Path:
    """Write the example's report with its samples."""
    records = example_records() if records is None else records
    options = {"values": example_values(records), "thresholds": THRESHOLDS, **changes}
    path = folder / "report.html"
    path.write_text(to_html(example_report(models=1), records=records, **options), encoding="utf-8")
    return path


def _open(page: Page, path: Path, **how: Any) -> None:
    """Open a page and wait until its samples are there."""
    page.open(path, **how)
    page.wait_for("performance.getEntriesByName('samples-data-ready').length")


def _choose(page: Page, name: str, text: str) -> None:
    """Pick the choice that begins with `text`, as a reader would."""
    page.evaluate(
        f"(() => {{ const s = document.getElementById({name!r});"
        f" s.selectedIndex = [...s.options].findIndex(o => o.text.startsWith({text!r}));"
        " s.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


def _search(page: Page, words: str) -> None:
    page.evaluate(
        f"(() => {{ const s = document.getElementById('find-words'); s.value = {json.dumps(words)};"
        " s.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    page.evaluate("new Promise(done => setTimeout(done, 200))")


def _press(page: Page, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text="\r" if key == "Enter" else "")


def _texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.evaluate(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")
    return found


def _count(page: Page) -> str:
    return _texts(page, "#found-count")[0]


def test_bad_page_is_caught(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(_BAD_PAGE)
    visit = page.open(tmp_path / "bad.html")
    assert visit.off_the_file == ["http://127.0.0.1:9/pixel.png"]
    assert any(complaint.startswith("console.error") for complaint in visit.complaints)
    assert any("worse" in complaint for complaint in visit.complaints)


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1400, 400])
def test_report_opens_clean_and_fits(page: Page, tmp_path: Path, width: int, dark: bool, hostile: bool) -> None:
    report = hostile_report() if hostile else example_report()
    records = hostile_records() if hostile else example_records(n=20)
    path = tmp_path / "report.html"
    path.write_text(to_html(report, records=records, values=example_values(records), thresholds=THRESHOLDS))
    visit = page.open(path, width=width, dark=dark)
    page.wait_for("performance.getEntriesByName('samples-data-ready').length")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate("document.querySelectorAll('.entry-head').forEach(head => head.click())")
    page.evaluate("document.querySelectorAll('.sorter').forEach(sorter => sorter.click())")
    assert visit.complaints == []
    assert visit.requests == [path.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('main > section').length") >= 7
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 17, 23)" if dark else "rgb(245, 246, 248)"
    )


def test_report_without_samples_opens_clean(page: Page, tmp_path: Path) -> None:
    path = write(hostile_report(), tmp_path)[-1]
    visit = page.open(path)
    assert (visit.complaints, visit.requests) == ([], [path.resolve().as_uri()])


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison of two real runs, with groups and texts."""
    folder = tmp_path_factory.mktemp("compared")
    old, new = real_run(folder / "old", name="old"), real_run(folder / "new", model=RuderModel(), name="new")
    path = folder / "comparison.html"
    path.write_text(compared_html(compare(load_side(str(old)), load_side(str(new)))), encoding="utf-8")
    return path


_BEYOND = (
    "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    ".map(e => e.outerHTML.slice(0, 200))"
)
_CUT = (
    "[...document.querySelectorAll('main *')].filter(e => e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1"
    " && getComputedStyle(e).overflowX !== 'visible').map(e => e.outerHTML.slice(0, 200))"
)


@pytest.mark.parametrize(("width", "media"), [(1400, ""), (400, ""), (718, "print")])
def test_comparison_fits_and_names_the_task_of_every_metric(
    page: Page, comparison: Path, width: int, media: str
) -> None:
    visit = page.open(comparison, width=width)
    page.call("Emulation.setEmulatedMedia", media=media, features=[])
    if not media:  # on paper what is folded is open anyway
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert (visit.complaints, visit.requests) == ([], [comparison.resolve().as_uri()])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (page.evaluate(_BEYOND), page.evaluate(_CUT)) == ([], [])
    shown = "[...document.querySelectorAll('details blockquote')].filter(e => e.getClientRects().length > 0).length"
    assert page.evaluate(shown) > 0
    assert set(_texts(page, ".effects-table th small.of")) == {"Toxicity", "Refusal", "Quality", "Robustness"}
    assert any(title.startswith("Newly failing: Toxicity: Toxic share") for title in _texts(page, ".crossed > summary"))


def test_what_changed_stands_under_its_task(page: Page, tmp_path: Path) -> None:
    page.open(_written(tmp_path), width=400)
    assert _texts(page, "#changes .task-group h5")[0] == "Toxicity"
    assert page.evaluate("[...document.querySelectorAll('#changes li')].every(li => li.closest('.task-group'))")


def test_page_refuses_markup_and_requests(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    set_markup = "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'set' } catch (e) { return e.name } })()"
    assert page.evaluate(set_markup) == "TypeError"
    ask = "fetch('http://127.0.0.1:9/x').then(() => 'sent', error => error.name)"
    assert page.evaluate(ask) == "TypeError"
    assert any("Content Security Policy" in complaint for complaint in page.visit.complaints)


def test_report_prints_within_a_page_and_without_controls(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path), width=718, dark=True)
    page.evaluate("document.querySelector('.entry-head').click()")
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    beyond = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 719).length"
    assert page.evaluate(beyond) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(24, 32, 43)"
    shown = "[...document.querySelectorAll({!r})].filter(e => e.getClientRects().length > 0).length"
    assert page.evaluate(shown.format("input, select, .pager, .plain-button, nav")) == 0
    for folded in (".entry-body blockquote", "details .slices", "details .sample blockquote"):
        assert page.evaluate(shown.format(folded)) > 0
    tall = "[...document.querySelectorAll('blockquote')].filter(q => q.scrollHeight > q.clientHeight + 1).length"
    assert page.evaluate(tall) == 0


def test_printing_opens_what_is_folded_and_closes_it_again(page: Page, tmp_path: Path) -> None:
    page.open(_written(tmp_path))
    folded = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(folded)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (before > 3, page.evaluate(folded)) == (True, 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


@pytest.mark.parametrize(
    ("control", "choice", "found"),
    [
        ("find-task", "refusal", 60),
        ("find-task", "robustness", 120),
        ("find-group", "threat", 20),
        ("find-arm", "unguarded", 120),
        ("find-arm", "perturbed", 60),
        ("find-arm", "All arms", 360),
        ("find-outcome", "block", None),
        ("find-category", "toxicity", None),
    ],
)
def test_filter_finds_what_the_records_hold(
    page: Page, tmp_path: Path, control: str, choice: str, found: int | None
) -> None:
    records = example_records()
    _open(page, _written(tmp_path, records))
    assert _count(page) == "1 to 50 of 240 found; 240 samples in the run."
    if found is None:
        judged = [arms[-1] for _, record in records if (arms := list(record.arms.values()))]
        fires = {
            "block": lambda one: one.action.name == "BLOCK",
            "toxicity": lambda one: "toxicity" in (one.output_verdict or one.prompt_verdict).triggered,
        }
        found = sum(fires[choice](one) for one in judged)
        assert 0 < found < 240
    _choose(page, control, choice)
    assert f" of {found} found;" in _count(page)


def test_filter_by_result_tells_failing_from_passing_and_unscored(page: Page, tmp_path: Path) -> None:
    records = example_records()
    values = [value.value for value in example_values(records) if value.arm == "guarded"]
    _open(page, _written(tmp_path, records))
    wanted = {
        "fails": sum(value is not None and value >= 0.5 for value in values),
        "passes": sum(value is not None and value < 0.5 for value in values),
        "unscored": values.count(None),
        "not scored alone": 180,
    }
    for result, found in wanted.items():
        _choose(page, "find-result", result)
        assert f" of {found} found;" in _count(page)


def test_options_of_a_choice_are_shown(page: Page, tmp_path: Path) -> None:
    model, record = example_records(n=1)[0]
    sample = replace(record.sample, options=("yes\u200b", "no"), target="no")
    _open(page, _written(tmp_path, [(model, replace(record, sample=sample, likelihoods=(-1.5, None)))]))
    page.evaluate("document.querySelector('.entry-head').click()")
    assert _texts(page, ".options li") == ["yes‹U+200B› log-likelihood −1.500", "no log-likelihood –"]
    assert "Right: no" in _texts(page, ".entry-body > p")


def test_groups_follow_the_task(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    _choose(page, "find-task", "refusal")
    assert _texts(page, "#find-group option") == ["All groups", "benign (60)", "cybercrime (60)"]


def test_search_asks_for_every_word_in_texts_and_names(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    _search(page, "PAINT  step")
    assert " of 30 found;" in _count(page)
    _search(page, "benign-013")
    assert _texts(page, ".entry code") == ["refusal/benign-013"]
    _search(page, "can't help")  # of what was released
    blocked = int(_count(page).split(" of ")[1].split()[0])
    _search(page, "")
    _choose(page, "find-outcome", "block")
    assert f"of {blocked} found" not in _count(page)  # texts that are only judged release nothing
    _search(page, "no such word")
    assert _count(page) == "Nothing found; 240 samples in the run."
    page.evaluate("document.getElementById('find-reset').click()")
    assert _count(page) == "1 to 50 of 240 found; 240 samples in the run."


def test_search_marks_what_it_found(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    _search(page, "threat-011")
    _search(page, "market crowd")
    _choose(page, "find-task", "toxicity")
    page.evaluate("document.querySelector('.entry-head').click()")
    assert {text.lower() for text in _texts(page, ".entry-body mark.only")} <= {"market", "crowd"}
    assert "crowd" in _texts(page, ".entry-body mark.only")


def test_sort_by_score_puts_unscored_last_both_ways(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    _choose(page, "find-task", "toxicity")
    _choose(page, "find-sort", "toxic share")
    scores = _texts(page, ".entry .score")
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 50
    page.evaluate("document.getElementById('sort-order').click()")
    rising = _texts(page, ".entry .score")
    assert rising == sorted(rising)
    assert rising[0] < scores[0]
    page.evaluate("document.getElementById('page-after').click()")
    assert _texts(page, ".entry .score")[-1] == "–"
    assert _texts(page, "#found-page") == ["Page 2 of 2"]


def test_mark_says_what_its_words_are_worth(page: Page, tmp_path: Path) -> None:
    model, record = next((m, r) for m, r in example_records() if r.arms["guarded"].prompt_verdict.triggered)
    made = record.arms["guarded"]
    spans = (Span(0, 4, made.prompt_verdict.triggered[0], 0.93, 2.25, "masking"),)
    made = replace(made, prompt_verdict=replace(made.prompt_verdict, spans=spans))
    _open(page, _written(tmp_path, [(model, replace(record, arms={"guarded": made}))]))
    page.evaluate("document.querySelector('.entry-head').click()")
    title = page.evaluate("document.querySelector('.entry-body mark').title")
    assert title == f"{spans[0].category} 0.93, of which these words +2.25 in log-odds by masking"
    words = record.sample.prompt[:4]
    assert _texts(page, ".worth") == [f"Worth, in log-odds: “{words}” +2.25 to {spans[0].category} (masking)."]


def test_spans_are_marked_in_the_text_they_speak_of(page: Page, tmp_path: Path) -> None:
    records = example_records()
    blocked = next(r for _, r in records if r.arms.get("guarded") and r.arms["guarded"].action.name == "BLOCK")
    verdict = blocked.arms["guarded"].output_verdict
    assert verdict is not None
    _open(page, _written(tmp_path, records))
    _search(page, blocked.sample.id)
    page.evaluate("document.querySelector('.entry-head').click()")
    (span,) = verdict.spans
    assert _texts(page, ".entry-body mark") == [(blocked.output or "")[span.start : span.end]]
    assert page.evaluate("document.querySelector('.entry-body mark').title") == f"toxicity {span.score:.2f}"
    assert _texts(page, ".entry-body blockquote") == [blocked.sample.prompt, blocked.output, "I can't help with that."]


def test_hostile_samples_are_spelt_out_as_everywhere(page: Page, tmp_path: Path) -> None:
    records = hostile_records()
    path = tmp_path / "report.html"
    path.write_text(to_html(hostile_report(), records=records))
    _open(page, path)
    page.evaluate("document.querySelector('.entry-head').click()")
    assert _texts(page, ".entry-body blockquote")[0] == visible(records[0][1].sample.prompt)
    assert page.evaluate("document.querySelectorAll('#samples img, #samples h1, #samples script').length") == 0
    assert page.visit.complaints == []


def test_keys_move_open_close_and_turn_pages(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    focused = "[...document.querySelectorAll('.entry-head')].indexOf(document.activeElement)"
    opened = "document.querySelectorAll('.entry-head[aria-expanded=true]').length"
    _press(page, "/")
    assert page.evaluate("document.activeElement.id") == "find-words"
    page.evaluate("document.querySelector('.entry-head').focus()")
    for key, at in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 49), ("Home", 0)):
        _press(page, key)
        assert page.evaluate(focused) == at
    _press(page, "Enter")
    assert page.evaluate(opened) == 1
    _press(page, "Escape")
    assert page.evaluate(opened) == 0
    _press(page, "ArrowRight")
    assert (_texts(page, "#found-page"), page.evaluate(focused)) == (["Page 2 of 5"], 0)
    _press(page, "ArrowLeft")
    assert _texts(page, "#found-page") == ["Page 1 of 5"]


def test_link_to_a_sample_opens_it_again(page: Page, tmp_path: Path) -> None:
    path = _written(tmp_path)
    _open(page, path)
    _choose(page, "find-task", "robustness")
    _search(page, "leave")
    page.evaluate("document.getElementById('page-after').click()")
    page.evaluate("document.querySelectorAll('.entry-head')[3].click()")
    name = _texts(page, ".entry-head[aria-expanded=true] code")
    fragment = page.evaluate("document.querySelector('.permalink').hash")
    assert page.evaluate("location.hash") == fragment
    count = _count(page)
    _open(page, path, fragment=fragment)
    assert _texts(page, ".entry-head[aria-expanded=true] code") == name
    assert _count(page) == count == "51 to 100 of 120 found; 240 samples in the run."
    assert page.evaluate("document.querySelector('[aria-expanded=true]').getBoundingClientRect().top") < 900


def test_link_to_a_sample_alone_finds_it_in_its_arm(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path), fragment="#samples?id=refusal/benign-013&of=smollm2-135m&in=unguarded")
    assert _texts(page, ".entry-head[aria-expanded=true] code") == ["refusal/benign-013"]
    assert "unguarded" in _texts(page, ".entry-head[aria-expanded=true] small")[0]


def test_link_of_a_slice_shows_its_samples(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate("[...document.querySelectorAll('.slices a')].find(a => a.textContent === 'threat').click()")
    page.wait_for("location.hash.includes('threat')")
    assert _count(page) == "1 to 20 of 20 found; 240 samples in the run."
    assert {name.split("/")[1][:6] for name in _texts(page, ".entry code")} == {"threat"}


def test_link_of_another_run_is_no_trouble(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path), fragment="#samples?task=gone&sort=gone&id=x&of=y&in=z&page=-7")
    assert _count(page) == "1 to 50 of 240 found; 240 samples in the run."
    assert page.visit.complaints == []


_EVERY_STEP = """(() => {
  const slider = document.getElementById('threshold'), rows = [];
  const cells = name => [...document.querySelectorAll(`#${name} [data-part]`)].slice(0, 3).map(e => e.textContent);
  for (let i = 0; i <= +slider.max; i++) {
    slider.value = i;
    slider.dispatchEvent(new Event('input'));
    rows.push(['recall', 'false-alarm', 'precision'].map(cells));
  }
  return rows;
})()"""


def _cells(curve: Curve, threshold: float) -> list[list[str]]:
    at = curve.at(threshold)
    return [
        [
            "none" if share.value is None else number(share.value),
            interval(share.interval),
            f"{share.hits} of {share.trials}",
        ]
        for share in (at.recall, at.false_alarm, at.precision)
    ]


@pytest.mark.parametrize(("category", "policy"), [("jailbreak", 0.5), ("toxicity", 0.8)])
def test_slider_shows_the_figures_of_every_threshold(page: Page, tmp_path: Path, category: str, policy: float) -> None:
    records = example_records()
    curve = next(c for c in curves(record for _, record in records) if c.category == category)
    _open(page, _written(tmp_path, records))
    _choose(page, "curve-category", category)
    assert page.evaluate("document.getElementById('threshold-value').value") == str(policy)
    steps = sorted({*curve.harmful, *curve.harmless, policy})
    assert page.evaluate(_EVERY_STEP) == [_cells(curve, step) for step in steps]
    assert "precision" in page.evaluate("document.getElementById('threshold').getAttribute('aria-valuetext')")
    page.evaluate("document.getElementById('to-policy').click()")
    assert _texts(page, "#recall [data-part=value]") == [_cells(curve, policy)[0][0]]


def test_slider_takes_a_threshold_that_was_typed(page: Page, tmp_path: Path) -> None:
    records = example_records()
    curve = next(c for c in curves(record for _, record in records) if c.texts == "homoglyph")
    _open(page, _written(tmp_path, records))
    _choose(page, "curve-texts", "Robustness: homoglyph")
    for typed, meant in (("0.3", 0.3), ("7", 1.0), ("", 0.0)):
        page.evaluate(
            f"(() => {{ const i = document.getElementById('threshold-value'); i.value = {typed!r};"
            " i.dispatchEvent(new Event('change')); })()"
        )
        found = [_texts(page, f"#{name} [data-part]")[:3] for name in ("recall", "false-alarm", "precision")]
        assert found == _cells(curve, meant)


def test_slider_of_a_row_is_that_of_its_category(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    page.evaluate("document.querySelectorAll('[data-curve]')[3].click()")
    chosen = "['curve-texts', 'curve-category'].map(id => document.getElementById(id).selectedOptions[0].text)"
    assert page.evaluate(chosen) == ["Robustness: clean", "toxicity"]


def test_slider_intervals_are_exact_for_many_texts(page: Page, tmp_path: Path) -> None:
    records = example_records(n=1800)
    labelled = [pair for pair in records if pair[1].sample.task == "refusal"]
    _open(page, _written(tmp_path, labelled))
    for cells in page.evaluate(_EVERY_STEP)[::97]:
        for _, bounds, counts in cells:
            hits, trials = (int(part.replace(",", "")) for part in counts.split(" of "))
            assert bounds == interval(exact_share(hits, trials).interval)


def test_slices_sort_by_a_column_both_ways(page: Page, tmp_path: Path) -> None:
    page.open(_written(tmp_path))
    page.evaluate("document.querySelector('details:has(.slices)').open = true")
    before = _texts(page, "table.slices:first-of-type .group")
    press = "[...document.querySelector('table.slices').querySelectorAll('.sorter')][3].click()"
    for order, reverse in (("descending", True), ("ascending", False)):
        page.evaluate(press)
        some = page.evaluate(
            "[...document.querySelector('table.slices').tBodies[0].rows].map(r => +r.cells[3].dataset.value)"
        )
        assert some == sorted(some, reverse=reverse)
        assert page.evaluate("document.querySelector('table.slices th:nth-child(4)').ariaSort") == order
    assert sorted(_texts(page, "table.slices:first-of-type .group")) == sorted(before)


_CONTRAST = """(() => {
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255] };
  const poor = [];
  for (const e of document.querySelectorAll('main *, nav a, header *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = lum(parts(getComputedStyle(e).color)), b = lum(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_report_text_has_contrast(page: Page, tmp_path: Path, dark: bool) -> None:
    _open(page, _written(tmp_path), dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    _search(page, "crowd")
    page.evaluate("document.querySelectorAll('.entry-head').forEach(head => head.click())")
    page.evaluate("document.getElementById('find-snippets').click()")
    assert page.evaluate(_CONTRAST) == []


def test_every_control_has_a_name(page: Page, tmp_path: Path) -> None:
    _open(page, _written(tmp_path))
    nameless = (
        "[...document.querySelectorAll('input, select, button')]"
        ".filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim())).length"
    )
    assert page.evaluate(nameless) == 0


def test_contrast_check_of_this_test_finds_pale_text(page: Page, tmp_path: Path) -> None:
    (tmp_path / "pale.html").write_text("<!doctype html><main><p style='color:#aaa'>pale</p></main>")
    page.open(tmp_path / "pale.html")
    assert page.evaluate(_CONTRAST) == ["P. 2.32"]
