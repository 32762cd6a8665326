"""Many-shot jailbreaking: a long run of obliging exchanges before the request (Anil et al. 2024)."""

from __future__ import annotations

import functools
import importlib.resources
import random
import tomllib
from dataclasses import dataclass

from guard.errors import ConfigError

__all__ = ["ManyShot", "most_shots", "shot_wordings"]

_SHOTS = (4, 8, 16, 24)


@dataclass(frozen=True)
class ManyShot:
    """So many exchanges in one message, then the request.

    Anil et al. find success to follow a power law in the number of shots, with harmful exchanges of a model that was
    never aligned and up to 256 of them. The exchanges here are mild, so figures are a lower bound of theirs.

    Parameters
    ----------
    shots : int
        At least 1, and at most :func:`most_shots`.

    Raises
    ------
    ConfigError
        More shots than ship, or none.
    """

    shots: int

    def __post_init__(self) -> None:
        """Refuse what cannot be filled."""
        if not 1 <= self.shots <= most_shots():
            raise ConfigError(f"many-shot with {self.shots} exchanges: there are {most_shots()}, give 1 to so many")

    @property
    def id(self) -> str:
        """``many-shot-<shots>``."""
        return f"many-shot-{self.shots}"

    @property
    def kind(self) -> str:
        """``many-shot``."""
        return "many-shot"

    def fill(self, goal: str) -> str:
        """Return the exchanges, drawn by the goal so that goals do not share one order, and the request."""
        chosen = random.Random(f"{self.shots}/{goal}").sample(_dialogues(), self.shots)  # noqa: S311
        shown = [f"User: {question}\nAssistant: {answer}" for question, answer in chosen]
        return "\n\n".join([*shown, f"User: {goal}\nAssistant:"])


def shot_wordings(shots: tuple[int, ...] = _SHOTS) -> list[ManyShot]:
    """Return one wording a number of shots."""
    return [ManyShot(n) for n in shots]


def most_shots() -> int:
    """Return how many exchanges ship."""
    return len(_dialogues())


@functools.cache
def _dialogues() -> list[tuple[str, str]]:
    file = importlib.resources.files("guard").joinpath("attacks/prompts/data/dialogues.toml")
    return [(one["question"], one["answer"]) for one in tomllib.loads(file.read_text(encoding="utf-8"))["dialogue"]]
