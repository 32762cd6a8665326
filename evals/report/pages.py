"""What every HTML page shares: templates that escape all text, and sheets with the hashes that its own policy names."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evals.report.visible import visible

__all__ = ["digest", "environment", "sheet", "template_text"]

_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Return an environment of our templates: every text is spelt out where it has no ink, and then escaped."""
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template_text(name: str) -> str:
    """Return one of our own files."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def sheet(names: Sequence[str]) -> tuple[Markup, str]:
    """Return style sheets of ours as one, and the hash by which a page's policy allows it."""
    style = "".join(map(template_text, names))
    return Markup(style), digest(style)  # noqa: S704 - our own files


def digest(text: str) -> str:
    """Return the SHA-256 of a text as policies of pages write it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: object) -> object:
    """Spell out what has no ink in every text on its way into the page; our own markup is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
