"""What a value of a policy may be, and how a message shows one that is not."""

from __future__ import annotations

import difflib
import math
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from guard.errors import ConfigError
from guard.schema import Action, Stage

__all__ = [
    "ACTIONS",
    "STAGES",
    "check_action",
    "check_integer",
    "check_known",
    "check_number",
    "check_one_of",
    "check_seconds",
    "check_text",
    "check_threshold",
    "listed",
    "nearest",
    "short",
    "shown",
]

STAGES: tuple[Stage, ...] = ("input", "output")
ACTIONS = tuple(action.name.lower() for action in Action)
_MOST_SHOWN = 60  # characters of a value in a message


def check_known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    """Refuse a key that is none of `keys`, with the nearest that is."""
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where}: unknown key {shown(key)}{nearest(key, keys)}; known: {listed(sorted(keys))}")


def check_text(value: object, where: str, *, may_be_empty: bool = False) -> str:
    """Return `value` if it is a text with something in it."""
    if isinstance(value, str) and (may_be_empty or value.strip()):
        return value
    raise ConfigError(f"{where} is {shown(value)}: expected a text{'' if may_be_empty else ' that is not empty'}")


def check_threshold(value: object, where: str) -> float:
    """Return `value` if it is a number in [0, 1]."""
    return check_number(value, where, 0.0, 1.0, "a number in [0, 1]")


def check_seconds(value: object, where: str) -> float:
    """Return `value` if it is a time that a thread can wait."""
    rule = f"a positive number of seconds, {threading.TIMEOUT_MAX:.0f} at most"
    return check_number(value, where, math.nextafter(0.0, 1.0), threading.TIMEOUT_MAX, rule)


def check_number(value: object, where: str, low: float, high: float, rule: str) -> float:
    """Return `value` as a float if it is a number from `low` to `high`, which `rule` says in words."""
    # Compared before float(), which cannot take any int; NaN compares false.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{where} is {shown(value)}: expected {rule}")
    return float(value)


def check_integer(value: object, where: str, low: int, high: int | None = None) -> int:
    """Return `value` if it is a whole number of at least `low`, and at most `high` where there is one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        rule = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{where} is {shown(value)}: expected a whole number {rule}")
    return value


def check_action(value: object, where: str) -> Action:
    """Return the action that a name stands for."""
    check_one_of(value, ACTIONS, "action", where)
    return Action[str(value).upper()]


def check_one_of(value: object, allowed: tuple[str, ...], kind: str, where: str) -> None:
    """Refuse a value that is none of `allowed`, with the nearest that is."""
    if value not in allowed:
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        raise ConfigError(f"{where}: unknown {kind} {shown(value)}{hint}; known: {listed(allowed)}")


def nearest(given: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is most like `given`, empty where none is."""
    found = difflib.get_close_matches(given[:_MOST_SHOWN].lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, str):
        return repr(short(value))
    try:
        return short(repr(value))
    except ValueError:  # Python writes no int of more than some thousand digits
        return f"{type(value).__name__} too long to show"


def short(text: str, most: int = _MOST_SHOWN) -> str:
    """Return one line, without its middle where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 3 :]}"


def listed(names: Iterable[str]) -> str:
    """Return names with commas between them."""
    return ", ".join(names)
