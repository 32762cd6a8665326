from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.finetuning import finetuning
from tests.evals.finetuning.small import CLEAN, ScriptedScreen


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows of plain text."""
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in [*CLEAN, CLEAN[0], ""]), encoding="utf-8")
    return path


@pytest.fixture
def scripted_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screen rows by words that stand in them: the real filters take seconds to load, and have tests of their own."""
    monkeypatch.setattr(finetuning, "FilterScreen", ScriptedScreen)
