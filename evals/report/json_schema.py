"""The published JSON Schema of ``report.json``, which ships as a file and is derived from the records themselves."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

from evals.report.document import SCHEMA, json_schema

__all__ = ["SCHEMA_FILE", "published", "schema_text"]

SCHEMA_FILE = "schemas/report.schema.json"
"""Where the schema lies, from this package."""

_TITLE = "Report of an Assay audit"
_DESCRIPTION = (
    "One run: its verdict, the checks behind it, and what was measured on each model. Shares lie in [0, 1], intervals "
    "are 95% and clustered by prompt, null is what could not be scored. Unknown keys are refused; a change of the "
    f"document is a new version of {SCHEMA.partition('/')[0]}."
)


def schema_text() -> str:
    """Return the schema as the text of its file: what :func:`published` must give for the records as they are."""
    derived = json_schema()
    named = {"$schema": derived.pop("$schema"), "$id": _identifier(), "title": _TITLE, "description": _DESCRIPTION}
    derived.pop("title", None)
    return json.dumps({**named, **derived}, indent=2) + "\n"


def published() -> dict[str, Any]:
    """Return the schema that ships, for a validator of JSON Schema draft 2020-12."""
    file = importlib.resources.files("evals.report") / SCHEMA_FILE
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _identifier() -> str:
    name, _, number = SCHEMA.partition("/")
    return f"urn:{name.replace('.', ':')}:{number}"
