"""Keeping the figures of a benchmark, in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["keep"]


def keep(report: Mapping[str, object], path: Path) -> None:
    """Replace the kept figures: whoever reads meanwhile sees the old ones or the new ones."""
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)
