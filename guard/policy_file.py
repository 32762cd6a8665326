"""A policy as TOML: bytes in, the fields of a policy out; every key that is not known is refused by name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from guard.certificate import Certificate
from guard.errors import ConfigError
from guard.policy_values import (
    STAGES,
    check_action,
    check_integer,
    check_known,
    check_seconds,
    check_text,
    check_threshold,
    listed,
    nearest,
    short,
    shown,
)
from guard.schema import Action, Stage

__all__ = ["MOST_REGENERATIONS", "SHIPPED", "parse_policy", "read_policy"]

SHIPPED = ("permissive", "standard")
"""The policies that ship with the package."""

MOST_REGENERATIONS = 10

_TOP_KEYS = ("filter_timeout_s", "message", "name", "on_error", "on_error_for", "regenerate_note", "regenerations")
_NEEDED = ("action", "threshold")
_RULE_KEYS = (*_NEEDED, "certificate", "notice")
_MOST_SHOWN = 120  # characters of a reason that the TOML parser gives
_MOST_SHOWN_PATH = 240


def read_policy(name_or_path: str | Path) -> tuple[bytes, str]:
    """Return the bytes of a policy that ships with the package or of a file, and what messages call it.

    Parameters
    ----------
    name_or_path : str or Path

    Raises
    ------
    ConfigError
        No policy of this name and no such file, or one that cannot be read.
    """
    if name_or_path in SHIPPED:
        shipped = resources.files("guard").joinpath("policies", f"{name_or_path}.toml")
        return shipped.read_bytes(), f"{name_or_path}.toml"
    path = Path(name_or_path)
    try:
        if path.suffix or path.exists():
            return path.read_bytes(), str(path)
    except (OSError, ValueError) as error:  # also a name that no file can have, or a folder that may not be looked into
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"policy {short(str(path), _MOST_SHOWN_PATH)} cannot be read: {reason}") from error
    name = str(name_or_path)
    raise ConfigError(
        f"no policy named {shown(name)}{nearest(name, SHIPPED)}: give {listed(SHIPPED)}, or the path of a TOML file"
    )


def parse_policy(data: bytes, source: str) -> dict[str, Any]:
    """Return the fields of the policy that a TOML file holds.

    Parameters
    ----------
    data : bytes
        The file, UTF-8.
    source : str
        What messages call it; its stem is the policy's name where it gives none.

    Raises
    ------
    ConfigError
        Not TOML, or an unknown key or impossible value; the message names the file, the key, and the nearest key
        that exists.
    """
    table = _toml(data, source)
    where = f"policy {source}"
    check_known(table, (*_TOP_KEYS, *STAGES), where)
    fields: dict[str, Any] = {"name": check_text(table.get("name", Path(source).stem), f"{where}: name")}
    if "on_error" in table:
        fields["on_error"] = check_action(check_text(table["on_error"], f"{where}: on_error"), f"{where}: on_error")
    if "on_error_for" in table:
        fields["on_error_for"] = _actions(table["on_error_for"], f"{where}: on_error_for")
    if "message" in table:
        fields["message"] = check_text(table["message"], f"{where}: message")
    if "regenerate_note" in table:
        note = check_text(table["regenerate_note"], f"{where}: regenerate_note", may_be_empty=True)
        fields["regenerate_note"] = note
    if "regenerations" in table:
        number = check_integer(table["regenerations"], f"{where}: regenerations", 0, MOST_REGENERATIONS)
        fields["regenerations"] = number
    if "filter_timeout_s" in table:
        fields["filter_timeout_s"] = check_seconds(table["filter_timeout_s"], f"{where}: filter_timeout_s")
    return {**fields, **_rules(table, where)}


def _toml(data: bytes, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"policy {source} is not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # a plain ValueError: a number of thousands of digits
        reason = "nested too deep" if isinstance(error, RecursionError) else short(str(error), _MOST_SHOWN)
        raise ConfigError(f"policy {source} is not valid TOML: {reason}") from error


def _actions(table: object, where: str) -> dict[str, Action]:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table from kinds of filters to actions, such as encoder = 'allow'")
    return {kind: check_action(value, f"{where}.{short(kind)}") for kind, value in table.items()}


def _rules(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the three mappings that rules fill: thresholds, notices and certificates."""
    thresholds, notices, certificates = {}, {}, {}
    for stage, category, rule in _rule_tables(table, where):
        at, key = f"{where}: {stage}.{short(category)}", (stage, category)
        threshold = check_threshold(rule["threshold"], f"{at}.threshold")
        thresholds[key] = (threshold, check_action(rule["action"], f"{at}.action"))
        if "notice" in rule:
            notices[key] = check_text(rule["notice"], f"{at}.notice")
        if "certificate" in rule:
            certificates[key] = _certificate(rule["certificate"], f"{at}.certificate")
    return {"thresholds": thresholds, "notices": notices, "certificates": certificates}


def _rule_tables(table: Mapping[str, Any], where: str) -> Iterator[tuple[Stage, str, Mapping[str, Any]]]:
    for stage in STAGES:
        categories = table.get(stage, {})
        if not isinstance(categories, dict):
            raise ConfigError(f"{where}: {stage} must be tables such as [{stage}.toxicity]")
        for category, rule in categories.items():
            at = f"{where}: {stage}.{short(category)}"
            if not isinstance(rule, dict):
                raise ConfigError(f"{at} must be a table with the keys {listed(_NEEDED)}")
            check_known(rule, _RULE_KEYS, at)
            for key in _NEEDED:
                if key not in rule:
                    raise ConfigError(f"{at} lacks {key}: give both {listed(_NEEDED)}")
            yield stage, category, rule


def _certificate(table: object, where: str) -> Certificate:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, as assay calibrate writes it")
    return Certificate.from_table(table, where)
