"""What shapes the training of a filter besides its rows, and what is wrong with it, told before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.errors import ConfigError
from guard.train.classifier.pseudo_labels import PseudoRule

__all__ = ["FilterTraining", "Part"]


@dataclass(frozen=True)
class Part:
    """Labelled texts of one use.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence of int
        1 where the category applies, else 0.
    """

    texts: Sequence[str]
    labels: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels) or not set(self.labels) <= {0, 1}:
            raise ValueError(f"{len(self.texts)} texts and {len(self.labels)} labels: the rule is one each, 0 or 1")


@dataclass(frozen=True)
class FilterTraining:
    """How to train.

    Parameters
    ----------
    seed : int
    upper : int
        Layers, from the top, whose updates are trained; 0 trains the head alone.
    epochs : int
        Most passes over the labelled rows. Each ends with a look at the validation rows and a checkpoint.
    batch : int
        Labelled rows of a step.
    rate : float
        Peak of the learning rate.
    warmup : float
        Share of all steps.
    weight_decay : float
    clip : float
        Largest norm of the gradient.
    contrastive : float
        Share of the supervised contrastive loss in that of the labelled rows, in [0, 1).
    temperature : float
        Of the contrastive loss.
    pseudo : PseudoRule
    pseudo_weight : float
        Of the pseudo-labelled rows beside the labelled ones; 0 leaves unlabelled rows alone.
    ratio : int
        Pseudo-labelled rows of a step for each labelled one (mu).
    judged : int
        Most unlabelled rows that are looked at in a round.
    leash : float
        Weight of the squared distance of other categories' log-odds from what they were.
    patience : int
        Looks without a better state after which training ends.
    most_setbacks : int
        How often a loss or gradient may fail to be finite.
    minutes : float or None
        A run that is ended by the clock is not reproducible to the bit.
    """

    seed: int = 0
    upper: int = 4
    epochs: int = 10
    batch: int = 16
    rate: float = 3e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    contrastive: float = 0.0
    temperature: float = 0.3
    pseudo: PseudoRule = field(default_factory=PseudoRule)
    pseudo_weight: float = 1.0
    ratio: int = 3
    judged: int = 1024
    leash: float = 1.0
    patience: int = 3
    most_setbacks: int = 5
    minutes: float | None = None

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch, self.ratio, self.judged, self.patience)
        if min(counts) < 1 or self.upper < 0 or self.rate <= 0 or self.clip <= 0 or self.temperature <= 0:
            raise ConfigError(f"{self}: counts are at least 1, rate, clip and temperature above 0")
        if not 0 <= self.contrastive < 1:
            raise ConfigError(f"contrastive is {self.contrastive}: the rule is a share in [0, 1)")
        if self.contrastive and not self.upper:
            raise ConfigError("the contrastive loss shapes states, and no layer is trained: give 1 layer or more")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"{self.minutes} minutes: give more than 0")
