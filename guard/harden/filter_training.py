"""Hardening of a filter: its updates and heads trained on with hooks, on a leash to the clean model."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.errors import ConfigError, FilterError
from guard.filters.windows import length_batches
from guard.harden.batch import Batch, Hook, task_loss
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.validation import Standing, Validation
from guard.train.averaging import AveragedParameters

__all__ = ["HardenSettings", "Hardened", "LabelledText", "harden", "leash_loss"]

_LOG = logging.getLogger(__name__)
_FARTHEST = 8.0
_BUCKET = 1024


@dataclass(frozen=True)
class LabelledText:
    """One row to train on.

    Parameters
    ----------
    id : str
        Unique.
    text : str
    labels : tuple of float
        A probability for each category of the filter, negative where unknown. A row without a known label is trained on
        through the leash alone.
    """

    id: str
    text: str
    labels: tuple[float, ...]


@dataclass(frozen=True)
class HardenSettings:
    """Everything that shapes a run, besides data and hooks.

    Parameters
    ----------
    seed : int
    epochs : int
    minutes : float, optional
        Wall-clock time after which the run ends, with the learning rate brought to zero by then. A run that the clock
        ends is not reproducible to the bit.
    learning_rate : float
        Peak, after `warmup` of all steps, followed by a cosine to zero.
    warmup, weight_decay : float
    batch_tokens : int
        Rough number of padded tokens of the clean rows of a step.
    task : float
        Weight of the labels.
    leash : float
        Weight of the squared distance of the log-odds on rows as they are from the clean model's.
    pull : float
        The same for altered rows, from what the clean model said of their original.
    average : float
        Decay of the running average of the weights, which is what is judged and kept.
    looks : int
        How often the validation rows are looked at.
    patience : int
        Looks without a better state after which the run ends.
    allowed_drop : float
        Clean area under the ROC curve that a state may lose on the validation rows and still be kept.
    most_bad_steps : int
        Steps in a row whose loss or gradient is not finite, after which the run ends.
    """

    seed: int = 0
    epochs: int = 1
    minutes: float | None = None
    learning_rate: float = 2e-4
    warmup: float = 0.05
    weight_decay: float = 0.01
    batch_tokens: int = 1024
    task: float = 0.3
    leash: float = 1.0
    pull: float = 1.0
    average: float = 0.99
    looks: int = 8
    patience: int = 4
    allowed_drop: float = 0.005
    most_bad_steps: int = 5

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.epochs < 1 or self.looks < 1 or self.patience < 1 or self.most_bad_steps < 1:
            raise ConfigError("epochs, looks, patience and most_bad_steps: the rule is at least 1 each")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"minutes is {self.minutes}: the rule is more than 0")


@dataclass(frozen=True)
class Hardened:
    """What came of a run.

    Parameters
    ----------
    before, after : Standing
        Of the validation rows; `after` is of the state that was kept.
    n_steps, n_bad : int
        Steps taken, and steps left out because something was not finite.
    kept_at : int
        Step of the state that was kept; 0 is the clean model.
    stopped : str
        Why the run ended: done, time, patience or diverged.
    shift : float
        What was added to the category's bias so that its false alarms stay where they were.
    history : tuple of (int, Standing)
    """

    before: Standing
    after: Standing
    n_steps: int
    n_bad: int
    kept_at: int
    stopped: str
    shift: float
    history: tuple[tuple[int, Standing], ...] = field(repr=False)

    def record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def leash_loss(logits: Tensor, held: Tensor) -> Tensor:
    """Return the mean squared distance of log-odds from those of the clean model; beyond 8 all is one.

    Notes
    -----
    Matching log-odds rather than probabilities keeps the order of texts of which the model is sure: Ba and Caruana
    2014, "Do Deep Nets Really Need to be Deep?", section 2.2.
    """
    return (logits.clamp(-_FARTHEST, _FARTHEST) - held.clamp(-_FARTHEST, _FARTHEST)).square().mean()


class _Leash:
    """What the clean model says of each row, asked for once."""

    def __init__(self, clean: HardenableEncoder) -> None:
        self._clean = clean
        self._known: dict[str, npt.NDArray[np.float32]] = {}

    def learn(self, batch: Batch) -> None:
        """Ask about the rows of a batch that are not known yet."""
        new = [row for row in batch.clean if batch.ids[row] not in self._known]
        if not new:
            return
        with torch.inference_mode():
            tokens = self._clean.tokens([batch.texts[row] for row in new])
            logits = self._clean.logits(self._clean.embed(tokens), tokens.mask).numpy()
        self._known |= {batch.ids[row]: found for row, found in zip(new, logits, strict=True)}

    def loss(self, logits: Tensor, batch: Batch, settings: HardenSettings) -> Tensor:
        """Return the weighted leash on clean and on altered rows."""
        held = torch.from_numpy(np.stack([self._known[name] for name in batch.ids]))
        total = logits.new_zeros(())
        for altered, weight in ((False, settings.leash), (True, settings.pull)):
            rows = [row for row, mark in enumerate(batch.altered) if mark == altered]
            if rows and weight:
                total = total + weight * leash_loss(logits[rows], held[rows])
        return total


class _Keeper:
    """The best state so far: most robust among those that lose nothing that may not be lost."""

    def __init__(self, model: HardenableEncoder, validation: Validation, settings: HardenSettings) -> None:
        self._model, self._validation, self._settings = model, validation, settings
        self.before = validation.standing(model)
        self.best, self.kept_at, self._since = self.before, 0, 0
        self._tensors = model.tensors()
        self.history: list[tuple[int, Standing]] = [(0, self.before)]

    def look(self, step: int) -> bool:
        """Measure the model as it is; return whether it is better than all before."""
        standing = self._validation.standing(self._model)
        self.history.append((step, standing))
        lost = self.before.clean - standing.clean
        better = lost <= self._settings.allowed_drop and standing.noisy > self.best.noisy
        _LOG.info("step %d: %s%s", step, standing, " kept" if better else "")
        if better:
            self.best, self.kept_at, self._since = standing, step, 0
            self._tensors = self._model.tensors()
        else:
            self._since += 1
        return better

    @property
    def tired(self) -> bool:
        """Whether nothing has got better for too long."""
        return self._since >= self._settings.patience

    def restore(self) -> None:
        """Bring the best state back."""
        self._model.load_tensors(self._tensors)


def _batches(rows: Sequence[LabelledText], settings: HardenSettings) -> list[list[int]]:
    """Return the rows of every step of all epochs, of like length within a step, in an order that the seed draws."""
    batches = []
    for epoch in range(settings.epochs):
        rng = random.Random(f"{settings.seed}/order/{epoch}")  # noqa: S311 - no secret
        order = rng.sample(range(len(rows)), len(rows))
        of_epoch = []
        for start in range(0, len(order), _BUCKET):
            part = order[start : start + _BUCKET]
            lengths = [min(len(rows[at].text), 400) // 4 + 3 for at in part]
            groups = length_batches(lengths, token_budget=max(settings.batch_tokens, 1))
            of_epoch += [[part[at] for at in group] for group in groups]
        rng.shuffle(of_epoch)
        batches += of_epoch
    return batches


def _batch(rows: Sequence[LabelledText], at: Sequence[int]) -> Batch:
    """Return the clean batch of some rows."""
    return Batch(
        texts=tuple(rows[index].text for index in at),
        labels=np.array([rows[index].labels for index in at], dtype=np.float32),
        weights=np.ones(len(at), dtype=np.float32),
        ids=tuple(rows[index].id for index in at),
        altered=(False,) * len(at),
    )


def _rate(progress: float, settings: HardenSettings) -> float:
    """Return the learning rate at a progress in [0, 1]: linear warm-up, then half a cosine."""
    if progress < settings.warmup:
        return settings.learning_rate * (0.02 + 0.98 * progress / settings.warmup)
    rest = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


class _Stepper:
    """One step of training after the other; a step that is not finite is left out."""

    def __init__(self, model: HardenableEncoder, hooks: Sequence[Hook], settings: HardenSettings) -> None:
        self._model, self._hooks, self._settings = model, hooks, settings
        self._parameters = list(model.parameters())
        self._leash = _Leash(model.copy())
        self._optimizer = torch.optim.AdamW(
            self._parameters, settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = AveragedParameters(self._parameters, settings.average)
        self.n_bad = self.bad_in_a_row = 0

    def step(self, batch: Batch, rate: float) -> float:
        """Take one step and return its loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        self._leash.learn(batch)
        for hook in self._hooks:
            batch = hook.on_batch(batch, self._model)
        tokens = self._model.tokens(batch.texts)
        logits = self._model.logits(self._model.embed(tokens), tokens.mask)
        loss = self._settings.task * task_loss(logits, batch) + self._leash.loss(logits, batch, self._settings)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        if not (math.isfinite(float(loss.detach())) and math.isfinite(float(norm))):
            self.n_bad += 1
            self.bad_in_a_row += 1
            return math.nan
        self.bad_in_a_row = 0
        self._optimizer.step()
        self.average.update()
        return float(loss.detach())


def harden(
    model: HardenableEncoder,
    rows: Sequence[LabelledText],
    *,
    validation: Validation,
    hooks: Sequence[Hook],
    settings: HardenSettings,
    checkpoint: Callable[[Mapping[str, Tensor]], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Hardened:
    """Harden a filter in place.

    Parameters
    ----------
    model : HardenableEncoder
        Left in the best state that was found: as it was, where none was better.
    rows : sequence of LabelledText
    validation : Validation
        Of rows that are not among `rows`.
    hooks : sequence of Hook
        Called in order at every step.
    settings : HardenSettings
    checkpoint : callable, optional
        Given the tensors whenever a better state is found.
    on_progress : callable, optional
        Given the steps taken and all steps.

    Returns
    -------
    Hardened

    Raises
    ------
    ConfigError
        No rows to train on.
    FilterError
        Not one step was finite.
    """
    if not rows:
        raise ConfigError("there are no rows to train on: give more data")
    clean = validation.clean(model)
    keeper, stepper = _Keeper(model, validation, settings), _Stepper(model, hooks, settings)
    batches = _batches(rows, settings)
    started, stopped, step, looked = time.perf_counter(), "done", 0, 0
    for at in batches:
        elapsed = (time.perf_counter() - started) / 60 / settings.minutes if settings.minutes else 0.0
        progress = max(step / len(batches), elapsed)
        if progress >= 1:
            stopped = "time"
            break
        step += 1
        loss = stepper.step(_batch(rows, at), _rate(progress, settings))
        if on_progress is not None:
            on_progress(step, len(batches))
        if step % 50 == 0:
            _LOG.info("step %d/%d (%.0f%%) loss %.4f", step, len(batches), 100 * progress, loss)
        if stepper.bad_in_a_row >= settings.most_bad_steps:
            stopped = "diverged"
            break
        if int(max(step / len(batches), elapsed) * settings.looks) > looked:
            looked += 1
            stepper.average.swap()
            if keeper.look(step) and checkpoint is not None:
                checkpoint(model.tensors())
            stepper.average.swap()
            if keeper.tired:
                stopped = "patience"
                break
    if stepper.n_bad == step:
        raise FilterError("hardening: the loss was not finite at any step; lower the learning rate")
    if stopped == "time":
        stepper.average.swap()
        keeper.look(step)
    keeper.restore()
    shift = _level(model, validation, clean)
    return Hardened(
        before=keeper.before,
        after=validation.standing(model),
        n_steps=step - stepper.n_bad,
        n_bad=stepper.n_bad,
        kept_at=keeper.kept_at,
        stopped=stopped,
        shift=shift,
        history=tuple(keeper.history),
    )


def _level(model: HardenableEncoder, validation: Validation, clean: npt.NDArray[np.float64]) -> float:
    """Lower the category's bias until no more harmless validation rows fire than before; return the change."""
    n_fired = int((clean[~validation.harmful] >= validation.limit).sum())
    harmless = np.sort(validation.clean(model)[~validation.harmful])[::-1]
    shift = min(0.0, float(validation.limit - harmless[n_fired]) - 1e-3) if n_fired < len(harmless) else 0.0
    if shift:
        tensors = model.tensors()
        tensors["heads.bias"][validation.column] += shift
        model.load_tensors(tensors)
    return shift
