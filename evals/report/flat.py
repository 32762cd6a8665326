"""Nested provenance and times as lines of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["lines", "plain"]


def lines(values: Mapping[str, object], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested `values` as (dotted key, text), sorted by key, so that two runs print alike."""
    for key in sorted(values):
        value = values[key]
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from lines(value, prefix=f"{name}.")
        else:
            yield name, plain(value)


def plain(value: object) -> str:
    """Return one JSON value in words; lists are joined by commas."""
    if value is None or value in ((), [], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(value[key])}" for key in sorted(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    return str(value)
