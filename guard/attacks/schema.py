"""Records and protocols of an attack: victim, goal, transformation, constraint, and what came of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from guard.attacks.words import AttackedText

__all__ = [
    "Allowed",
    "Ask",
    "Attempt",
    "Check",
    "Constraint",
    "Example",
    "Goal",
    "Judged",
    "Kind",
    "Probabilities",
    "RandomSource",
    "Status",
    "TokenEncoding",
    "Transformation",
    "Victim",
    "WhiteBox",
]

Probabilities = npt.NDArray[np.float64]
"""float64, shape (n_texts, n_labels), each in [0, 1], rows summing to 1."""

Kind = Literal["swap", "delete", "insert", "text"]
"""What a transformation does: puts another word for one, takes words out, adds words, or rewrites the text."""

Status = Literal["succeeded", "failed", "skipped", "maximized"]
"""Goal met; not met; met before anything was changed; or a goal without an end, taken as far as it went."""


@runtime_checkable
class Victim(Protocol):
    """What is attacked: texts in, one probability a label out."""

    @property
    def name(self) -> str:
        """``<kind>@<digest>``: whatever changes a probability changes it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Column order of :meth:`probabilities`."""

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text.

        Returns
        -------
        Probabilities
            float64, shape (len(texts), len(labels)), rows summing to 1. A row does not depend on its neighbours.
        """


@dataclass(frozen=True)
class TokenEncoding:
    """A text as its victim's tokens.

    Parameters
    ----------
    ids : tuple of int
        With special tokens.
    offsets : tuple of (int, int)
        For each token its half-open range of characters in the text as given, (0, 0) for special tokens.
    """

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


@runtime_checkable
class WhiteBox(Victim, Protocol):
    """A victim whose gradients can be had."""

    def tokens(self, texts: Sequence[str]) -> list[TokenEncoding]:
        """Return the tokens of each text, those that :meth:`gradients` has rows for."""

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Return how the cross entropy of a label changes with each token's word embedding.

        Parameters
        ----------
        texts : sequence of str
        labels : sequence of int
            One a text: the label whose negative log probability is differentiated.
        halfway_to : int, optional
            A token: the gradient is taken halfway between the text and one in which every token, special ones apart,
            is this one. What a word's loss would change by is told better there than at the text itself.

        Returns
        -------
        list of ndarray of float32
            One a text, shape (n_tokens, n_hidden), rows as in :meth:`tokens`.
        """

    def embeddings(self) -> npt.NDArray[np.float32]:
        """Return the word embeddings, shape (n_vocabulary, n_hidden)."""


@dataclass(frozen=True)
class RandomSource:
    """The randomness of one example, whatever runs beside it.

    Parameters
    ----------
    seed : int
        In [0, 2**32).

    Notes
    -----
    Two generators, since the published recipes' code draws from numpy's and from Python's; numpy's legacy one, since
    its stream is frozen.
    """

    seed: int
    numpy: np.random.RandomState = field(init=False, repr=False, compare=False)
    python: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Start both streams at the seed."""
        object.__setattr__(self, "numpy", np.random.RandomState(self.seed))
        object.__setattr__(self, "python", random.Random(self.seed))  # noqa: S311


@dataclass(frozen=True)
class Example:
    """A text to attack.

    Parameters
    ----------
    id : str
        Unique in a run: its randomness and its line in the journal go by it.
    text : str
    label : int
        Index of the victim's label that is right, which the attack wants the victim to leave.
    """

    id: str
    text: str
    label: int


@dataclass(frozen=True)
class Ask:
    """One text of one example that a transformation is to change.

    Parameters
    ----------
    text : AttackedText
    indices : tuple of int
        Of the words that may change; a transformation that draws goes through them in this order.
    original : AttackedText
    label : int
        The example's right label.
    random : RandomSource
        The example's own.
    """

    text: AttackedText
    indices: tuple[int, ...]
    original: AttackedText
    label: int
    random: RandomSource


@dataclass(frozen=True)
class Check:
    """Candidates of one text that a constraint is to look through.

    Parameters
    ----------
    original : AttackedText
        What the attack began with.
    current : AttackedText
        What the candidates were made from.
    candidates : list of AttackedText
    """

    original: AttackedText
    current: AttackedText
    candidates: list[AttackedText]


class Transformation(Protocol):
    """A text to candidates. Its ``repr`` says all of its settings."""

    @property
    def kind(self) -> Kind:
        """What it does to words."""

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return the candidates of each ask, in a set order; many asks at once, for those that run a model.

        What comes back for an ask does not depend on the others.
        """


class Allowed(Protocol):
    """Which words may change. Its ``repr`` says all of its settings."""

    def indices(self, text: AttackedText, transformation: Transformation) -> set[int]:
        """Return the indices of the words of `text` that `transformation` may change."""


class Constraint(Protocol):
    """Which candidates may stay. Its ``repr`` says all of its settings."""

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return for each check those of its candidates that stay, in their order.

        A constraint that measures similarity gives it back in them: ``dataclasses.replace(candidate, similarity=...)``.
        """


@dataclass(frozen=True)
class Judged:
    """A text as the goal sees it.

    Parameters
    ----------
    text : AttackedText
    probabilities : tuple of float
        The victim's, by label.
    score : float
        The higher, the nearer to the goal.
    met : bool
    """

    text: AttackedText
    probabilities: tuple[float, ...]
    score: float
    met: bool


class Goal(Protocol):
    """What the attack wants of the victim. Its ``repr`` says all of its settings."""

    @property
    def endless(self) -> bool:
        """Whether the score is driven as far as it goes instead of to a point where the goal is met."""

    def judge(
        self, probabilities: Probabilities, texts: Sequence[AttackedText], *, original: AttackedText, label: int
    ) -> list[Judged]:
        """Score texts by what the victim says about them; row ``i`` of `probabilities` is of text ``i``."""

    def decided(self, probabilities: tuple[float, ...]) -> int:
        """Return the label that the victim decides on."""

    def skips(self, probabilities: tuple[float, ...], label: int) -> bool:
        """Tell whether there is nothing to attack: the victim errs already."""


@dataclass(frozen=True)
class Attempt:
    """What came of attacking one example.

    Parameters
    ----------
    example_id : str
    label : int
    original, perturbed : str
        The same text when the example was skipped.
    status : Status
    n_queries : int
        Texts that the search asked about, the original included and repeats too: what TextAttack counts.
    n_victim_texts : int
        Different texts among them: what a victim had to read for this example alone.
    n_words : int
        Of the original.
    n_words_changed : int
        Least number of words replaced, put in or taken out between the two texts.
    edit_distance : int
        The same in characters.
    score_before, score_after : float
        Of the goal.
    label_after : int
        What the victim decides on for `perturbed`, by the goal's threshold where it has one.
    """

    example_id: str
    label: int
    original: str
    perturbed: str
    status: Status
    n_queries: int
    n_victim_texts: int
    n_words: int
    n_words_changed: int
    edit_distance: int
    score_before: float
    score_after: float
    label_after: int
