"""What each metric is evidence for in OWASP, NIST, the EU AI Act and TC260-003: one table, ``taxonomy.toml``."""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from guard.errors import ConfigError

__all__ = ["NO_TAGS", "Framework", "Item", "Tags", "Taxonomy", "taxonomy"]


@dataclass(frozen=True)
class Item:
    """One item of a framework.

    Parameters
    ----------
    framework : str
        Key of the framework, for example ``owasp``.
    id : str
        As the document numbers it, for example ``LLM01:2025`` or ``Art. 15(5)``.
    name : str
    """

    framework: str
    id: str
    name: str


@dataclass(frozen=True)
class Framework:
    """A document that items come from.

    Parameters
    ----------
    key, short, name, version, source : str
    items : mapping of str to Item
        Those that some metric may be tagged with, by id.
    """

    key: str
    short: str
    name: str
    version: str
    source: str
    items: Mapping[str, Item]


@dataclass(frozen=True)
class Tags:
    """What one metric is evidence for.

    Parameters
    ----------
    items : tuple of Item
        In the order of the frameworks; empty for an unknown metric.
    why : str
        One sentence.
    """

    items: tuple[Item, ...] = ()
    why: str = ""

    def of(self, framework: str) -> tuple[Item, ...]:
        """Return the items of one framework."""
        return tuple(item for item in self.items if item.framework == framework)


NO_TAGS = Tags()
"""Of a metric that the table does not know."""


@dataclass(frozen=True)
class Taxonomy:
    """The whole table.

    Parameters
    ----------
    frameworks : mapping of str to Framework
    rows : mapping of str to Tags
        By ``task/name``, or ``task/*`` for the other metrics of a task or of a family of tasks.
    """

    frameworks: Mapping[str, Framework]
    rows: Mapping[str, Tags]

    def tags_of(self, metric: str) -> Tags:
        """Return the tags of ``task/name``; none where the table knows neither the metric nor its task.

        A task of a family, such as ``bias_swaps``, has the row of its family, ``bias/*``, where it has none of its own.
        """
        task, _, name = metric.partition("/")
        if not task or not name:
            return NO_TAGS
        family = task.partition("_")[0]
        keys = (metric, f"{task}/*", f"{family}/*")
        return next((self.rows[key] for key in keys if key in self.rows), NO_TAGS)

    def labels_of(self, metric: str) -> list[str]:
        """Return the tags of a metric as texts, for example ``OWASP LLM01:2025``."""
        return [f"{self.frameworks[item.framework].short} {item.id}" for item in self.tags_of(metric).items]

    @classmethod
    def parse(cls, text: str) -> Taxonomy:
        """Read a table.

        Raises
        ------
        ConfigError
            Not TOML, an item that no framework has, an item twice, or a metric without a reason.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"taxonomy: not TOML: {error}") from error
        frameworks = {key: _framework(key, table, document) for key, table in document.get("framework", {}).items()}
        rows = {name: _tags(name, table, frameworks) for name, table in document.get("metric", {}).items()}
        return cls(MappingProxyType(frameworks), MappingProxyType(rows))


@functools.cache
def taxonomy() -> Taxonomy:
    """Return the table that ships."""
    file = importlib.resources.files("evals") / "taxonomy.toml"
    return Taxonomy.parse(file.read_text(encoding="utf-8"))


def _framework(key: str, table: Mapping[str, Any], document: Mapping[str, Any]) -> Framework:
    named = document.get("item", {}).get(key, {})
    items = {number: Item(key, number, name) for number, name in named.items()}
    return Framework(key, table["short"], table["name"], table["version"], table["source"], MappingProxyType(items))


def _tags(metric: str, table: Mapping[str, Any], frameworks: Mapping[str, Framework]) -> Tags:
    unknown = sorted(table.keys() - {*frameworks, "why"})
    if unknown or not table.get("why"):
        fault = f"the unknown key {unknown[0]!r}" if unknown else "no reason (why)"
        raise ConfigError(f"taxonomy: {metric} has {fault}; a row holds {', '.join(frameworks)} and why")
    found = [item for key in frameworks for item in _items(metric, table.get(key, []), frameworks[key])]
    return Tags(tuple(found), table["why"])


def _items(metric: str, numbers: Iterable[str], framework: Framework) -> list[Item]:
    numbers = list(numbers)
    for number in numbers:
        if number not in framework.items or numbers.count(number) > 1:
            fault = "twice" if number in framework.items else f"which {framework.name} does not have here"
            raise ConfigError(f"taxonomy: {metric} is tagged with {number!r} {fault}; name items of [item] once")
    return [framework.items[number] for number in numbers]
