"""Assay's runtime: filters, policies and the guard around a generator."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.assembled import assemble_guard
    from guard.audit_log import AuditLog
    from guard.canonical import Canonical, canonicalize
    from guard.filters.callable import CallableFilter, RegexFilter
    from guard.filters.cascade import CascadeFilter
    from guard.filters.detoxify import DetoxifyFilter
    from guard.filters.domain import DomainFilter
    from guard.filters.encoder import EncoderFilter
    from guard.filters.generative import GenerativeGuardFilter
    from guard.filters.lexical import LexicalFilter
    from guard.filters.ngram import NgramFilter
    from guard.filters.pii import PiiFilter
    from guard.filters.secrets import SecretsFilter
    from guard.filters.table import load_filter, load_stages
    from guard.filters.transformer import TransformerFilter
    from guard.generators.callable import CallableGenerator
    from guard.generators.scripted import ScriptedGenerator
    from guard.guard import Guard
    from guard.judge import Judgement
    from guard.policy import Policy
    from guard.schema import Action, Decoding, Filter, Generator, Locator, Response, Scores, Span, Stage, Verdict
    from guard.stream import AsyncGuardedStream, GuardedStream
    from guard.vault import Vault
    from guard.wrappers.openai import guarded_openai
    from guard.wrappers.pipeline import guarded_pipeline

__all__ = [
    "Action",
    "AsyncGuardedStream",
    "AuditLog",
    "CallableFilter",
    "CallableGenerator",
    "Canonical",
    "CascadeFilter",
    "Decoding",
    "DetoxifyFilter",
    "DomainFilter",
    "EncoderFilter",
    "Filter",
    "GenerativeGuardFilter",
    "Generator",
    "Guard",
    "GuardedStream",
    "Judgement",
    "LexicalFilter",
    "Locator",
    "NgramFilter",
    "PiiFilter",
    "Policy",
    "RegexFilter",
    "Response",
    "Scores",
    "ScriptedGenerator",
    "SecretsFilter",
    "Span",
    "Stage",
    "TransformerFilter",
    "Vault",
    "Verdict",
    "assemble_guard",
    "canonicalize",
    "guarded_openai",
    "guarded_pipeline",
    "load_filter",
    "load_stages",
]

_SCHEMA = ("Action", "Decoding", "Filter", "Generator", "Locator", "Response", "Scores", "Span", "Stage", "Verdict")
_HOMES = {
    **dict.fromkeys(_SCHEMA, "guard.schema"),
    "AsyncGuardedStream": "guard.stream",
    "AuditLog": "guard.audit_log",
    "CallableFilter": "guard.filters.callable",
    "CallableGenerator": "guard.generators.callable",
    "Canonical": "guard.canonical",
    "CascadeFilter": "guard.filters.cascade",
    "DetoxifyFilter": "guard.filters.detoxify",
    "DomainFilter": "guard.filters.domain",
    "EncoderFilter": "guard.filters.encoder",
    "GenerativeGuardFilter": "guard.filters.generative",
    "Guard": "guard.guard",
    "GuardedStream": "guard.stream",
    "Judgement": "guard.judge",
    "LexicalFilter": "guard.filters.lexical",
    "NgramFilter": "guard.filters.ngram",
    "PiiFilter": "guard.filters.pii",
    "Policy": "guard.policy",
    "RegexFilter": "guard.filters.callable",
    "ScriptedGenerator": "guard.generators.scripted",
    "SecretsFilter": "guard.filters.secrets",
    "TransformerFilter": "guard.filters.transformer",
    "Vault": "guard.vault",
    "assemble_guard": "guard.assembled",
    "canonicalize": "guard.canonical",
    "guarded_openai": "guard.wrappers.openai",
    "guarded_pipeline": "guard.wrappers.pipeline",
    "load_filter": "guard.filters.table",
    "load_stages": "guard.filters.table",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for, so that ``import guard`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'guard' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
