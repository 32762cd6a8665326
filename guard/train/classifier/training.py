"""The training loop of a filter: a probe first, then steps, looks at validation rows, checkpoints, and setbacks."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from guard.errors import DataError, FilterError
from guard.train.classifier.contrastive import supervised_contrastive
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.probe import start_head
from guard.train.classifier.rounds import Round, Rounds, step_rows
from guard.train.classifier.settings import FilterTraining, Part
from guard.train.classifier.temperature import Calibration, fit, log_loss
from guard.train.generator.checkpoint import Progress, RunState, read_state, write_state
from guard.train.generator.schedule import learning_rate

__all__ = ["Trained", "train_filter"]

Floats = npt.NDArray[np.float64]
Tell = Callable[[str, int, int], None]
"""Gets what is going on, what is done of it, and the whole."""


@dataclass(frozen=True)
class Trained:
    """What came of a run; the encoder is left in its best state.

    Parameters
    ----------
    calibration : Calibration
        Of the trained head's log-odds, both classes weighing alike; not yet in the encoder.
    ridge : float or None
        Of the probe that a new head started from.
    stopped : str
        done, patience, time or diverged.
    n_steps, best_step, n_setbacks : int
        Step 0 is the start.
    seconds : float
    history : list of dict
        A look each: step, loss after calibration; ``pseudo.`` figures of the round that led there.
    """

    calibration: Calibration
    ridge: float | None
    stopped: str
    n_steps: int
    best_step: int
    n_setbacks: int
    seconds: float
    history: list[dict[str, float]]

    def record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


class _Run:
    """The moving parts of one run."""

    def __init__(
        self, encoder: PartedEncoder, training: Part, validation: Part, settings: FilterTraining, tell: Tell
    ) -> None:
        self.encoder, self.settings = encoder, settings
        self.parameters = encoder.parameters()
        self.labels = torch.tensor(training.labels)
        self.held_labels = np.array(validation.labels, dtype=np.float64)
        self.states = encoder.states(training.texts, on_progress=lambda n, k: tell("reading labelled rows", n, k))
        self.held_states = encoder.states(validation.texts)
        self.ridge = self._start_head() if encoder.is_new else None
        # What the other heads say now is what they are held to.
        self.before = encoder.read_all(self.states)[0]
        decay = [v for name, v in self.parameters.items() if name != "head.bias"]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": settings.weight_decay},
             {"params": [self.parameters["head.bias"]], "weight_decay": 0.0}],
            lr=settings.rate,
        )  # fmt: skip
        self.per_epoch = -(-len(training.texts) // settings.batch)
        self.progress = Progress(total=settings.epochs * self.per_epoch)
        self.best = self._tensors()
        self.good = self.state()

    def _start_head(self) -> float:
        """Let the new head begin as the best linear probe of the states as they are."""
        pooled, held = (self.encoder.read_all(one)[1].double().numpy() for one in (self.states, self.held_states))
        weights, bias, ridge = start_head(pooled, self.labels.double().numpy(), held, self.held_labels)
        self.encoder.set_head(torch.from_numpy(weights).float(), bias)
        return ridge

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def state(self) -> RunState:
        """Return everything that the next step depends on."""
        tensors = {f"now.{name}": value for name, value in self._tensors().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value.detach().clone()
        return RunState(replace(self.progress, history=list(self.progress.history)), tensors)

    def restore(self, state: RunState) -> None:
        """Go back to, or on from, a state."""
        self.progress = replace(state.progress, history=list(state.progress.history))
        self.load(_named(state.tensors, "now."))
        self.best = _named(state.tensors, "best.")
        self.optimizer.state.clear()
        for key in ("step", "exp_avg", "exp_avg_sq"):
            for name, value in _named(state.tensors, f"adam.{key}.").items():
                self.optimizer.state[self.parameters[name]][key] = value.clone()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put what is trained in place."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])

    def held_logits(self) -> Floats:
        """Return the log-odds of the validation rows."""
        logits: Floats = self.encoder.read_all(self.held_states)[0][:, self.encoder.column].double().numpy()
        return logits

    def look(self, figures: Mapping[str, float]) -> None:
        """Measure the state as it is, and keep it where it is the best.

        The loss is taken after calibration, which happens anyway, so that a state is not punished for a confidence
        that is taken back.
        """
        logits, loss = self.held_logits(), math.inf
        if np.isfinite(logits).all():
            loss = log_loss(fit(logits, self.held_labels).apply(logits), self.held_labels)
        elif self.progress.best_loss is None:
            raise FilterError(
                "the filter's scores are not finite before training: its weights are damaged, name others"
            )
        self.progress.history.append({"step": float(self.progress.step), "loss": loss, **figures})
        if self.progress.best_loss is None or loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step, self.progress.waited = loss, self.progress.step, 0
            self.best = self._tensors()
        else:
            self.progress.waited += 1

    def step(self, round_: Round) -> bool:
        """Take a step; return whether loss and gradient were finite."""
        settings, step = self.settings, self.progress.step
        rate = learning_rate(
            step, peak=settings.rate, warmup=int(settings.warmup * self.progress.total), total=self.progress.total
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.progress.rate_scale
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(round_)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), settings.clip)
        if not (math.isfinite(float(loss.detach())) and math.isfinite(float(norm))):
            return False
        self.optimizer.step()
        self.progress.step += 1
        return True

    def _loss(self, round_: Round) -> Tensor:
        """Return the loss of the rows of this step."""
        settings, step = self.settings, self.progress.step
        rows = step_rows(self.labels.tolist(), step, batch=settings.batch, seed=settings.seed)
        logits, pooled = self.encoder.read([self.states[at] for at in rows])
        own, labels = self.encoder.column, self.labels[rows]
        loss = functional.binary_cross_entropy_with_logits(logits[:, own], labels.float())
        if settings.contrastive:
            _, strong = self.encoder.read([round_.strong[at] for at in rows])
            both, twice = torch.cat((pooled, strong)), torch.cat((labels, labels))
            shaped = supervised_contrastive(both, twice, temperature=settings.temperature)
            loss = (1 - settings.contrastive) * loss + settings.contrastive * shaped
        if settings.leash and self.encoder.trains_layers and logits.shape[1] > 1:
            moved = (logits - self.before[rows]).square()
            loss = loss + settings.leash * (moved.sum() - moved[:, own].sum()) / (len(rows) * (logits.shape[1] - 1))
        if round_.pool:
            chosen = round_.of_step(step % self.per_epoch, settings.batch * settings.ratio)
            guessed, _ = self.encoder.read([round_.pool[at] for at in chosen])
            marks = torch.tensor([round_.marks[at] for at in chosen], dtype=torch.float32)
            extra = functional.binary_cross_entropy_with_logits(guessed[:, own], marks)
            loss = loss + settings.pseudo_weight * round_.share * extra
        return loss

    def set_back(self) -> None:
        """Return to the last look, at half of the rate."""
        scale, setbacks = self.progress.rate_scale / 2, self.progress.setbacks + 1
        self.restore(self.good)
        self.progress.rate_scale, self.progress.setbacks = scale, setbacks


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def train_filter(
    encoder: PartedEncoder,
    training: Part,
    validation: Part,
    settings: FilterTraining,
    *,
    unlabelled: Sequence[str] = (),
    folder: Path | None = None,
    tell: Tell = lambda what, done, whole: None,
) -> Trained:
    """Train one head of an encoder filter, and the updates of its upper layers, in place.

    Parameters
    ----------
    encoder : PartedEncoder
        Left in the state with the least loss on the validation rows: as it started, where no step made it better.
    training, validation : Part
        That share no text.
    settings : FilterTraining
    unlabelled : sequence of str
        Drawn as the labelled rows were.
    folder : Path, optional
        Where the state is kept at every look. A run that was broken off goes on from there, to the same weights.
    tell : callable, optional

    Returns
    -------
    Trained

    Raises
    ------
    DataError
        A class without a row, or a state of another run.
    FilterError
        The loss was not finite, however small the rate.
    """
    for name, part in (("training", training), ("validation", validation)):
        if len(set(part.labels)) < 2:
            raise DataError(f"the {name} rows have {len(set(part.labels))} classes: the rule is rows of both labels")
    fingerprint = _fingerprint(encoder, settings, [training, validation], unlabelled)
    run = _Run(encoder, training, validation, settings, tell)
    rounds = Rounds(encoder, training, unlabelled, settings, run.held_labels, run.held_logits, tell)
    state = read_state(folder, fingerprint=fingerprint) if folder else None
    if state is None:
        run.look({})
    else:
        run.restore(state)
    run.good, before, started = run.state(), run.progress.seconds, time.monotonic()
    stopped = _loop(run, rounds, folder, fingerprint, tell, before - started)
    if stopped == "diverged" and run.progress.step == 0:
        raise FilterError("training: the loss was not finite at any rate; look for damaged weights, or lower it")
    run.load(run.best)
    done = run.progress
    calibration = fit(run.held_logits(), run.held_labels, balanced=True)
    return Trained(
        calibration, run.ridge, stopped, done.step, done.best_step, done.setbacks, done.seconds, done.history
    )  # fmt: skip


def _loop(run: _Run, rounds: Rounds, folder: Path | None, fingerprint: str, tell: Tell, offset: float) -> str:
    """Run rounds until something ends them; return what."""
    settings = run.settings
    while run.progress.step < run.progress.total:
        if run.progress.waited >= settings.patience:
            return "patience"
        if settings.minutes is not None and run.progress.seconds > 60 * settings.minutes:
            return "time"
        round_ = rounds.begin(run.progress.step // run.per_epoch)
        if not _one_round(run, round_, tell):
            if run.progress.setbacks >= settings.most_setbacks:
                return "diverged"
            run.set_back()
            continue
        run.look(round_.figures())
        run.progress.seconds = offset + time.monotonic()
        run.good = run.state()
        if folder:
            write_state(folder, run.good, fingerprint=fingerprint)
    return "done"


def _one_round(run: _Run, round_: Round, tell: Tell) -> bool:
    """Take the steps of a round; False where one was not finite."""
    end = min(run.progress.total, run.progress.step + run.per_epoch)
    while run.progress.step < end:
        if not run.step(round_):
            return False
        tell("training", run.progress.step, run.progress.total)
    return True


def _fingerprint(
    encoder: PartedEncoder, settings: FilterTraining, parts: Sequence[Part], unlabelled: Sequence[str]
) -> str:
    """Hash what the weights of a run depend on."""
    rows = [[list(part.texts), list(part.labels)] for part in parts]
    named = {"settings": asdict(replace(settings, minutes=None)), "rows": rows, "unlabelled": list(unlabelled)}
    text = json.dumps(named | {"config": encoder.config}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name, value in sorted(encoder.tensors().items()):
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
