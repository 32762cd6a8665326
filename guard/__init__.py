"""Assay's runtime: filters, policies and the guard around a generator."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.audit_log import AuditLog
    from guard.canonical import Canonical, canonicalize
    from guard.filters.callable import CallableFilter, RegexFilter
    from guard.filters.detoxify import DetoxifyFilter
    from guard.filters.encoder import EncoderFilter
    from guard.filters.lexical import LexicalFilter
    from guard.filters.table import load_filter
    from guard.generators.callable import CallableGenerator
    from guard.generators.scripted import ScriptedGenerator
    from guard.guard import Guard
    from guard.policy import Policy
    from guard.schema import Action, Decoding, Filter, Generator, Locator, Response, Scores, Span, Stage, Verdict

__all__ = [
    "Action",
    "AuditLog",
    "CallableFilter",
    "CallableGenerator",
    "Canonical",
    "Decoding",
    "DetoxifyFilter",
    "EncoderFilter",
    "Filter",
    "Generator",
    "Guard",
    "LexicalFilter",
    "Locator",
    "Policy",
    "RegexFilter",
    "Response",
    "Scores",
    "ScriptedGenerator",
    "Span",
    "Stage",
    "Verdict",
    "canonicalize",
    "load_filter",
]

_SCHEMA = ("Action", "Decoding", "Filter", "Generator", "Locator", "Response", "Scores", "Span", "Stage", "Verdict")
_HOMES = {
    **dict.fromkeys(_SCHEMA, "guard.schema"),
    "AuditLog": "guard.audit_log",
    "CallableFilter": "guard.filters.callable",
    "CallableGenerator": "guard.generators.callable",
    "Canonical": "guard.canonical",
    "DetoxifyFilter": "guard.filters.detoxify",
    "EncoderFilter": "guard.filters.encoder",
    "Guard": "guard.guard",
    "LexicalFilter": "guard.filters.lexical",
    "Policy": "guard.policy",
    "RegexFilter": "guard.filters.callable",
    "ScriptedGenerator": "guard.generators.scripted",
    "canonicalize": "guard.canonical",
    "load_filter": "guard.filters.table",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for, so that ``import guard`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'guard' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
