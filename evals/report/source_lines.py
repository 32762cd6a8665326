"""The line of a gate or policy on which a limit or a rule stands, which no TOML parser tells."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evals.schema import Check

__all__ = ["limit_line", "rule_line"]

_LIMIT_HEADER = re.compile(r"\s*\[\[\s*(?:limit|\"limit\"|'limit')\s*\]\]")
_INLINE_LIMITS = re.compile(r"\s*(?:limit|\"limit\"|'limit')\s*=")
_TABLE_HEADER = re.compile(r"\s*\[[^\[]")


def limit_line(gate: str, check: Check) -> int | None:
    """Return the line, from 1, of the ``[[limit]]`` that a check is about.

    Parameters
    ----------
    gate : str
        The text of a gate.
    check : Check

    Returns
    -------
    int or None
        Of the header, or of ``limit =`` where the limits are written as inline tables; None where the gate has no such
        limit or is not TOML.
    """
    for line, table in _limits(gate):
        wanted = (check.metric, check.arm, check.context.get("group", "all"))
        if (table.get("metric"), table.get("arm"), table.get("group", "all")) == wanted and check.bound in table:
            return line
    return None


def rule_line(policy: str, stage: str, category: str) -> int | None:
    """Return the line, from 1, of the policy's table ``[stage.category]``; None where there is none."""
    lines = policy.splitlines()
    for number, line in enumerate(lines, 1):
        if _TABLE_HEADER.match(line):
            before, after = _tables("\n".join(lines[: number - 1])), _tables("\n".join(lines[:number]))
            if before is not None and after is not None and _new(before, after, stage, category):
                return number
    return None


def _new(before: Mapping[str, Any], after: Mapping[str, Any], stage: str, category: str) -> bool:
    known, now = (document.get(stage, {}) for document in (before, after))
    return isinstance(now, dict) and category in now and category not in known


def _limits(gate: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    document = _tables(gate) or {}
    tables = document.get("limit", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return
    yield from zip(_header_lines(gate, len(tables)), tables, strict=False)


def _header_lines(gate: str, wanted: int) -> Sequence[int]:
    """Return the line of each limit: a line that looks like a header is one if the text up to it has one limit more.

    Inside a text of several lines the prefix is not TOML, so what only looks like a header there is passed over.
    """
    lines = gate.splitlines()
    found: list[int] = []
    for number, line in enumerate(lines, 1):
        if _INLINE_LIMITS.match(line) and not found:
            return [number] * wanted
        if _LIMIT_HEADER.match(line):
            document = _tables("\n".join(lines[:number]))
            if document is not None and len(document.get("limit", [])) == len(found) + 1:
                found.append(number)
    return found


def _tables(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
