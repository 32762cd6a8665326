"""The loop of fine-tuning: steps of token rows and extra examples, looks at validation rows, checkpoints, setbacks."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from guard.errors import DataError, GeneratorError
from guard.train.generator.checkpoint import Progress, read_state
from guard.train.generator.examples import digest
from guard.train.generator.fit_run import FitRun, losses_told
from guard.train.generator.fit_settings import Beside, FitSettings, Look, steps_of
from guard.train.generator.objective import Losses, Objective
from guard.train.generator.ranks import Alone, Ranks
from guard.train.generator.row_nats import row_nats
from guard.train.generator.schedule import draw, learning_rate
from guard.train.generator.token_rows import TokenRow, as_batch, batched, epoch_steps, packed, rows_digest
from guard.train.generator.tuned import Tuned

__all__ = ["fit"]

_TIMED_STEPS = 8
_SPARE = 0.9
_MOST_SETBACKS = 5


def fit(
    tuned: Tuned,
    rows: Sequence[TokenRow],
    validation: Sequence[TokenRow],
    settings: FitSettings,
    *,
    pad_id: int,
    beside: Beside | None = None,
    folder: Path | None = None,
    ranks: Ranks | None = None,
    on_step: Callable[[int, int, Losses], None] = lambda step, total, losses: None,
    on_look: Callable[[Look], None] = lambda look: None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train a model on rows, and leave it with the weights of the best look at the validation rows.

    Parameters
    ----------
    tuned : Tuned
    rows, validation : sequence of TokenRow
        What is learnt, and what the best weights are chosen by.
    settings : FitSettings
    pad_id : int
    beside : Beside, optional
        Other terms, with their own examples.
    folder : pathlib.Path, optional
        Where the state is kept. A run that was broken off goes on from there, to the same weights.
    ranks : Ranks, optional
        The processes that share the steps; this one alone by default.
    on_step : callable
        Gets the number of steps done, their total, and the losses of the last.
    on_look : callable
    clock : callable
        Seconds.

    Returns
    -------
    Progress

    Raises
    ------
    DataError
        No rows, no validation rows, or a state of another run.
    GeneratorError
        Losses were not finite for too long, memory ran out, or the device was lost. The last good state is kept.
    OutputError
        The state could not be written. The one before is kept.
    """
    if not rows or not validation:
        raise DataError(f"{len(rows)} rows to learn and {len(validation)} to validate: give at least one of each")
    beside, ranks = beside or Beside(), ranks or Alone()
    fingerprint = _fingerprint(tuned, rows, validation, settings, beside)
    run = FitRun(tuned, settings, steps_of(rows, settings), folder, fingerprint)
    loop = _Loop(run, rows, validation, beside, pad_id, ranks)
    state = read_state(folder, fingerprint=fingerprint) if folder else None
    ranks.agreed(0)  # all have read before one writes
    if state:
        run.progress = state.progress
        run.restore(state)
    started, before = clock(), run.progress.seconds
    cpu_before = run.progress.cpu_seconds - time.process_time()
    with losses_told(run):
        if not state:
            on_look(loop.look())
        while not loop.over():
            losses = loop.step()
            run.progress.seconds = before + ranks.agreed(clock() - started)
            run.progress.cpu_seconds = cpu_before + time.process_time()
            loop.fit_to_time()
            on_step(run.progress.step, run.progress.total, losses)
            if loop.is_look():
                on_look(loop.look())
    tuned.load(run.best)
    return run.progress


class _Loop:
    """One step after the other, each a function of where the run is."""

    def __init__(
        self,
        run: FitRun,
        rows: Sequence[TokenRow],
        validation: Sequence[TokenRow],
        beside: Beside,
        pad_id: int,
        ranks: Ranks,
    ) -> None:
        self._run, self._rows, self._validation = run, rows, validation
        self._beside, self._pad_id, self._ranks = beside, pad_id, ranks
        self._objective = Objective(beside.terms, pad_id=pad_id, budget=run.settings.budget) if beside.terms else None
        self._look_every = max(1, round(run.progress.total / run.settings.looks))
        self._epoch, self._starts, self._steps = -1, 0, list[list[int]]()

    def over(self) -> bool:
        progress, settings = self._run.progress, self._run.settings
        late = settings.minutes is not None and progress.seconds >= settings.minutes * 60
        return progress.step >= progress.total or progress.waited >= settings.patience or late

    def is_look(self) -> bool:
        progress = self._run.progress
        return progress.step % self._look_every == 0 or self.over()

    def step(self) -> Losses:
        """Learn from the rows of a step once; go back to the last good state where a number is not finite."""
        import torch

        run, settings, progress = self._run, self._run.settings, self._run.progress
        warmup = max(1, round(settings.warmup * progress.total))
        rate = learning_rate(progress.step, peak=settings.rate, warmup=warmup, total=progress.total)
        for group in run.optimizer.param_groups:
            group["lr"] = rate * progress.rate_scale
        run.optimizer.zero_grad()
        losses = self._learn(self._step_rows())
        values = list(run.tuned.parameters.values())
        norm = float(torch.nn.utils.clip_grad_norm_(values, settings.clip))
        if math.isfinite(losses["total"]) and math.isfinite(norm):
            run.optimizer.step()
            run.tuned.spread()
        else:
            self._set_back()
        progress.step += 1
        return {**losses, "rate": rate * progress.rate_scale, "norm": norm}

    def _step_rows(self) -> list[TokenRow]:
        """Return the rows of the step that comes next; epochs follow each other without end."""
        place = self._run.progress.step
        if place < self._starts:
            self._epoch, self._starts, self._steps = -1, 0, []
        while place >= self._starts + len(self._steps):
            self._starts += len(self._steps)
            self._epoch += 1
            settings = self._run.settings
            self._steps = epoch_steps(
                self._rows, step_tokens=settings.step_tokens, epoch=self._epoch, seed=settings.seed
            )
        return [self._rows[index] for index in self._steps[place - self._starts]]

    def _learn(self, rows: Sequence[TokenRow]) -> Losses:
        """Add up the gradient of a step over all processes."""
        run, ranks, settings = self._run, self._ranks, self._run.settings
        losses: Losses = {}
        if self._objective is not None:
            losses = self._learn_beside(self._objective)
        n_learnt, parts = sum(row.n_learnt for row in rows), []
        budget = min(settings.budget, math.ceil(settings.step_tokens / ranks.n))
        batches = (
            packed(rows, width=settings.width, budget=budget) if settings.packing else batched(rows, budget=budget)
        )
        for packs in batches[ranks.rank :: ranks.n]:
            batch = as_batch(packs, pad_id=self._pad_id, device=run.tuned.model.device)
            loss = run.tuned.language_loss(batch) / n_learnt
            run.tuned.backward(settings.language * loss)
            parts.append(loss.detach())
        own = float(sum(parts)) if parts else 0.0
        if ranks.n > 1:
            self._add_up_gradients()
        language = sum(one[0] for one in ranks.gathered([own]))
        return {**losses, "language": language, "total": settings.language * language + losses.get("total", 0.0)}

    def _learn_beside(self, objective: Objective) -> Losses:
        """Learn from extra examples; the gradient is the mean over the processes."""
        run, ranks, beside = self._run, self._ranks, self._beside
        turn = run.progress.step * ranks.n + ranks.rank
        drawn = draw(beside.examples, beside.quotas, turn, seed=run.settings.seed)
        found = objective.learn(run.tuned, drawn, beside.hooks)
        if ranks.n > 1:
            for value in run.tuned.parameters.values():
                if value.grad is not None:
                    value.grad /= ranks.n
            every = [one[0] for one in ranks.gathered([found])]
            found = {name: sum(one.get(name, 0.0) for one in every) / ranks.n for name in found}
        return found

    def _add_up_gradients(self) -> None:
        import torch

        for value in self._run.tuned.parameters.values():
            if value.grad is None:
                value.grad = torch.zeros_like(value)
        self._ranks.add_up(value.grad for value in self._run.tuned.parameters.values() if value.grad is not None)

    def _set_back(self) -> None:
        progress = self._run.progress
        progress.setbacks += 1
        progress.rate_scale /= 2
        self._run.restore(self._run.last_good())
        if progress.setbacks > _MOST_SETBACKS:
            # What is kept goes on at the lower rate; the count begins anew.
            progress.setbacks = 0
            self._run.keep(self._ranks)
            raise GeneratorError(
                f"losses were not finite {_MOST_SETBACKS + 1} times, up to step {progress.step}: the last good state"
                " is kept; go on with --resume, which takes a lower rate, or load the model with --dtype float32"
            )

    def look(self) -> Look:
        """Measure the validation rows; what is best so far is kept."""
        run, progress = self._run, self._run.progress
        losses = self._measured()
        progress.history.append({"step": progress.step, **losses})
        if not math.isfinite(losses["total"]):
            if not progress.step:
                raise GeneratorError(
                    "the model's validation loss is not finite before the first step: load it with --dtype float32"
                )
            self._set_back()
            return Look(progress.step, losses, False)
        best = progress.best_loss is None or losses["total"] < progress.best_loss
        if best:
            progress.best_loss, progress.best_step, progress.waited = losses["total"], progress.step, 0
            run.best = run.kept()
        else:
            progress.waited += 1
        run.keep(self._ranks)
        return Look(progress.step, losses, best)

    def _measured(self) -> Losses:
        run, settings = self._run, self._run.settings
        found = row_nats(run.tuned, self._validation, pad_id=self._pad_id, budget=settings.budget, ranks=self._ranks)
        nats = [value for row in found for value in row]
        losses: Losses = {"language": math.fsum(nats) / len(nats)}
        beside = 0.0
        if self._objective is not None and self._beside.validation:
            measured = self._objective.measure(run.tuned, self._beside.validation)
            beside = measured.pop("total")
            losses |= measured
        return {**losses, "total": settings.language * losses["language"] + beside}

    def fit_to_time(self) -> None:
        """Shorten the schedule to the time that is left, once it is known how long a step takes."""
        progress, settings = self._run.progress, self._run.settings
        if settings.minutes is None or progress.step != _TIMED_STEPS:
            return
        each = max(progress.seconds / _TIMED_STEPS, 1e-9)
        fits = int(_SPARE * settings.minutes * 60 / each)
        progress.total = max(_TIMED_STEPS, min(progress.total, fits))
        self._run.keep(self._ranks)  # a run that goes on keeps this schedule


def _fingerprint(
    tuned: Tuned, rows: Sequence[TokenRow], validation: Sequence[TokenRow], settings: FitSettings, beside: Beside
) -> str:
    shapes: list[Any] = [(name, tuple(value.shape)) for name, value in tuned.parameters.items()]
    # A run that goes on may have other minutes left, learn more slowly, or take less at once.
    timeless = replace(settings, minutes=None, rate=1.0, patience=1, budget=1)
    terms = (tuple(beside.terms), sorted(beside.quotas.items()), digest(beside.examples), digest(beside.validation))
    known = hashlib.sha256(repr((tuned.method, shapes, timeless, terms)).encode())
    known.update(f"{rows_digest(rows)} {rows_digest(validation)}".encode())
    return known.hexdigest()
