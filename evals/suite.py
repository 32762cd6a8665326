"""A suite: which tasks run, on how many prompts and how they decode; read from TOML."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.resources
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from evals.tasks.table import TASKS
from guard.errors import ConfigError

__all__ = ["Suite"]

_SHIPPED = ("quick", "standard", "full")


@dataclass(frozen=True)
class Suite:
    """Which tasks run and how.

    Parameters
    ----------
    name : str
    tasks : mapping of str to object
        From the name of a task to its settings, in the order in which they run.
    """

    name: str
    tasks: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, name_or_path: str) -> Suite:
        """Read a shipped suite by its name, or a TOML file.

        Raises
        ------
        ConfigError
            Not there, not TOML, an unknown key (the nearest is named), a wrong type or a number out of range.
        """
        if name_or_path in _SHIPPED:
            text = importlib.resources.files("evals").joinpath(f"suites/{name_or_path}.toml").read_text("utf-8")
            return _parse(text, name_or_path)
        path = Path(name_or_path)
        try:
            return _parse(path.read_text("utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            shipped = ", ".join(_SHIPPED)
            raise ConfigError(
                f"suite {name_or_path!r}: {reason}; give one of {shipped}, or the path of a TOML file"
            ) from error

    def limited(self, limit: int | None) -> Suite:
        """Return the suite with at most `limit` prompts of each kind in every task."""
        if limit is None:
            return self
        cut = {}
        for task, settings in self.tasks.items():
            counts = {k: min(v, limit) for k, v in dataclasses.asdict(settings).items() if k in _COUNTS}
            cut[task] = dataclasses.replace(settings, **counts)
        return dataclasses.replace(self, tasks=cut)

    @property
    def digest(self) -> str:
        """``<name>@<first 12 hex digits of the SHA-256 over all settings>``."""
        settings = {task: dataclasses.asdict(one) for task, one in self.tasks.items()}
        content = json.dumps({"name": self.name, **settings}, sort_keys=True).encode()
        return f"{self.name}@{hashlib.sha256(content).hexdigest()[:12]}"


_COUNTS = frozenset(
    {"prompts", "harmful", "benign", "examples", "goals", "documents", "pairs", "canaries", "passages", "unpublished"}
)
"""The settings that count prompts, which --limit cuts."""


def _parse(text: str, source: str) -> Suite:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"suite {source}: not valid TOML: {error}") from error
    _check_keys(document, ("name", *TASKS), f"suite {source}")
    name = document.pop("name", Path(source).stem)
    if not isinstance(name, str):
        raise ConfigError(f"suite {source}: name must be text, not {name!r}")
    if not document:
        raise ConfigError(f"suite {source} has no task: add one of [{'], ['.join(TASKS)}]")
    return Suite(name, {task: _settings(task, document[task], source) for task in TASKS if task in document})


def _settings(task: str, table: object, source: str) -> Any:
    where = f"suite {source}: [{task}]"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, not {table!r}")
    kind = TASKS[task].settings
    defaults = {f.name: f.default for f in fields(kind)}
    _check_keys(table, tuple(defaults), where)
    for key, value in table.items():
        _check_value(key, value, defaults[key], where)
    return kind(**table)


def _check_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ConfigError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}? (known: {', '.join(known)})")


def _check_value(key: str, value: object, default: object, where: str) -> None:
    """Refuse what no run could mean."""
    wanted = (int, float) if isinstance(default, float) else type(default)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise ConfigError(f"{where}: {key} = {value!r} must be {'text' if isinstance(default, str) else 'a number'}")
    if isinstance(default, int) and isinstance(value, int) and value < 1:
        raise ConfigError(f"{where}: {key} = {value} must be at least 1")
    if key == "top_p" and isinstance(value, int | float) and not 0 < value <= 1:
        raise ConfigError(f"{where}: top_p = {value} must lie in (0, 1]")
    if key == "temperature" and isinstance(value, int | float) and not 0 <= value <= 100:
        raise ConfigError(f"{where}: temperature = {value} must lie in [0, 100]; 0 is greedy")
