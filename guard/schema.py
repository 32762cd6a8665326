"""Frozen records and protocols that every room of the runtime speaks. Needs numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError, FilterError

__all__ = [
    "ADDED",
    "Action",
    "Decoding",
    "Filter",
    "Generator",
    "Locator",
    "Response",
    "Scores",
    "Span",
    "Stage",
    "Verdict",
    "check_scores",
]

Scores = npt.NDArray[np.float32]
"""float32, shape (n_items, n_categories), each in [0, 1], never NaN."""

Stage = Literal["input", "output"]

ADDED: Mapping[str, bool] = MappingProxyType({"added": True})
"""Of a field that older records lack: written only where it says something."""

T_in = TypeVar("T_in", contravariant=True)
T_out = TypeVar("T_out", covariant=True)


class Action(IntEnum):
    """What happens to a text. Ordered, so the strictest rule wins by ``max()``."""

    ALLOW = 0
    REVIEW = 1
    REDACT = 2
    REGENERATE = 3
    BLOCK = 4


@dataclass(frozen=True)
class Span:
    """Where in the *original* text something was found.

    Parameters
    ----------
    start, end : int
        Half-open range of character offsets, ``0 <= start <= end <= len(text)``.
    category : str
        The category that the span speaks for.
    score : float
        In [0, 1].
    value : float or None
        What the span adds to the category's log-odds, by `method`; None where the filter does not say. Two spans that
        differ in this alone are equal.
    method : str
        How the span was found, for example ``masking``; empty where the filter does not say.
    """

    start: int
    end: int
    category: str
    score: float
    value: float | None = field(default=None, compare=False, repr=False, metadata=ADDED)
    method: str = field(default="", compare=False, repr=False, metadata=ADDED)


@dataclass(frozen=True)
class Verdict:
    """What the policy decided about one text, and on which grounds.

    Parameters
    ----------
    action : Action
    stage : {"input", "output"}
    scores : mapping of str to float
        Every category seen, not only those that fired.
    triggered : tuple of str
        Categories at or over their threshold, worst first.
    spans : tuple of Span
        Offsets of the original text.
    error : str or None
        Set when a filter failed; ``action`` is then the policy's ``on_error``.
    """

    action: Action
    stage: Stage
    scores: Mapping[str, float]
    triggered: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Response:
    """What a guarded generator gives back for one prompt.

    Parameters
    ----------
    text : str
        The released text: the output, or the policy's message when it was blocked.
    prompt_verdict : Verdict
    output_verdict : Verdict or None
        None when the prompt was blocked, since nothing was generated.
    output : str or None
        What the generator wrote, before any action. None when it never ran. Not for end users.
    action : Action
        The stricter of both verdicts.
    """

    text: str
    prompt_verdict: Verdict
    output_verdict: Verdict | None
    output: str | None
    action: Action


@dataclass(frozen=True)
class Decoding:
    """How a text generator decodes.

    Parameters
    ----------
    max_new_tokens : int
    temperature : float
        0 is greedy decoding.
    top_p : float
        Nucleus mass in (0, 1]; 1 keeps the whole vocabulary.
    chat : bool
        Use the model's chat template where it has one; False continues the raw prompt.

    Raises
    ------
    ConfigError
        A number out of its range.
    """

    max_new_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    chat: bool = True

    def __post_init__(self) -> None:
        """Refuse what no decoding could mean."""
        if self.max_new_tokens < 1 or not self.temperature >= 0 or not 0 < self.top_p <= 1:
            raise ConfigError(
                f"{self}: max_new_tokens is at least 1, temperature at least 0 (0 is greedy), top_p in (0, 1]"
            )


@runtime_checkable
class Filter(Protocol[T_in]):
    """Content in, one score a category out. Holds no threshold."""

    @property
    def name(self) -> str:
        """``<kind>@<digest of weights or rules>``."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`score_batch`."""

    def score_batch(self, items: Sequence[T_in]) -> Scores:
        """Score every item.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1]. A row does not depend on its neighbours.

        Raises
        ------
        FilterError
            When the items cannot be scored.
        """


@runtime_checkable
class Locator(Protocol):
    """A filter that can also say where in a text it found something."""

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the spans of `text`, in offsets of the text as given, in order of their start."""


@runtime_checkable
class Generator(Protocol[T_out]):
    """Prompts in, one output a prompt out."""

    @property
    def name(self) -> str:
        """``<kind>@<digest of weights or script>``."""

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> Sequence[T_out]:
        """Generate one output for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt. The output is a function of (prompt, seed), whatever else
            is in the batch.

        Raises
        ------
        GeneratorError
            When the model fails.
        """


@dataclass(frozen=True)
class _ScoreRule:
    """The rule that :func:`check_scores` holds a matrix to."""

    shape: tuple[int, int]
    name: str = field(default="filter")

    def complaint(self, scores: object) -> str | None:
        if not isinstance(scores, np.ndarray):
            return f"returned {type(scores).__name__}, not an array"
        if scores.shape != self.shape:
            return f"returned shape {scores.shape}, expected {self.shape}"
        if scores.dtype != np.float32:
            return f"returned {scores.dtype}, expected float32"
        if not np.isfinite(scores).all():
            return "returned NaN or infinity"
        if scores.size and (scores.min() < 0 or scores.max() > 1):
            return f"returned scores outside [0, 1] ({scores.min():.3g} to {scores.max():.3g})"
        return None


def check_scores(scores: object, *, n_items: int, filter_: Filter[str]) -> Scores:
    """Return `scores` if it is a valid score matrix of `filter_`, else raise.

    Parameters
    ----------
    scores : object
        What ``filter_.score_batch`` returned.
    n_items : int
    filter_ : Filter

    Raises
    ------
    FilterError
        Wrong type, shape or dtype, a value that is not finite, or one outside [0, 1].
    """
    complaint = _ScoreRule((n_items, len(filter_.categories))).complaint(scores)
    if complaint is not None:
        raise FilterError(f"filter {filter_.name} {complaint}")
    assert isinstance(scores, np.ndarray)
    return scores
