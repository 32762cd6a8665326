"""Prompts and outputs out of the journal of a run, read line by line and only when somebody asks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FoundTexts", "Text", "Texts"]


@dataclass(frozen=True)
class Text:
    """What one sample was about.

    Parameters
    ----------
    prompt : str
    output : str or None
        What the arm released; None where nothing was generated.
    """

    prompt: str
    output: str | None


@dataclass(frozen=True)
class FoundTexts:
    """What was looked for and found.

    Parameters
    ----------
    samples : mapping of (arm, sample id) to Text
    prompts : mapping of (task, prompt id) to str
        One sample's text of each prompt.
    """

    samples: Mapping[tuple[str, str], Text] = field(default_factory=dict)
    prompts: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Texts:
    """The texts of one model in one journal; nothing where there is no journal, for they only illustrate.

    Parameters
    ----------
    journal : pathlib.Path
    digest : str
        Of the model.
    """

    journal: Path
    digest: str

    def prompts(self, task: str) -> dict[str, dict[str, str]]:
        """Return for each prompt of a task the text that each of its samples was given."""
        found: dict[str, dict[str, str]] = {}
        for sample, _ in self._entries():
            if sample["task"] == task:
                found.setdefault(sample["prompt_id"], {})[sample["id"]] = sample["prompt"]
        return found

    def find(self, samples: Collection[tuple[str, str]], prompts: Collection[tuple[str, str]]) -> FoundTexts:
        """Look texts up in one pass.

        Parameters
        ----------
        samples : collection of (arm, sample id)
        prompts : collection of (task, prompt id)
        """
        if not samples and not prompts:
            return FoundTexts()
        by_sample: dict[tuple[str, str], Text] = {}
        by_prompt: dict[tuple[str, str], str] = {}
        for sample, entry in self._entries():
            prompt = (sample["task"], sample["prompt_id"])
            if prompt in prompts:
                by_prompt.setdefault(prompt, sample["prompt"])
            for arm in entry["arms"]:
                if (arm, sample["id"]) in samples:
                    by_sample[arm, sample["id"]] = Text(sample["prompt"], entry["arms"][arm]["text"])
        return FoundTexts(by_sample, by_prompt)

    def _entries(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield sample and line of each record of the model; a torn line ends the journal, as it does for a resume."""
        try:
            with self.journal.open("rb") as stream:
                next(stream, None)
                for line in stream:
                    entry = json.loads(line)
                    if entry["model"] == self.digest:
                        yield entry["sample"], entry
        except (OSError, ValueError, KeyError, TypeError):
            return
