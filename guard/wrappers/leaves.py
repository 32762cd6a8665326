"""Every text inside a nested message or answer, found by walking it, and put back changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

__all__ = ["Leaf", "fields", "independent", "leaves", "like", "put"]


@dataclass(frozen=True)
class Leaf:
    """One text and the way to change it.

    Parameters
    ----------
    name : str
        Of the field that holds it, or of the nearest field above where it lies in a list.
    text : str
    put : callable
        Sets another text in its place.
    """

    name: str
    text: str
    put: Callable[[str], None]


def fields(node: Any) -> dict[str, Any]:
    """Return the fields of a mapping or of an object of any client library, extra ones included."""
    if isinstance(node, Mapping):
        return dict(node)
    return {**getattr(node, "__dict__", {}), **(getattr(node, "__pydantic_extra__", None) or {})}


def leaves(node: Any, *, skip: frozenset[str], name: str = "", numbers: bool = False) -> Iterator[Leaf]:
    """Find every text below a node.

    Parameters
    ----------
    node : object
        Mappings, sequences and objects with attributes, to any depth; see :func:`independent`.
    skip : frozenset of str
        Names of fields that hold no text that people read, or that the caller looks after.
    name : str
        Of the field that holds the node.
    numbers : bool
        Whether numbers count as texts too: an account number may be written as one.
    """
    if isinstance(node, list):
        pairs: list[tuple[Any, Any, str]] = [(place, value, name) for place, value in enumerate(node)]
    else:
        pairs = [(key, value, str(key)) for key, value in fields(node).items() if key not in skip]
    for key, value, called in pairs:
        if isinstance(value, str) or (numbers and isinstance(value, int | float) and not isinstance(value, bool)):
            yield Leaf(called, str(value), _setter(node, key))
        elif isinstance(value, list | Mapping) or hasattr(value, "__dict__"):
            yield from leaves(value, skip=skip, name=called, numbers=numbers)


def put(node: Any, key: Any, value: Any) -> None:
    """Set a field, whatever kind of node it is."""
    if isinstance(node, MutableMapping | MutableSequence):
        node[key] = value
    else:
        setattr(node, str(key), value)


def independent(node: Any) -> Any:
    """Return a copy that shares nothing which can be changed: read-only and lazy containers become dicts and lists."""
    if isinstance(node, Mapping):
        return {key: independent(value) for key, value in node.items()}
    if isinstance(node, list | tuple | Iterator):
        return [independent(value) for value in node]
    return node if isinstance(node, str | bytes | int | float | None) else copy.deepcopy(node)


def like(node: Any, **values: Any) -> Any:
    """Return a node of the same type with these fields and nothing else of the old one."""
    if isinstance(node, Mapping):
        return values
    construct = getattr(type(node), "model_construct", None)
    return construct(**values) if construct is not None else SimpleNamespace(**values)


def _setter(node: Any, key: Any) -> Callable[[str], None]:
    return lambda text: put(node, key, text)
