"""Annotated records to JSON values and back, and the JSON Schema of both, from one reading of the annotations."""

from __future__ import annotations

import difflib
import functools
import math
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol

from guard.errors import DataError, OutputError

__all__ = ["Shape", "shape_of"]


class Shape(Protocol):
    """One annotation: how a value of it is written, read and described."""

    def encode(self, value: Any, where: str) -> Any:
        """Return the JSON value of `value`; raise OutputError where there is none."""

    def decode(self, value: Any, where: str) -> Any:
        """Return what `encode` was given; raise DataError where `value` is not of this shape."""

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema, adding named records to `definitions`."""


def _wrong(value: Any, expected: str, where: str) -> DataError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return DataError(f"report: {where} is {shown}, expected {expected}; run the audit again, or mend the file")


def _finite(value: Any, where: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise OutputError(f"report: {where} is {number}, and a report holds no NaN or infinity; use None for unscored")
    return number


@dataclass(frozen=True)
class _Text:
    def encode(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise OutputError(f"report: {where} is {type(value).__name__}, expected text")
        return str(value)

    def decode(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise _wrong(value, "text", where)
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True)
class _Integer:
    def encode(self, value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise OutputError(f"report: {where} is {value!r}, expected a whole number")
        return int(value)

    def decode(self, value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(value, "a whole number", where)
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "integer"}


@dataclass(frozen=True)
class _Flag:
    def encode(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise OutputError(f"report: {where} is {value!r}, expected True or False")
        return value

    def decode(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong(value, "true or false", where)
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class _Number:
    def encode(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise OutputError(f"report: {where} is {value!r}, expected a number")
        return _finite(value, where)

    def decode(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(value, "a number", where)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _wrong(value, "a finite number", where)
        return number

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "number"}


@dataclass(frozen=True)
class _Choice:
    words: tuple[str, ...]

    def encode(self, value: Any, where: str) -> str:
        if value not in self.words:
            raise OutputError(f"report: {where} is {value!r}, expected one of {', '.join(self.words)}")
        return str(value)

    def decode(self, value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise _wrong(value, f"one of {', '.join(self.words)}", where)
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class _Enumeration:
    members: type[IntEnum]

    @property
    def words(self) -> _Choice:
        return _Choice(tuple(member.name.lower() for member in self.members))

    def encode(self, value: Any, where: str) -> str:
        return self.words.encode(self.members(value).name.lower(), where)

    def decode(self, value: Any, where: str) -> IntEnum:
        return self.members[self.words.decode(value, where).upper()]

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return self.words.schema(definitions)


@dataclass(frozen=True)
class _Optional:
    inner: Shape

    def encode(self, value: Any, where: str) -> Any:
        return None if value is None else self.inner.encode(value, where)

    def decode(self, value: Any, where: str) -> Any:
        return None if value is None else self.inner.decode(value, where)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [self.inner.schema(definitions), {"type": "null"}]}


@dataclass(frozen=True)
class _Many:
    """A tuple of any length, or of `length` items."""

    inner: Shape
    length: int | None = None

    def encode(self, value: Any, where: str) -> list[Any]:
        if self.length not in (None, len(value)):
            raise OutputError(f"report: {where} has {len(value)} items, expected {self.length}")
        return [self.inner.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]

    def decode(self, value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or self.length not in (None, len(value)):
            raise _wrong(value, "a list" if self.length is None else f"a list of {self.length}", where)
        return tuple(self.inner.decode(item, f"{where}[{i}]") for i, item in enumerate(value))

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        bounds = {} if self.length is None else {"minItems": self.length, "maxItems": self.length}
        return {"type": "array", "items": self.inner.schema(definitions), **bounds}


@dataclass(frozen=True)
class _Table:
    inner: Shape

    def encode(self, value: Any, where: str) -> dict[str, Any]:
        keys = [_key(key, where) for key in value]
        return {key: self.inner.encode(value[key], _under(where, key)) for key in keys}

    def decode(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(value, "an object", where)
        return {key: self.inner.decode(item, _under(where, key)) for key, item in value.items()}

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.inner.schema(definitions)}


def _under(where: str, key: str) -> str:
    """Name a key of a table; one that a user chose may hold anything, so it is quoted unless it is a plain word."""
    return f"{where}.{key}" if key.isascii() and key.isidentifier() else f"{where}[{key!r}]"


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise OutputError(f"report: {where} has the key {key!r}, and keys are text")
    return key


@dataclass(frozen=True)
class _Anything:
    """Any JSON value; a tuple is written as the list that it reads back as."""

    def encode(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return _Table(self).encode(value, where)
        if isinstance(value, (list, tuple)):
            return _Many(self).encode(value, where)
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            return _finite(value, where)
        raise OutputError(f"report: {where} is {type(value).__name__}, which has no JSON value")

    def decode(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return _Table(self).decode(value, where)
        if isinstance(value, list):
            return list(_Many(self).decode(value, where))
        if isinstance(value, float):
            return _Number().decode(value, where)
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class _Record:
    record: type[Any]

    @functools.cached_property
    def shapes(self) -> dict[str, Shape]:
        hints = typing.get_type_hints(self.record)
        return {field.name: shape_of(hints[field.name]) for field in fields(self.record)}

    @functools.cached_property
    def added(self) -> dict[str, Any]:
        """The fields that older documents lack, with what they are where nothing is said."""
        return {field.name: field.default for field in fields(self.record) if field.metadata.get("added")}

    def encode(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, self.record):
            raise OutputError(f"report: {where} is {type(value).__name__}, expected {self.record.__name__}")
        return {
            name: shape.encode(getattr(value, name), f"{where}.{name}")
            for name, shape in self.shapes.items()
            if name not in self.added or getattr(value, name) != self.added[name]
        }

    def decode(self, value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(value, f"an object ({self.record.__name__})", where)
        self._check_keys(value, where)
        return self.record(
            **{
                name: shape.decode(value[name], f"{where}.{name}")
                for name, shape in self.shapes.items()
                if name in value
            }
        )

    def _check_keys(self, value: dict[str, Any], where: str) -> None:
        known = self.shapes
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
                raise DataError(f"report: {where} has the unknown key {key!r}; {hint}")
        for name in known:
            if name not in value and name not in self.added:
                raise DataError(f"report: {where} has no {name!r}; run the audit again, or mend the file")

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        name = self.record.__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = {
                "type": "object",
                "properties": {key: shape.schema(definitions) for key, shape in self.shapes.items()},
                "required": sorted(self.shapes.keys() - self.added.keys()),
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}


_SCALARS: Mapping[Any, Shape] = types.MappingProxyType(
    {str: _Text(), bool: _Flag(), int: _Integer(), float: _Number(), object: _Anything()}
)


def shape_of(annotation: Any) -> Shape:
    """Return the shape of an annotation.

    Parameters
    ----------
    annotation : type
        A frozen dataclass, an ``IntEnum``, a ``Literal`` of words, ``str``, ``bool``, ``int``, ``float``, ``object``
        (any JSON value), or an optional, tuple or mapping of these.

    Raises
    ------
    TypeError
        The annotation is of another kind: a mistake in the record, not in the data.
    """
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, IntEnum):
        return _Enumeration(annotation)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return _Record(annotation)
    return _composite(annotation)


def _composite(annotation: Any) -> Shape:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _Choice(arguments)
    if origin is tuple:
        return _Many(shape_of(arguments[0]), None if arguments[-1] is Ellipsis else len(arguments))
    if origin is Mapping:
        return _Table(shape_of(arguments[1]))
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2 and type(None) in arguments:
        return _Optional(shape_of(next(item for item in arguments if item is not type(None))))
    raise TypeError(f"no JSON shape for {annotation!r}")
