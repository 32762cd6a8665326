"""Templates that carry a request: those that ship, by technique, and those seen in the wild that have a slot."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from guard.attacks.prompts.encodings import ENCODINGS

__all__ = ["PLAIN", "WILD", "Template", "injection_templates", "shipped_templates", "wild_templates"]

WILD = "wild"
"""Kind of the templates that people were seen to use."""

_MOST_CHARS = 1500
"""Of a template seen in the wild: longer ones cost more to read than the answer costs to write."""

_WILD_SLOT = re.compile(
    r"[\[{]\s*(?:(?:insert|put|type|enter)\s+)?(?:your\s+)?(?:prompt|question|query|request)s?(?:\s+here)?\s*\\?[\]}]",
    re.IGNORECASE,
)
_ALIKE = re.compile(r"[^a-z]+")
_ALIKE_CHARS = 60


def _first(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[: (len(words) + 1) // 2])


def _second(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[(len(words) + 1) // 2 :])


_SLOTS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"goal": str, "first": _first, "second": _second, **{name: one.encode for name, one in ENCODINGS.items()}}
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
        With one slot or more: ``{goal}``, its halves ``{first}`` and ``{second}``, or the name of an encoding of
        :data:`guard.attacks.prompts.encodings.ENCODINGS`, such as ``{base64}``.
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


PLAIN = Template("plain_request", "plain_request", "{goal}")
"""The request as it stands: what every attack is measured against."""


def shipped_templates() -> list[Template]:
    """Return the jailbreaks written for Assay, in the order of their file."""
    return _read("templates.toml")


def injection_templates() -> list[Template]:
    """Return documents with a slot, written for Assay: the request comes as an instruction planted in one."""
    return _read("injection.toml")


def wild_templates(prompts: Iterable[tuple[str, str]]) -> list[Template]:
    """Return the prompts seen in the wild that say where the request goes, as templates of the kind :data:`WILD`.

    Parameters
    ----------
    prompts : iterable of (str, str)
        Id and text of each.

    Returns
    -------
    list of Template
        At most 1,500 characters long, the first of those that begin alike (60 letters). The last slot takes the goal.
    """
    found: dict[str, Template] = {}
    for name, prompt in prompts:
        slots = list(_WILD_SLOT.finditer(prompt)) if len(prompt) <= _MOST_CHARS else []
        if slots and not _SLOT.search(prompt):
            text = prompt[: slots[-1].start()] + "{goal}" + prompt[slots[-1].end() :]
            found.setdefault(_ALIKE.sub("", text.lower())[:_ALIKE_CHARS], Template(name, WILD, text))
    return list(found.values())


def _read(file: str) -> list[Template]:
    content = importlib.resources.files("guard").joinpath(f"attacks/prompts/data/{file}").read_text(encoding="utf-8")
    return [Template(one["id"], one["kind"], one["text"].strip()) for one in tomllib.loads(content)["template"]]
