"""The training loop: rounds of fresh attacks, clipped steps, looks at validation examples, checkpoints, a deadline."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from guard.errors import ConfigError, DataError, GeneratorError
from guard.train.generator.adapter import Adapted
from guard.train.generator.checkpoint import Progress, read_pool, read_state, write_pool, write_state
from guard.train.generator.examples import Example, Kind, digest
from guard.train.generator.fit_run import MovingParts
from guard.train.generator.objective import BatchHook, Losses, Objective
from guard.train.generator.schedule import draw, learning_rate

__all__ = ["Refresh", "TrainingSettings", "train"]

Refresh = Callable[[int], Sequence[Example]]
"""Round, from 0 -> its examples; called when the round begins, so that attacks meet the model as it is then."""

_TIMED_STEPS = 8
_SPARE = 0.85
_MOST_SETBACKS = 5


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Parameters
    ----------
    steps : int
    quotas : mapping of str to int
        Examples of each kind a step.
    rate : float
        Peak of the learning rate.
    warmup : int
        Steps.
    clip : float
        Largest norm of the gradient.
    round_steps : int
        Steps before the attacks are drawn anew.
    look_every : int
        Steps between two looks at the validation examples, with a checkpoint at each.
    patience : int
        Looks without a better one before it ends.
    minutes : float or None
        The schedule is shortened, after the first steps, to what fits; a run that slows down ends at its best look.
    seed : int
    """

    steps: int = 600
    quotas: Mapping[Kind, int] = field(default_factory=lambda: {"refuse": 2, "keep": 4, "text": 1, "unlearn": 1})
    rate: float = 1.6e-3
    warmup: int = 10
    clip: float = 1.0
    round_steps: int = 100
    look_every: int = 100
    patience: int = 4
    minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.steps, self.warmup, self.round_steps, self.look_every, self.patience)
        if min(numbers) < 1 or self.rate <= 0 or self.clip <= 0 or not any(self.quotas.values()):
            raise ConfigError(f"{self}: counts are at least 1, rate and clip above 0, and a step takes an example")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"{self.minutes} minutes: give more than 0")


class _Run(MovingParts):
    """The moving parts of one run, and the last state that was good."""

    def __init__(self, adapted: Adapted, settings: TrainingSettings) -> None:
        super().__init__(adapted, rate=settings.rate, total=settings.steps)
        self.settings, self.good = settings, self.state()


def train(
    adapted: Adapted,
    objective: Objective,
    settings: TrainingSettings,
    *,
    refresh: Refresh,
    validation: Sequence[Example],
    folder: Path | None = None,
    hooks: Sequence[BatchHook] = (),
    on_step: Callable[[int, int, Losses], None] = lambda step, total, losses: None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train the updates of a model, and leave it with those of the best look at the validation examples.

    Parameters
    ----------
    adapted : Adapted
    objective : Objective
    settings : TrainingSettings
    refresh : callable
        Round -> examples.
    validation : sequence of Example
        None of them is learnt from.
    folder : pathlib.Path, optional
        Where the state is kept. A run that was broken off goes on from there, to the same weights.
    hooks : sequence of callable
        Change each batch before it is learnt from.
    on_step : callable
        Gets the number of steps done, their total, and the losses of the last.
    clock : callable
        Seconds.

    Returns
    -------
    Progress

    Raises
    ------
    GeneratorError
        Losses or gradients were not finite for too long.
    DataError
        No validation examples, a pool that lacks a kind, or a state of another run.
    """
    if not validation:
        raise DataError("no validation examples: which updates are best cannot be told")
    run, fingerprint = _Run(adapted, settings), _fingerprint(adapted, objective, settings, validation)
    state = read_state(folder, fingerprint=fingerprint) if folder else None
    if state:
        run.progress = state.progress
        run.restore(state)
    started, before = clock(), run.progress.seconds
    cpu_before = run.progress.cpu_seconds - time.process_time()
    turns = _Turns(run, refresh, folder, clock, resumed=state is not None)
    while not _over(run):
        losses = _step(run, objective, turns.examples(), hooks)
        run.progress.seconds = before + clock() - started
        run.progress.cpu_seconds = cpu_before + time.process_time()
        _fit_to_time(run)
        on_step(run.progress.step, run.progress.total, losses)
        if run.progress.step % settings.look_every == 0 or run.progress.step >= run.progress.total:
            _look(run, objective, validation)
            if folder:
                write_state(folder, run.state(), fingerprint=fingerprint)
    if not run.progress.history or run.progress.history[-1]["step"] != run.progress.step:
        _look(run, objective, validation)
    adapted.load(run.best)
    return run.progress


class _Turns:
    """The examples of each step, from the pool of its round."""

    def __init__(
        self, run: _Run, refresh: Refresh, folder: Path | None, clock: Callable[[], float], *, resumed: bool
    ) -> None:
        self._run, self._refresh, self._folder, self._clock = run, refresh, folder, clock
        self._round, self._pool = -1, list[Example]()
        if resumed and folder and run.progress.step % run.settings.round_steps:
            self._round = run.progress.step // run.settings.round_steps
            self._pool = read_pool(folder, self._round)

    def examples(self) -> list[Example]:
        settings = self._run.settings
        round_, turn = divmod(self._run.progress.step, settings.round_steps)
        if round_ != self._round:
            started = self._clock()
            self._round, self._pool = round_, list(self._refresh(round_))
            self._run.progress.attack_seconds += self._clock() - started
            if self._folder:
                write_pool(self._folder, round_, self._pool)
        return draw(self._pool, settings.quotas, turn, seed=settings.seed * 1000 + round_)


def _over(run: _Run) -> bool:
    late = run.settings.minutes is not None and run.progress.seconds >= run.settings.minutes * 60
    return run.progress.step >= run.progress.total or run.progress.waited >= run.settings.patience or late


def _step(run: _Run, objective: Objective, examples: Sequence[Example], hooks: Sequence[BatchHook]) -> Losses:
    """Learn from some examples once; go back to the last good state where a number is not finite."""
    import torch

    settings, progress = run.settings, run.progress
    rate = learning_rate(progress.step, peak=settings.rate, warmup=settings.warmup, total=progress.total)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * progress.rate_scale
    run.optimizer.zero_grad()
    losses = objective.learn(run.adapted, examples, hooks)
    norm = float(torch.nn.utils.clip_grad_norm_(list(run.adapted.parameters.values()), settings.clip))
    if math.isfinite(losses["total"]) and math.isfinite(norm):
        run.optimizer.step()
        run.adapted.spread()
    else:
        _set_back(run)
    progress.step += 1
    return losses


def _set_back(run: _Run) -> None:
    run.progress.setbacks += 1
    run.progress.rate_scale /= 2
    if run.progress.setbacks > _MOST_SETBACKS:
        raise GeneratorError(
            f"losses were not finite {run.progress.setbacks} times: lower the learning rate, or load the model in"
            " float32"
        )
    run.restore(run.good)


def _look(run: _Run, objective: Objective, validation: Sequence[Example]) -> None:
    """Measure the validation examples; what is best so far is kept."""
    progress, losses = run.progress, objective.measure(run.adapted, validation)
    progress.history.append({"step": progress.step, **losses})
    if not math.isfinite(losses["total"]):
        _set_back(run)
        return
    if progress.best_loss is None or losses["total"] < progress.best_loss:
        progress.best_loss, progress.best_step, progress.waited = losses["total"], progress.step, 0
        run.best = run.kept()
    else:
        progress.waited += 1
    run.good = run.state()


def _fit_to_time(run: _Run) -> None:
    """Shorten the schedule to the time that is left, once it is known how long a step and a round's attack take."""
    progress, settings = run.progress, run.settings
    if settings.minutes is not None and progress.step == _TIMED_STEPS:
        step = (progress.seconds - progress.attack_seconds) / _TIMED_STEPS
        rounds = math.ceil(_TIMED_STEPS / settings.round_steps)
        each = step + progress.attack_seconds / rounds / settings.round_steps
        progress.total = max(_TIMED_STEPS, min(progress.total, int(_SPARE * settings.minutes * 60 / max(each, 1e-9))))


def _fingerprint(adapted: Adapted, objective: Objective, settings: TrainingSettings, data: Sequence[Example]) -> str:
    shapes: list[Any] = [(name, tuple(value.shape)) for name, value in adapted.parameters.items()]
    timeless = replace(settings, minutes=None)  # a run that goes on has other minutes left, and keeps its schedule
    known = hashlib.sha256(repr((shapes, objective, timeless)).encode())
    known.update(digest(data).encode())
    return known.hexdigest()
