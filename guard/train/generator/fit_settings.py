"""How a generator is fine-tuned: the settings of its loop, what is learnt beside its text, and a look at validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.errors import ConfigError
from guard.train.generator.examples import Example, Kind
from guard.train.generator.objective import BatchHook, Losses
from guard.train.generator.terms import Term
from guard.train.generator.token_rows import TokenRow, epoch_steps

__all__ = ["Beside", "FitSettings", "Look", "steps_of"]


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Parameters
    ----------
    epochs : float
        How often each row is learnt from.
    steps : int or None
        Instead of `epochs`.
    step_tokens : int
        Ids of a step, over all processes; gradients of its batches are added up.
    budget : int
        Ids, padding included, that go through the model at once.
    packing : bool
        Lay texts behind each other in one row.
    width : int
        Most ids of a packed row.
    rate : float
        Peak of the learning rate.
    warmup : float
        Share of the steps over which the rate rises.
    decay : float
        Weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101).
    clip : float
        Largest norm of the gradient.
    looks : int
        About how often the validation rows are looked at, with a checkpoint at each look.
    patience : int
        Looks without a better one before it ends.
    minutes : float or None
        The schedule is shortened, after the first steps, to what fits.
    language : float
        Weight of the language-model loss beside the terms.
    seed : int
    """

    epochs: float = 2.0
    steps: int | None = None
    step_tokens: int = 1024
    budget: int = 1024
    packing: bool = False
    width: int = 512
    rate: float = 1e-3
    warmup: float = 0.05
    decay: float = 0.0
    clip: float = 1.0
    looks: int = 10
    patience: int = 3
    minutes: float | None = None
    language: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (
            self.step_tokens,
            self.budget,
            self.width,
            self.looks,
            self.patience,
            1 if self.steps is None else self.steps,
        )
        if min(counts) < 1 or self.rate <= 0 or self.clip <= 0 or self.epochs <= 0 or not 0 <= self.warmup < 1:
            raise ConfigError(f"{self}: counts are at least 1, epochs, rate and clip above 0, and warmup in [0, 1)")
        if self.language < 0 or self.decay < 0 or (self.minutes is not None and self.minutes <= 0):
            raise ConfigError(f"{self}: the language weight and decay are at least 0, minutes above 0")


@dataclass(frozen=True)
class Beside:
    """What is learnt beside the language-model loss.

    Parameters
    ----------
    terms : sequence of Term
    examples : sequence of Example
        Of the kinds that the terms look at.
    validation : sequence of Example
        Their losses, weighted, count when the best look is chosen.
    quotas : mapping of str to int
        Examples of each kind that every process takes a step.
    hooks : sequence of callable
        Change each batch of examples before it is learnt from.
    """

    terms: Sequence[Term] = ()
    examples: Sequence[Example] = ()
    validation: Sequence[Example] = ()
    quotas: Mapping[Kind, int] = field(default_factory=dict)
    hooks: Sequence[BatchHook] = ()

    def __post_init__(self) -> None:
        if bool(self.terms) != bool(self.quotas) or bool(self.terms) != bool(self.examples):
            raise ConfigError(
                "terms, their examples and how many of them a step takes are given together or not at all"
            )


@dataclass(frozen=True)
class Look:
    """One look at the validation rows.

    Parameters
    ----------
    step : int
    losses : dict of str to float
        ``language`` in nats an id, each term by its name, and ``total``.
    best : bool
        Whether it is the best so far.
    """

    step: int
    losses: Losses
    best: bool


def steps_of(rows: Sequence[TokenRow], settings: FitSettings) -> int:
    """Return how many steps the settings come to over these rows, before any shortening to a time."""
    if settings.steps is not None:
        return settings.steps
    whole, rest = divmod(settings.epochs, 1)
    sizes = [
        len(epoch_steps(rows, step_tokens=settings.step_tokens, epoch=epoch, seed=settings.seed))
        for epoch in range(math.ceil(settings.epochs))
    ]
    return max(1, sum(sizes[: int(whole)]) + (math.ceil(sizes[-1] * rest) if rest else 0))
