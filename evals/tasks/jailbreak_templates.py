"""Jailbreak templates: those that ship, those seen in the wild that have a slot, and how a goal is put into one."""

from __future__ import annotations

import base64
import codecs
import importlib.resources
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evals.datasets import Prompt

__all__ = ["WILD", "Template", "shipped_templates", "wild_templates"]

WILD = "wild"
"""Kind of the templates that people were seen to use."""

_FILE = "data/jailbreak_templates.toml"
_MOST_CHARS = 1500
"""Of a template seen in the wild: longer ones cost more to read than the answer costs to write."""

_WILD_SLOT = re.compile(
    r"[\[{]\s*(?:(?:insert|put|type|enter)\s+)?(?:your\s+)?(?:prompt|question|query|request)s?(?:\s+here)?\s*\\?[\]}]",
    re.IGNORECASE,
)
_ALIKE = re.compile(r"[^a-z]+")
_ALIKE_CHARS = 60


def _leet(text: str) -> str:
    return text.lower().translate(str.maketrans("aeiost", "431057"))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _first(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[: (len(words) + 1) // 2])


def _second(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[(len(words) + 1) // 2 :])


_SLOTS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "goal": str,
        "base64": _base64,
        "rot13": lambda text: codecs.encode(text, "rot13"),
        "leet": _leet,
        "reversed": lambda text: text[::-1],
        "first": _first,
        "second": _second,
    }
)
_SLOT = re.compile(r"\{(" + "|".join(_SLOTS) + r")\}")


@dataclass(frozen=True)
class Template:
    """A wording that carries a request past the rules of a model.

    Parameters
    ----------
    id : str
    kind : str
        The technique: the group of its figures.
    text : str
        With one slot or more: ``{goal}``, ``{base64}``, ``{rot13}``, ``{leet}``, ``{reversed}``, ``{first}`` and
        ``{second}``.
    """

    id: str
    kind: str
    text: str

    def fill(self, goal: str) -> str:
        """Put a goal into every slot; a slot inside the goal stays as it is.

        Examples
        --------
        >>> Template("t", "encoding", "Decode {rot13}").fill("abc {goal}")
        'Decode nop {tbny}'
        """
        return _SLOT.sub(lambda slot: _SLOTS[slot[1]](goal), self.text)

    @property
    def prompt(self) -> Prompt:
        """The template as a line of the run's data, by which its digest changes."""
        return Prompt(f"template/{self.id}", self.text, self.kind, True)


def shipped_templates() -> list[Template]:
    """Return the templates written for Assay, in the order of their file."""
    content = importlib.resources.files("evals").joinpath(_FILE).read_text(encoding="utf-8")
    return [Template(one["id"], one["kind"], one["text"].strip()) for one in tomllib.loads(content)["template"]]


def wild_templates(prompts: Iterable[Prompt]) -> list[Template]:
    """Return the prompts seen in the wild that say where the request goes, as templates of the kind :data:`WILD`.

    Parameters
    ----------
    prompts : iterable of Prompt
        As :func:`evals.datasets.jailbreaks` reads them.

    Returns
    -------
    list of Template
        At most 1,500 characters long, the first of those that begin alike (60 letters). The last slot takes the goal.
    """
    found: dict[str, Template] = {}
    for prompt in prompts:
        slots = list(_WILD_SLOT.finditer(prompt.text)) if len(prompt.text) <= _MOST_CHARS else []
        if slots and not _SLOT.search(prompt.text):
            text = prompt.text[: slots[-1].start()] + "{goal}" + prompt.text[slots[-1].end() :]
            found.setdefault(_ALIKE.sub("", text.lower())[:_ALIKE_CHARS], Template(prompt.id, WILD, text))
    return list(found.values())
