"""Take the picture of a report: ``python -m tests.evals.report.picture OUT.png [RUN_FOLDER]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from evals.report import read, to_html
from tests.evals.report.chromium import find_chromium, open_page
from tests.evals.report.example import example_report
from tests.evals.report.example_records import THRESHOLDS, example_records

_WIDTH, _HEIGHT = 1280, 1440


def main(arguments: list[str]) -> None:
    """Write a picture of the top of a run's report, or of the example's."""
    executable = find_chromium()
    if executable is None:
        sys.exit("no Chromium: install one, or name it in ASSAY_CHROMIUM")
    if len(arguments) > 1:
        html = to_html(read(Path(arguments[1])))
    else:
        html = to_html(example_report(), records=example_records(), thresholds=THRESHOLDS)
    with tempfile.TemporaryDirectory() as folder, open_page(executable) as page:
        path = Path(folder, "report.html")
        path.write_text(html, encoding="utf-8")
        page.open(path, width=_WIDTH, height=_HEIGHT)
        page.screenshot(Path(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
