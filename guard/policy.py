"""Thresholds and actions, read from TOML, and the pure decision from scores to a verdict."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from guard.errors import ConfigError, FilterError
from guard.schema import Action, Stage, Verdict

__all__ = ["Policy"]

Rule = tuple[float, Action]
"""A threshold in [0, 1], and what happens at or over it."""

_SHIPPED = ("permissive", "standard")
_STAGES: tuple[Stage, ...] = ("input", "output")
_TOP_KEYS = ("filter_timeout_s", "message", "name", "on_error", *_STAGES)
_RULE_KEYS = ("action", "threshold")
_ACTIONS = tuple(action.name.lower() for action in Action)
_MOST_SHOWN = 60  # characters of a value in a message
_MESSAGE = "This request was stopped by the content policy."


@dataclass(frozen=True)
class Policy:
    """What happens at which score.

    Parameters
    ----------
    name : str
    thresholds : mapping of (stage, category) to (threshold, Action)
        A rule fires when the score is at or over its threshold, which lies in [0, 1].
    on_error : Action
        What happens to a text that a filter failed to score. Blocks unless told otherwise: fail closed.
    message : str
        What the user reads in place of a blocked text.
    filter_timeout_s : float or None
        How long a filter may take over a batch before it counts as hung, in seconds, see
        :class:`guard.guard.Guard`; at most ``threading.TIMEOUT_MAX``. None leaves it to the guard.

    Raises
    ------
    ConfigError
        When a threshold, action, stage or timeout is impossible.

    Examples
    --------
    >>> policy = Policy("mine", {("output", "toxicity"): (0.5, Action.BLOCK)})
    >>> policy.decide({"toxicity": 0.7}, "output").action.name
    'BLOCK'
    """

    name: str
    thresholds: Mapping[tuple[Stage, str], Rule] = field(default_factory=dict)
    on_error: Action = Action.BLOCK
    message: str = _MESSAGE
    filter_timeout_s: float | None = None

    def __post_init__(self) -> None:
        for (stage, category), (threshold, action) in self.thresholds.items():
            where = f"policy {_short(self.name)}: {_short(str(stage))}.{_short(str(category))}"
            _one_of(stage, _STAGES, "stage", where)
            if not isinstance(action, Action):
                raise ConfigError(f"{where}.action: {_shown(action)} is not an Action")
            _threshold(threshold, f"{where}.threshold")
        if not isinstance(self.on_error, Action):
            raise ConfigError(f"policy {_short(self.name)}: on_error: {_shown(self.on_error)} is not an Action")
        if self.filter_timeout_s is not None:
            _seconds(self.filter_timeout_s, f"policy {_short(self.name)}: filter_timeout_s")
        object.__setattr__(self, "thresholds", dict(self.thresholds))

    @classmethod
    def load(cls, name_or_path: str | Path) -> Policy:
        """Read a policy that ships with the package, or a TOML file.

        Parameters
        ----------
        name_or_path : str or Path
            ``standard``, ``permissive``, or the path of a TOML file.

        Raises
        ------
        ConfigError
            See :meth:`from_toml`.
        """
        if name_or_path in _SHIPPED:
            shipped = resources.files("guard").joinpath("policies", f"{name_or_path}.toml")
            return _parse(shipped.read_bytes(), f"{name_or_path}.toml")
        path = Path(name_or_path)
        try:
            is_path = bool(path.suffix) or path.exists()
        except OSError as error:  # a name that no file can have, or a folder that may not be looked into
            raise _unreadable(path, error) from error
        if is_path:
            return cls.from_toml(path)
        shown, hint = _shown(str(name_or_path)), _nearest(str(name_or_path), _SHIPPED)
        raise ConfigError(f"no policy named {shown}{hint}: give {_listed(_SHIPPED)}, or the path of a TOML file")

    @classmethod
    def from_toml(cls, path: str | Path) -> Policy:
        """Read a policy from a TOML file.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Policy

        Raises
        ------
        ConfigError
            When the file is missing or not TOML, or a key or value is unknown; the message names the file, the
            key, and the nearest key that exists.
        """
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            raise _unreadable(Path(path), error) from error
        return _parse(data, str(path))

    def categories(self, stage: Stage) -> tuple[str, ...]:
        """Return the categories that have a threshold in `stage`, sorted."""
        return tuple(sorted(category for at, category in self.thresholds if at == stage))

    def decide(self, scores: Mapping[str, float], stage: Stage) -> Verdict:
        """Turn the scores of one text into a verdict.

        The strictest action of all rules that fire wins, so that a higher score never lowers the action.

        Parameters
        ----------
        scores : mapping of str to float
            One number in [0, 1] a category. Categories without a rule are recorded and decide nothing.
        stage : {"input", "output"}

        Returns
        -------
        Verdict
            ``triggered`` holds the categories that fired, the one furthest over its threshold first.

        Raises
        ------
        FilterError
            When a score is NaN or outside [0, 1], or a category with a threshold has no score: either would let
            a text pass unjudged.
        """
        for category, score in scores.items():
            if not 0.0 <= score <= 1.0:
                raise FilterError(f"score of {category} is {score}: expected a number in [0, 1]")
        fired: list[tuple[float, str, Action]] = []
        for (at, category), (threshold, action) in self.thresholds.items():
            if at != stage:
                continue
            if category not in scores:
                raise FilterError(f"no score for {category}, on which policy {self.name} has a threshold for {stage}")
            if scores[category] >= threshold:
                fired.append((scores[category] - threshold, category, action))
        fired.sort(key=lambda rule: (-rule[0], rule[1]))
        action = max((rule[2] for rule in fired), default=Action.ALLOW)
        return Verdict(action, stage, dict(scores), tuple(category for _, category, _ in fired))

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides, as 64 hexadecimal digits; the name is not part of it."""
        rules = sorted([*key, float(rule[0]), rule[1].name] for key, rule in self.thresholds.items())
        parts = [rules, self.on_error.name, self.message, self.filter_timeout_s]
        return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _parse(data: bytes, source: str) -> Policy:
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"policy {source} is not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # a plain ValueError: a number of thousands of digits
        reason = "nested too deep" if isinstance(error, RecursionError) else _short(str(error), 2 * _MOST_SHOWN)
        raise ConfigError(f"policy {source} is not valid TOML: {reason}") from error
    _known(table, _TOP_KEYS, f"policy {source}")
    thresholds = {(stage, name): rule for stage in _STAGES for name, rule in _rules(table, stage, source)}
    on_error = _text(table, "on_error", source, default="block")
    timeout = table.get("filter_timeout_s")
    if timeout is not None:
        timeout = _seconds(timeout, f"policy {source}: filter_timeout_s")
    return Policy(
        name=_text(table, "name", source, default=Path(source).stem),
        thresholds=thresholds,
        on_error=_action(on_error, f"policy {source}: on_error"),
        message=_text(table, "message", source, default=_MESSAGE),
        filter_timeout_s=timeout,
    )


def _rules(table: Mapping[str, Any], stage: Stage, source: str) -> Iterable[tuple[str, Rule]]:
    categories = table.get(stage, {})
    if not isinstance(categories, dict):
        raise ConfigError(f"policy {source}: {stage} must be tables such as [{stage}.toxicity]")
    for category, rule in categories.items():
        where = f"policy {source}: {stage}.{_short(category)}"
        if not isinstance(rule, dict):
            raise ConfigError(f"{where} must be a table with the keys {_listed(_RULE_KEYS)}")
        _known(rule, _RULE_KEYS, where)
        for key in _RULE_KEYS:
            if key not in rule:
                raise ConfigError(f"{where} lacks {key}: give both {_listed(_RULE_KEYS)}")
        threshold = _threshold(rule["threshold"], f"{where}.threshold")
        yield category, (threshold, _action(rule["action"], f"{where}.action"))


def _known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"{where}: unknown key {_shown(key)}{_nearest(key, keys)}; known: {_listed(sorted(keys))}"
            )


def _text(table: Mapping[str, Any], key: str, source: str, *, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"policy {source}: {key} is {_shown(value)}: expected a text that is not empty")
    return value


def _threshold(value: object, where: str) -> float:
    return _number(value, where, 0.0, 1.0, "a number in [0, 1]")


def _seconds(value: object, where: str) -> float:
    rule = f"a positive number of seconds, {threading.TIMEOUT_MAX:.0f} at most"
    return _number(value, where, math.nextafter(0.0, 1.0), threading.TIMEOUT_MAX, rule)


def _number(value: object, where: str, low: float, high: float, rule: str) -> float:
    # Compared before float(), which cannot take any int; NaN compares false.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{where} is {_shown(value)}: expected {rule}")
    return float(value)


def _action(value: object, where: str) -> Action:
    _one_of(value, _ACTIONS, "action", where)
    return Action[str(value).upper()]


def _one_of(value: object, allowed: tuple[str, ...], kind: str, where: str) -> None:
    if value not in allowed:
        hint = _nearest(value, allowed) if isinstance(value, str) else ""
        raise ConfigError(f"{where}: unknown {kind} {_shown(value)}{hint}; known: {_listed(allowed)}")


def _nearest(given: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(given[:_MOST_SHOWN].lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _shown(value: object) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, str):
        return repr(_short(value))
    try:
        return _short(repr(value))
    except ValueError:  # Python writes no int of more than some thousand digits
        return f"{type(value).__name__} too long to show"


def _short(text: str, most: int = _MOST_SHOWN) -> str:
    """Return one line, without its middle where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 3 :]}"


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigError(f"policy {_short(str(path), 4 * _MOST_SHOWN)} cannot be read: {reason}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
