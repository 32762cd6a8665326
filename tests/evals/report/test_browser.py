"""The HTML report in headless Chromium: nothing in the console, no request off the file, nothing beyond the edge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.report import write
from tests.evals.report.chromium import Page, find_chromium, open_page
from tests.evals.report.example import example_report, hostile_report

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


def test_bad_page_is_caught(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(_BAD_PAGE)
    visit = page.open(tmp_path / "bad.html")
    assert visit.off_the_file == ["http://127.0.0.1:9/pixel.png"]
    assert any(complaint.startswith("console.error") for complaint in visit.complaints)
    assert any("worse" in complaint for complaint in visit.complaints)


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_report_opens_clean_and_fits(page: Page, tmp_path: Path, width: int, dark: bool, hostile: bool) -> None:
    report = hostile_report() if hostile else example_report()
    path = write(report, tmp_path)[-1]
    visit = page.open(path, width=width, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert visit.complaints == []
    assert visit.requests == [path.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('main > section').length") >= 7
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 17, 23)" if dark else "rgb(245, 246, 248)"
    )


def test_report_prints_within_a_page(page: Page, tmp_path: Path) -> None:
    page.open(write(example_report(), tmp_path)[-1], width=718, dark=True)
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    beyond = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 719).length"
    assert page.evaluate(beyond) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(24, 32, 43)"


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
    page.open(write(example_report(), tmp_path)[-1], dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(_CONTRAST) == []


def test_contrast_check_of_this_test_finds_pale_text(page: Page, tmp_path: Path) -> None:
    (tmp_path / "pale.html").write_text("<!doctype html><main><p style='color:#aaa'>pale</p></main>")
    page.open(tmp_path / "pale.html")
    assert page.evaluate(_CONTRAST) == ["P. 2.32"]
