"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from guard import assets

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.model
@pytest.mark.skipif(
    not all(assets.status(name) == "ready" for name in ("minilm", "profanity")), reason="the assets are not pulled"
)
def test_wrapper_prints_what_the_readme_says(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    [expected] = re.findall(r"```\n\n((?:    .*\n)+)", README)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [line.strip() for line in expected.splitlines()]
    assert (tmp_path / "audit.jsonl").read_text(encoding="utf-8").count("\n") >= 2


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_commands_of_the_readme_exist() -> None:
    from cli import main

    commands = set(re.findall(r"^    assay (\w+)", README, re.MULTILINE))
    assert commands == set(main.commands)
