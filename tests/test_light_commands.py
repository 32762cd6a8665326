"""The command line starts without the heavy libraries, and names only extras and entry points that exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "sklearn", "pandas", "detoxify", "scipy", "pyarrow", "jinja2"}
COMMANDS = sorted(path.stem for path in (ROOT / "evals" / "commands").glob("*.py") if path.stem != "__init__")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _heavy_after(program: str) -> list[str]:
    code = f"import sys\n{program}\nprint(*sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_parsed_without_heavy_libraries(command: str) -> None:
    assert _heavy_after(f"import evals.commands.{command}") == []


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"], ["compare", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert _heavy_after(f"from cli import main\nmain({arguments!r}, standalone_mode=False)") == []


def test_extras_that_messages_and_guides_name_exist() -> None:
    files = [*ROOT.glob("guard/**/*.py"), *ROOT.glob("evals/**/*.py"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    named = {name for file in files for name in re.findall(r"assay\[([a-z]+)\]", file.read_text(encoding="utf-8"))}
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


def test_entry_point_groups_that_are_read_are_documented() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*ROOT.glob("guard/**/*.py"), *ROOT.glob("evals/**/*.py"))]
    read = {group for text in texts for group in re.findall(r'"(assay\.[a-z]+)"$', text, re.MULTILINE)}
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {"assay.filters", "assay.generators"} <= read
    assert all(f"`{group}`" in guide for group in read)
