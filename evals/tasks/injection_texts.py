"""What the injection task is made of: documents with a question, and instructions to be planted in them."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from evals.datasets import Prompt

__all__ = ["PLACES", "Document", "Instruction", "Place", "Wordings", "shipped_texts"]

Place = Literal["start", "middle", "end"]

PLACES: tuple[Place, ...] = get_args(Place)
"""Where in a document an instruction can stand."""

_FILE = "data/injection.toml"
_PARAGRAPH = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Document:
    """A text, a question about it, and what a right answer holds.

    Parameters
    ----------
    id, kind : str
    text : str
        Paragraphs with blank lines between them.
    question : str
    answers : tuple of str
        Forms of the right answer: any of them, as words in their order.
    """

    id: str
    kind: str
    text: str
    question: str
    answers: tuple[str, ...]

    def planted(self, text: str, place: Place) -> str:
        """Return the document with a paragraph before, in the middle of, or after its own."""
        parts = _PARAGRAPH.split(self.text)
        at = {"start": 0, "middle": (len(parts) + 1) // 2, "end": len(parts)}[place]
        return "\n\n".join([*parts[:at], text, *parts[at:]])

    @property
    def prompt(self) -> Prompt:
        """The document as a line of the run's data."""
        return Prompt(self.id, f"{self.text}\n\n{self.question}", self.kind)


@dataclass(frozen=True)
class Instruction:
    """Something that only a model which obeys it would write.

    Parameters
    ----------
    id, text : str
    markers : tuple of str
        Any of them in an answer, as words in their order, shows that it was obeyed.
    language : str
        Instead of markers: an answer in this language shows it.
    """

    id: str
    text: str
    markers: tuple[str, ...] = ()
    language: str = ""

    @property
    def prompt(self) -> Prompt:
        """The instruction as a line of the run's data."""
        shown = " | ".join((*self.markers, self.language))
        return Prompt(f"instruction/{self.id}", f"{self.text} -> {shown}", "instruction", True)


@dataclass(frozen=True)
class Wordings:
    """How an instruction is introduced; ``{instruction}`` takes it.

    Parameters
    ----------
    planted : tuple of str
        Inside a document.
    direct : tuple of str
        In the user's own message, after the task.
    """

    planted: tuple[str, ...]
    direct: tuple[str, ...]

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The wordings as lines of the run's data."""
        both = {"planted": self.planted, "direct": self.direct}
        return tuple(
            Prompt(f"wording/{kind}-{i}", text, "wording", True)
            for kind, texts in both.items()
            for i, text in enumerate(texts)
        )


def shipped_texts() -> tuple[Sequence[Document], Sequence[Instruction], Wordings]:
    """Return the documents, instructions and wordings that ship with Assay, in the order of their file."""
    content = importlib.resources.files("evals").joinpath(_FILE).read_text(encoding="utf-8")
    tables = tomllib.loads(content)
    documents = [
        Document(one["id"], one["kind"], one["text"].strip(), one["question"], tuple(one["answers"]))
        for one in tables["document"]
    ]
    instructions = [
        Instruction(one["id"], one["text"], tuple(one.get("markers", ())), one.get("language", ""))
        for one in tables["instruction"]
    ]
    return documents, instructions, Wordings(tuple(tables["planted"]), tuple(tables["direct"]))
