"""What a search moves in: one example, the questions it may ask, and the attack that it is a part of."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Allowed, Constraint, Goal, Judged, RandomSource, Transformation, Victim
from guard.attacks.words import AttackedText

__all__ = [
    "Attack",
    "Differentiate",
    "Judge",
    "Propose",
    "Request",
    "Restrain",
    "Search",
    "Searching",
    "Space",
    "Verdicts",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Judge:
    """A search wants the victim's word on texts."""

    texts: list[AttackedText]


@dataclass(frozen=True)
class Propose:
    """A search wants the candidates of texts that pass the constraints.

    Parameters
    ----------
    texts : list of AttackedText
    indices : list of (list of int or None)
        For each text the words that may change; None is all.
    unchecked : bool
        Leave the constraints to :class:`Restrain`: they may cost more than the victim.
    """

    texts: list[AttackedText]
    indices: list[list[int] | None]
    unchecked: bool = False


@dataclass(frozen=True)
class Differentiate:
    """A search wants the victim's gradients at texts, for the example's right label; see :meth:`WhiteBox.gradients`."""

    texts: list[AttackedText]
    halfway_to: int | None = None


@dataclass(frozen=True)
class Restrain:
    """A search wants to know which of its own candidates, each made from one of `currents`, pass the constraints."""

    candidates: list[AttackedText]
    currents: list[AttackedText]


Request = Judge | Propose | Differentiate | Restrain


@dataclass(frozen=True)
class Verdicts:
    """The answer to :class:`Judge`.

    Parameters
    ----------
    judged : list of Judged
        In the order of the texts; fewer when the query budget ran out among them.
    over : bool
        The budget is spent: the search must end.
    """

    judged: list[Judged]
    over: bool


Searching = Generator[Request, object, T]
"""A search under way: it yields requests, is sent their answers, and returns something in the end."""


class Space(Protocol):
    """What a search moves in: one example, and questions that the engine answers for many examples at once."""

    @property
    def start(self) -> Judged:
        """The original text, judged."""

    @property
    def label(self) -> int:
        """The right label."""

    @property
    def random(self) -> RandomSource:
        """The example's own randomness."""

    @property
    def victim(self) -> Victim:
        """For searches that read tokens or embeddings; texts are judged through :meth:`judge` only."""

    def indices(self, text: AttackedText) -> list[int]:
        """Return the words of a text that may change."""

    def judge(self, texts: list[AttackedText]) -> Searching[Verdicts]:
        """Ask for the victim's word: ``verdicts = yield from space.judge(texts)``."""

    def propose(
        self, text: AttackedText, indices: list[int] | None = None, *, unchecked: bool = False
    ) -> Searching[list[AttackedText]]:
        """Ask for one text's candidates, sorted, without the text itself; all pass the constraints unless unchecked."""

    def propose_many(
        self, texts: list[AttackedText], indices: list[list[int] | None] | None = None
    ) -> Searching[list[list[AttackedText]]]:
        """Ask for the candidates of several texts, so that models among the transformations run on all at once.

        Parameters
        ----------
        texts : list of AttackedText
        indices : list of (list of int or None), optional
            For each text the words that may change; None is all.
        """

    def gradients(
        self, texts: list[AttackedText], *, halfway_to: int | None = None
    ) -> Searching[list[npt.NDArray[np.float32]]]:
        """Ask for the gradients of the right label's cross entropy; see :meth:`WhiteBox.gradients`.

        Raises
        ------
        ConfigError
            The victim has no gradients.
        """

    def restrain(
        self, candidates: list[AttackedText], currents: list[AttackedText]
    ) -> Searching[list[AttackedText | None]]:
        """Ask which texts of the search's own making pass the constraints.

        Parameters
        ----------
        candidates : list of AttackedText
        currents : list of AttackedText
            What each was made from.

        Returns
        -------
        list of AttackedText or None
            One a candidate, None where a constraint refuses it.
        """


class Search(Protocol):
    """How to get from the original text to one that meets the goal. Its ``repr`` says all of its settings."""

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text found."""


@dataclass(frozen=True)
class Attack:
    """A whole attack: what for, by which changes, within which limits, and in which order.

    Parameters
    ----------
    name : str
    goal : Goal
    transformations : tuple of Transformation
        Several give their candidates one after the other, each text once.
    search : Search
    allowed : tuple of Allowed
    constraints : tuple of Constraint
    """

    name: str
    goal: Goal
    transformations: tuple[Transformation, ...]
    search: Search
    allowed: tuple[Allowed, ...] = ()
    constraints: tuple[Constraint, ...] = ()
