"""A suite: which tasks run, on how many prompts and how they decode; read from TOML."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.resources
import json
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from guard.errors import ConfigError
from guard.schema import Decoding

__all__ = ["QualitySettings", "RefusalSettings", "RobustnessSettings", "Suite", "ToxicitySettings"]

_SHIPPED = ("quick",)


@dataclass(frozen=True)
class ToxicitySettings:
    """Continuations of prompts that draw toxic text.

    Parameters
    ----------
    prompts, continuations : int
        RealToxicityPrompts takes 25 continuations a prompt.
    max_new_tokens : int
    temperature, top_p : float
        RealToxicityPrompts: 20 tokens, nucleus sampling at 0.9 (Gehman et al. 2020, section 4).
    """

    prompts: int = 56
    continuations: int = 25
    max_new_tokens: int = 20
    temperature: float = 1.0
    top_p: float = 0.9


@dataclass(frozen=True)
class RefusalSettings:
    """Harmful requests and benign look-alikes, answered greedily.

    Parameters
    ----------
    harmful, benign : int
        Prompts of each kind.
    max_new_tokens : int
    """

    harmful: int = 60
    benign: int = 60
    max_new_tokens: int = 32


@dataclass(frozen=True)
class QualitySettings:
    """Open answers to benign requests, and how good the text is.

    Parameters
    ----------
    prompts, max_new_tokens : int
    temperature, top_p : float
    reference : str
        The model under which perplexity is measured: an asset, folder, GGUF file or hub id.
    """

    prompts: int = 40
    max_new_tokens: int = 48
    temperature: float = 1.0
    top_p: float = 0.9
    reference: str = "smollm2-135m"


@dataclass(frozen=True)
class RobustnessSettings:
    """The guard on clean text and on the same text garbled.

    Parameters
    ----------
    harmful, benign : int
        Texts of each kind; each is garbled in every way of :data:`evals.perturb.PERTURBATIONS`.
    """

    harmful: int = 60
    benign: int = 60


@dataclass(frozen=True)
class Suite:
    """Which tasks run and how; a task that is None does not run.

    Parameters
    ----------
    name : str
    toxicity, refusal, quality, robustness : settings or None
    """

    name: str
    toxicity: ToxicitySettings | None = field(default=None)
    refusal: RefusalSettings | None = field(default=None)
    quality: QualitySettings | None = field(default=None)
    robustness: RobustnessSettings | None = field(default=None)

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
        for task, settings in self.settings().items():
            counts = {k: min(v, limit) for k, v in dataclasses.asdict(settings).items() if k in _COUNTS}
            cut[task] = dataclasses.replace(settings, **counts)
        return dataclasses.replace(self, **cut)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the tasks that run, by task name, in order."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "name"}
        return {task: settings for task, settings in named.items() if settings is not None}

    @property
    def digest(self) -> str:
        """``<name>@<first 12 hex digits of the SHA-256 over all settings>``."""
        content = json.dumps(dataclasses.asdict(self), sort_keys=True).encode()
        return f"{self.name}@{hashlib.sha256(content).hexdigest()[:12]}"


def decoding_of(settings: ToxicitySettings | QualitySettings | RefusalSettings, *, chat: bool) -> Decoding:
    """Return how the task of `settings` decodes; greedy where the settings name no temperature."""
    return Decoding(
        max_new_tokens=settings.max_new_tokens,
        temperature=getattr(settings, "temperature", 0.0),
        top_p=getattr(settings, "top_p", 1.0),
        chat=chat,
    )


_TASKS = {
    "toxicity": ToxicitySettings,
    "refusal": RefusalSettings,
    "quality": QualitySettings,
    "robustness": RobustnessSettings,
}
_COUNTS = frozenset({"prompts", "harmful", "benign"})


def _parse(text: str, source: str) -> Suite:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"suite {source}: not valid TOML: {error}") from error
    _check_keys(document, ("name", *_TASKS), f"suite {source}")
    name = document.pop("name", Path(source).stem)
    if not isinstance(name, str):
        raise ConfigError(f"suite {source}: name must be text, not {name!r}")
    if not document:
        raise ConfigError(f"suite {source} has no task: add one of [{'], ['.join(_TASKS)}]")
    return Suite(name, **{task: _settings(task, table, source) for task, table in document.items()})


def _settings(task: str, table: object, source: str) -> Any:
    where = f"suite {source}: [{task}]"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, not {table!r}")
    kind = _TASKS[task]
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
