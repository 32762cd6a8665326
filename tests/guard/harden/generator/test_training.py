from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.errors import ConfigError, DataError, GeneratorError
from guard.harden.generator.training import TrainingSettings, train
from guard.train.generator.adapter import Adapted
from guard.train.generator.checkpoint import read_state
from guard.train.generator.examples import Example, Kind, TokenBatch
from guard.train.generator.objective import Losses, Objective
from guard.train.generator.schedule import learning_rate
from guard.train.generator.terms import Leash, Likelihood
from tests.guard.train.generator.parts import adapted, examples

SETTINGS = TrainingSettings(
    steps=12, quotas={"refuse": 2, "keep": 1}, rate=5e-3, warmup=2, round_steps=4, look_every=3, seed=1
)


def _objective(tokenizer: Any) -> Objective:
    return Objective([Likelihood(), Leash()], pad_id=tokenizer.pad_token_id)


class _KilledError(Exception):
    pass


def _train(
    folder: Path, state: Path | None = None, *, kill_at: int = 0, **changed: Any
) -> tuple[Adapted, Any, list[int]]:
    one, tokenizer = adapted(folder)
    pool, rounds = examples(tokenizer), []

    def refresh(round_: int) -> list[Example]:
        # What a round trains on depends on the model as it is then, as that of a real attack does.
        rounds.append(round_)
        strength = sum(float(value.abs().sum()) for value in one.tensors().values())
        return pool if int(strength * 1e4) % 2 else pool[::-1] + pool[:1]

    def on_step(step: int, total: int, losses: Losses) -> None:
        if step == kill_at:
            raise _KilledError

    settings = TrainingSettings(**{**SETTINGS.__dict__, **changed})
    progress = train(
        one, _objective(tokenizer), settings, refresh=refresh, validation=pool, folder=state, on_step=on_step
    )
    return one, progress, rounds


def test_it_learns_to_refuse_and_is_left_with_the_best_updates(tiny_llama: Path) -> None:
    one, progress, rounds = _train(tiny_llama, steps=30, look_every=10)
    fresh, tokenizer = adapted(tiny_llama)
    looked = [look["total"] for look in progress.history]
    assert looked[-1] < looked[0] < 0.5 * _objective(tokenizer).measure(fresh, examples(tokenizer))["total"]
    assert progress.best_loss == min(looked)
    assert rounds == list(range(8))
    measured = _objective(tokenizer).measure(one, examples(tokenizer))
    assert measured["total"] == pytest.approx(progress.best_loss, rel=1e-6)


@pytest.mark.parametrize("kill_at", [4, 7, 8, 11])
def test_a_run_that_was_killed_ends_with_the_same_weights(tiny_llama: Path, tmp_path: Path, kill_at: int) -> None:
    whole, progress, rounds = _train(tiny_llama, tmp_path / "whole")
    with pytest.raises(_KilledError):
        _train(tiny_llama, tmp_path / "broken", kill_at=kill_at)
    resumed, again, later = _train(tiny_llama, tmp_path / "broken")
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items())
    assert again.history == progress.history
    assert len(later) < len(rounds)


def test_a_state_of_other_settings_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    _train(tiny_llama, tmp_path)
    with pytest.raises(DataError, match="other settings"):
        _train(tiny_llama, tmp_path, rate=1e-3)
    (tmp_path / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        read_state(tmp_path, fingerprint="")


@dataclass(frozen=True)
class _Breaks:
    """A likelihood that is not a number on some of its calls."""

    calls: frozenset[int]
    made: list[int] = field(default_factory=list)
    name: str = "breaks"
    weight: float = 1.0
    kinds: Collection[Kind] = ("refuse",)
    needs_reference: bool = False

    def losses(self, logits: torch.Tensor, batch: TokenBatch, reference: torch.Tensor | None) -> torch.Tensor:
        self.made.append(1)
        found = Likelihood().losses(logits, batch, reference)
        return found * float("nan") if len(self.made) in self.calls else found


def _train_breaking(folder: Path, calls: frozenset[int]) -> tuple[Adapted, Any]:
    one, tokenizer = adapted(folder)
    objective = Objective([_Breaks(calls)], pad_id=tokenizer.pad_token_id)
    settings = TrainingSettings(**{**SETTINGS.__dict__, "quotas": {"refuse": 2}})
    pool = examples(tokenizer)
    return one, train(one, objective, settings, refresh=lambda _: pool, validation=pool)


def test_a_loss_that_is_no_number_sets_the_run_back_and_does_not_spoil_it(tiny_llama: Path) -> None:
    one, progress = _train_breaking(tiny_llama, frozenset({3}))
    assert (progress.setbacks, progress.rate_scale) == (1, 0.5)
    assert all(torch.isfinite(value).all() for value in one.parameters.values())
    assert progress.history[-1]["total"] < progress.history[0]["total"]


def test_a_run_that_never_gives_a_number_ends_with_an_error(tiny_llama: Path) -> None:
    with pytest.raises(GeneratorError, match="not finite"):
        _train_breaking(tiny_llama, frozenset(range(100)))


def test_it_ends_when_looks_get_no_better(tiny_llama: Path) -> None:
    _, progress, _ = _train(tiny_llama, steps=60, look_every=2, rate=0.3, patience=2)
    assert progress.step < 60
    assert progress.history[-1]["total"] > progress.best_loss


def test_the_schedule_is_shortened_to_the_time_and_late_runs_end(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    ticks = iter(range(0, 10**6, 6))
    settings = TrainingSettings(**{**SETTINGS.__dict__, "steps": 500, "minutes": 4.0, "look_every": 100})
    pool = examples(tokenizer)
    progress = train(
        one, _objective(tokenizer), settings, refresh=lambda _: pool, validation=pool, clock=lambda: float(next(ticks))
    )
    # Every look at the clock takes 6 s: 60 s for 8 steps, 6 s for each of 2 attacks, so 9 s a step, and 85% of 240 s.
    assert progress.attack_seconds == 36.0
    assert progress.total == progress.step == 22
    assert len(progress.history) == 1


def test_hooks_change_what_is_learnt(tiny_llama: Path) -> None:
    one, tokenizer = adapted(tiny_llama)
    seen: list[str] = []

    def hook(batch: TokenBatch, model: Any) -> TokenBatch:
        seen.append(batch.kind)
        assert model is one.model
        return TokenBatch(
            batch.kind, batch.ids, batch.mask, batch.labels, torch.zeros_like(batch.answered) | batch.answered
        )

    _objective(tokenizer).learn(one, examples(tokenizer), [hook])
    assert sorted(seen) == ["keep", "refuse", "text"]


def test_settings_that_mean_nothing_are_refused(tiny_llama: Path) -> None:
    for wrong in ({"steps": 0}, {"rate": 0.0}, {"quotas": {}}, {"minutes": 0.0}):
        with pytest.raises(ConfigError):
            TrainingSettings(**{**SETTINGS.__dict__, **wrong})
    one, tokenizer = adapted(tiny_llama)
    with pytest.raises(DataError, match="validation"):
        train(one, _objective(tokenizer), SETTINGS, refresh=lambda _: [], validation=[])


def test_the_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, peak=2.0, warmup=4, total=20) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] > 0.2
