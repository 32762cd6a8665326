"""The rows of a step, and of a round the altered views and the pseudo-labels: functions of seed and state alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from guard.train.classifier.parted_encoder import PartedEncoder, States
from guard.train.classifier.pseudo_labels import REJECTED, Accepted, held_out
from guard.train.classifier.settings import FilterTraining, Part
from guard.train.classifier.views import strong_view

__all__ = ["Round", "Rounds", "step_rows"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Round:
    """What the steps between two looks take besides labelled rows.

    Parameters
    ----------
    strong : sequence of Tensor
        States of the altered view of each labelled row; empty without a contrastive loss.
    pool : sequence of Tensor
        States of the altered views of accepted rows.
    marks : sequence of int
        Their labels.
    share : float
        Of the rows looked at, those accepted: it weighs them, as FixMatch's mean over all rows does.
    accepted : Accepted or None
        None without unlabelled rows.
    """

    strong: States = ()
    pool: States = ()
    marks: Sequence[int] = ()
    share: float = 0.0
    accepted: Accepted | None = field(default=None)

    def of_step(self, turn: int, n: int) -> list[int]:
        """Return the places in `pool` of a step's rows, each once before any comes again."""
        return [(turn * n + at) % len(self.pool) for at in range(min(n, len(self.pool)))]

    def figures(self) -> dict[str, float]:
        """Return the figures of the pseudo-labels by name."""
        if self.accepted is None:
            return {}
        harmless, harmful = self.accepted.thresholds
        known = {name: float(value) for name, value in vars(self.accepted).items() if name != "thresholds"}
        return {f"pseudo.{k}": v for k, v in known.items()} | {
            "pseudo.threshold_harmless": harmless,
            "pseudo.threshold_harmful": harmful,
        }


def step_rows(labels: Sequence[int], step: int, *, batch: int, seed: int) -> list[int]:
    """Return the rows of a step: each row once an epoch, both classes in every batch in their shares.

    Parameters
    ----------
    labels : sequence of int
    step : int
        From 0.
    batch, seed : int
    """
    epoch, turn = divmod(step, -(-len(labels) // batch))
    rng = random.Random(f"{seed}/rows/{epoch}")  # noqa: S311 - no secret
    places = []
    for label in (0, 1):
        rows = [at for at, one in enumerate(labels) if one == label]
        rng.shuffle(rows)
        places += [((rank + 0.5) / len(rows), at) for rank, at in enumerate(rows)]
    return [at for _, at in sorted(places)][turn * batch : (turn + 1) * batch]


class Rounds:
    """Makes the rounds of a run.

    Parameters
    ----------
    encoder : PartedEncoder
    training : Part
    unlabelled : sequence of str
    settings : FilterTraining
    held_labels : ndarray
        float64: of the validation rows.
    held_logits : callable
        Gives their log-odds as the encoder is now.
    tell : callable
    """

    def __init__(
        self,
        encoder: PartedEncoder,
        training: Part,
        unlabelled: Sequence[str],
        settings: FilterTraining,
        held_labels: Floats,
        held_logits: Callable[[], Floats],
        tell: Callable[[str, int, int], None],
    ) -> None:
        self._encoder, self._training, self._settings = encoder, training, settings
        self._held_labels, self._held_logits = held_labels, held_logits
        self._texts = list(unlabelled) if settings.pseudo_weight else []
        self._states = encoder.states(self._texts, on_progress=lambda n, k: tell("reading unlabelled rows", n, k))

    def begin(self, number: int) -> Round:
        """Return a round, its pseudo-labels those of the encoder as it is now."""
        rng = random.Random(f"{self._settings.seed}/round/{number}")  # noqa: S311 - no secret
        strong: States = ()
        if self._settings.contrastive:
            strong = self._encoder.states([strong_view(text, rng) for text in self._training.texts])
        if not self._texts:
            return Round(strong)
        drawn = rng.sample(range(len(self._texts)), min(self._settings.judged, len(self._texts)))
        marks, accepted = self._judged(drawn)
        kept = [(at, int(mark)) for at, mark in zip(drawn, marks, strict=True) if mark != REJECTED]
        pool = self._encoder.states([strong_view(self._texts[at], rng) for at, _ in kept])
        share = len(kept) / len(drawn)
        return Round(strong, pool, [mark for _, mark in kept], share, accepted)

    def _judged(self, drawn: Sequence[int]) -> tuple[npt.NDArray[np.int8], Accepted]:
        column = self._encoder.column
        logits = self._encoder.read_all([self._states[at] for at in drawn])[0][:, column].double().numpy()
        return held_out(logits, self._held_logits(), self._held_labels, self._settings.pseudo)
