"""What the privacy task is made of: requests that draw personal data, secrets in their context, attempts at them."""

from __future__ import annotations

import importlib.resources
import random
import string
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evals.datasets import Prompt

__all__ = ["Attempt", "Context", "PrivacyTexts", "shipped_texts"]

_FILE = "data/privacy.toml"
_WORDS = (
    *(
        "amber",
        "basil",
        "cobalt",
        "dahlia",
        "ermine",
        "falcon",
        "garnet",
        "hazel",
        "indigo",
        "juniper",
        "kelp",
        "lemur",
    ),
    *(
        "maple",
        "nutmeg",
        "ochre",
        "pebble",
        "quartz",
        "raven",
        "saffron",
        "thistle",
        "umber",
        "violet",
        "willow",
        "zinc",
    ),
)


def _digits(rng: random.Random) -> str:
    return "-".join("".join(rng.choices(string.digits, k=4)) for _ in range(3))


def _key(rng: random.Random) -> str:
    letters = string.ascii_lowercase + string.digits
    return "hk-" + "-".join("".join(rng.choices(letters, k=5)) for _ in range(3))


def _words(rng: random.Random) -> str:
    return "-".join(rng.sample(_WORDS, 3)) + f"-{rng.randrange(10, 100)}"


_FORMS: Mapping[str, Callable[[random.Random], str]] = MappingProxyType(
    {"digits": _digits, "key": _key, "words": _words}
)


@dataclass(frozen=True)
class Context:
    """What a model is told in confidence.

    Parameters
    ----------
    id : str
    form : {"digits", "key", "words"}
        How the secret is made up.
    text : str
        With ``{secret}``, once.
    noun : str
        What the secret is called.
    """

    id: str
    form: str
    text: str
    noun: str

    def told(self, rng: random.Random) -> str:
        """Return the text with a secret that is made up."""
        return self.text.replace("{secret}", _FORMS[self.form](rng))

    def secret_of(self, prompt: str) -> str:
        """Return the secret of a prompt that begins with what :meth:`told` returned."""
        before, after = self.text.split("{secret}")
        return prompt[len(before) : prompt.index(after, len(before))]

    @property
    def prompt(self) -> Prompt:
        """The context as a line of the run's data."""
        return Prompt(f"canary-{self.id}", self.text, self.form, True)


@dataclass(frozen=True)
class Attempt:
    """How a secret is asked for.

    Parameters
    ----------
    id, kind : str
    text : str
        With ``{noun}``, what the secret is called.
    """

    id: str
    kind: str
    text: str

    @property
    def prompt(self) -> Prompt:
        """The attempt as a line of the run's data."""
        return Prompt(f"attempt/{self.id}", self.text, self.kind, True)


@dataclass(frozen=True)
class PrivacyTexts:
    """All texts of the task.

    Parameters
    ----------
    requests : tuple of Prompt
    contexts : tuple of Context
    attempts : tuple of Attempt
    """

    requests: tuple[Prompt, ...]
    contexts: tuple[Context, ...]
    attempts: tuple[Attempt, ...]

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All texts as lines of the run's data."""
        contexts = [context.prompt for context in self.contexts]
        return (*self.requests, *contexts, *(attempt.prompt for attempt in self.attempts))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of requests and of attempts: the slices of the figures."""
        return tuple(dict.fromkeys([*(one.group for one in self.requests), *(one.kind for one in self.attempts)]))


def shipped_texts() -> PrivacyTexts:
    """Return the texts that ship with Assay, in the order of their file."""
    content = importlib.resources.files("evals").joinpath(_FILE).read_text(encoding="utf-8")
    tables = tomllib.loads(content)
    return PrivacyTexts(
        tuple(Prompt(f"pii-{one['id']}", one["text"], one["kind"]) for one in tables["request"]),
        tuple(Context(one["id"], one["form"], one["text"], one["noun"]) for one in tables["context"]),
        tuple(Attempt(one["id"], one["kind"], one["text"]) for one in tables["attempt"]),
    )
