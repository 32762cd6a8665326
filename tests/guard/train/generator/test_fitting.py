from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.errors import ConfigError, DataError, GeneratorError, OutputError
from guard.generators.loading import load_model
from guard.train.generator.checkpoint import Progress
from guard.train.generator.encoding import encode_text
from guard.train.generator.examples import plain_example
from guard.train.generator.fit_settings import Beside, FitSettings, Look, steps_of
from guard.train.generator.fitting import fit
from guard.train.generator.objective import Losses
from guard.train.generator.row_nats import row_nats
from guard.train.generator.terms import Leash, Unlikelihood
from guard.train.generator.token_rows import TokenRow
from guard.train.generator.tuned import Method, Tuned, Tuning, prepare
from tests.guard.train.generator.parts import examples

SETTINGS = FitSettings(steps=12, step_tokens=60, budget=64, width=40, rate=0.02, looks=4, seed=1)
TEXTS = [f"my order {n} is late, where is it?" for n in range(12)] + [f"please refund order {n}" for n in range(12)]


class _KilledError(Exception):
    pass


def rows_of(tokenizer: Any, texts: list[str]) -> list[TokenRow]:
    return [row for text in texts for row in encode_text(tokenizer, text, most=64).rows]


def fitted(
    folder: Path, state: Path | None = None, *, method: Method = "lora", kill_at: int = 0, **changed: Any
) -> tuple[Tuned, Progress, list[Look]]:
    model, tokenizer = load_model(folder, device=torch.device("cpu"), dtype="float32")
    beside = changed.pop("beside", None)
    spoil = changed.pop("spoil", None)
    tuned = prepare(model, Tuning(method, rank=4, prompt_tokens=3), seed=0)
    if spoil:
        spoil(tuned)
    rows, looks = rows_of(tokenizer, TEXTS), list[Look]()

    def on_step(step: int, total: int, losses: Losses) -> None:
        if step == kill_at:
            raise _KilledError

    progress = fit(
        tuned,
        rows[4:],
        rows[:4],
        FitSettings(**{**SETTINGS.__dict__, **changed}),
        pad_id=0,
        beside=beside(tokenizer) if beside else None,
        folder=state,
        on_step=on_step,
        on_look=looks.append,
    )
    return tuned, progress, looks


@pytest.mark.parametrize("method", ["lora", "dora", "prompt", "full"])
def test_it_learns_and_is_left_with_the_best_look(tiny_llama: Path, method: Method) -> None:
    rate = {"full": 0.003, "prompt": 0.1}.get(method, 0.02)
    tuned, progress, looks = fitted(tiny_llama, method=method, rate=rate, steps=30)
    losses = [look.losses["total"] for look in looks]
    assert progress.best_loss == min(losses) < 0.9 * losses[0]
    assert [look.step for look in looks][:2] == [0, 8]
    _, tokenizer = load_model(tiny_llama, device=torch.device("cpu"))
    nats = [value for row in row_nats(tuned, rows_of(tokenizer, TEXTS[:4]), pad_id=0) for value in row]
    assert sum(nats) / len(nats) == pytest.approx(progress.best_loss, rel=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("kill_at", [1, 3, 7, 11])
def test_a_run_that_was_killed_ends_with_the_same_weights(
    tiny_llama: Path, tmp_path: Path, method: Method, kill_at: int
) -> None:
    settings: dict[str, Any] = {"method": method, "rate": 0.003, "packing": True}
    whole, progress, _ = fitted(tiny_llama, tmp_path / "whole", **settings)
    with pytest.raises(_KilledError):
        fitted(tiny_llama, tmp_path / "broken", kill_at=kill_at, **settings)
    resumed, again, _ = fitted(tiny_llama, tmp_path / "broken", **settings)
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items())
    assert again.history == progress.history


def test_packed_and_apart_learn_the_same(tiny_llama: Path) -> None:
    apart, first, _ = fitted(tiny_llama, steps=4)
    packed, second, _ = fitted(tiny_llama, steps=4, packing=True)
    small, third, _ = fitted(tiny_llama, steps=4, budget=20)
    for other in (packed, small):
        for name, value in apart.tensors().items():
            assert torch.allclose(value, other.tensors()[name], atol=2e-3), name
    assert first.best_loss == pytest.approx(second.best_loss, rel=1e-3) == pytest.approx(third.best_loss, rel=1e-3)


def test_terms_are_learnt_beside_the_text_and_count_when_the_best_is_chosen(tiny_llama: Path) -> None:
    def beside(tokenizer: Any) -> Beside:
        known = [one for one in examples(tokenizer) if one.kind in ("keep", "unlearn")]
        known.append(plain_example(tokenizer, "the quick brown fox", most=12))
        return Beside((Leash(0.5), Unlikelihood(0.3)), known, known, {"keep": 2, "unlearn": 1})

    _, progress, looks = fitted(tiny_llama, beside=beside, steps=8)
    for look in looks:
        assert look.losses["total"] == pytest.approx(
            look.losses["language"] + 0.5 * look.losses["leash"] + 0.3 * look.losses["unlikelihood"], rel=1e-6
        )
    assert looks[0].losses["leash"] == 0.0 < looks[-1].losses["leash"]
    _, alone, _ = fitted(tiny_llama, steps=8)
    assert alone.history[-1]["language"] != progress.history[-1]["language"]
    with pytest.raises(ConfigError, match="together"):
        Beside((Leash(),), (), (), {"keep": 1})


def _nan_at(calls: set[int]) -> Any:
    """Return what makes the loss of some steps no number."""

    def spoil(tuned: Tuned) -> None:
        made, seen = tuned.language_loss, list[int]()

        def loss(batch: Any) -> torch.Tensor:
            seen.append(1)
            return made(batch) * (float("nan") if len(seen) in calls else 1.0)

        tuned.language_loss = loss  # type: ignore[method-assign]

    return spoil


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_loss_that_is_no_number_sets_the_run_back(tiny_llama: Path, tmp_path: Path, in_folder: bool) -> None:
    tuned, progress, looks = fitted(tiny_llama, tmp_path if in_folder else None, spoil=_nan_at({4, 5}))
    assert progress.setbacks >= 1
    assert progress.rate_scale == 0.5**progress.setbacks
    assert all(torch.isfinite(value).all() for value in tuned.parameters.values())
    assert looks[-1].losses["total"] < looks[0].losses["total"]


def test_a_run_that_diverges_says_so_keeps_its_state_and_goes_on(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match=r"not finite 6 times.*--resume") as caught:
        fitted(tiny_llama, tmp_path, spoil=_nan_at(set(range(9, 999))))
    assert "\n" not in str(caught.value)
    _, progress, looks = fitted(tiny_llama, tmp_path)
    assert progress.rate_scale < 0.05
    assert progress.step == 12
    assert all(look.losses["total"] < 100 for look in looks)


def _lose_at(step: int, error: RuntimeError) -> Any:
    def spoil(tuned: Tuned) -> None:
        made, seen = tuned.model.base_model.forward, list[int]()

        def forward(*arguments: Any, **named: Any) -> Any:
            seen.append(1)
            if len(seen) == step:
                raise error
            return made(*arguments, **named)

        tuned.model.base_model.forward = forward

    return spoil


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error: unspecified launch failure\nCompile with ..."), "device was lost"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered", 1), "device was lost"),
        (RuntimeError("NCCL communicator was aborted"), "device was lost"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "memory ran out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 7 bytes"), "memory ran out"),
    ],
)
def test_a_lost_device_ends_in_one_line_and_the_run_goes_on(
    tiny_llama: Path, tmp_path: Path, error: RuntimeError, said: str
) -> None:
    with pytest.raises(GeneratorError, match=said) as caught:
        fitted(tiny_llama, tmp_path / "lost", spoil=_lose_at(20, error))
    assert "\n" not in str(caught.value)
    assert "--resume" in str(caught.value)
    whole, _, _ = fitted(tiny_llama, tmp_path / "whole")
    resumed, _, _ = fitted(tiny_llama, tmp_path / "lost")
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items())


def test_a_bug_keeps_its_traceback(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="size of tensor a"):
        fitted(tiny_llama, tmp_path, spoil=_lose_at(9, RuntimeError("The size of tensor a must match")))


@contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_in_one_line_with_the_state_before_it(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(_KilledError):
        fitted(tiny_llama, tmp_path, kill_at=5)
    kept = (tmp_path / "state.safetensors").read_bytes()
    with _files_up_to(len(kept) // 2), pytest.raises(OutputError, match="the state before it is kept") as caught:
        fitted(tiny_llama, tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "state.safetensors").read_bytes() == kept
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
    _, progress, _ = fitted(tiny_llama, tmp_path)
    assert progress.step == 12


def test_it_ends_when_looks_get_no_better(tiny_llama: Path) -> None:
    _, progress, looks = fitted(tiny_llama, steps=80, looks=40, rate=0.8, patience=2)
    assert progress.step < 80
    assert not looks[-1].best
    assert not looks[-2].best


def test_the_schedule_is_shortened_to_the_time(tiny_llama: Path) -> None:
    model, tokenizer = load_model(tiny_llama, device=torch.device("cpu"), dtype="float32")
    ticks = iter(range(0, 10**6, 6))
    rows = rows_of(tokenizer, TEXTS)
    settings = FitSettings(**{**SETTINGS.__dict__, "steps": 500, "minutes": 4.0})
    tuned = prepare(model, Tuning(rank=2), seed=0)
    progress = fit(tuned, rows[4:], rows[:4], settings, pad_id=0, clock=lambda: float(next(ticks)))
    assert progress.total == progress.step == int(0.9 * 240 / 6)


def test_a_state_of_other_data_is_refused_and_a_lower_rate_is_not(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(_KilledError):
        fitted(tiny_llama, tmp_path, kill_at=5)
    with pytest.raises(DataError, match="other settings"):
        fitted(tiny_llama, tmp_path, step_tokens=61)
    _, progress, _ = fitted(tiny_llama, tmp_path, rate=0.001)
    assert progress.step == 12


def test_steps_follow_the_epochs() -> None:
    rows = [TokenRow((1,) * 10, (False, *[True] * 9)) for _ in range(20)]
    for epochs, steps in ((1.0, 4), (2.0, 8), (1.5, 6), (0.1, 1)):
        assert steps_of(rows, FitSettings(epochs=epochs, step_tokens=50)) == steps
    assert steps_of(rows, FitSettings(steps=3)) == 3


def test_settings_that_mean_nothing_are_refused(tiny_llama: Path) -> None:
    for wrong in ({"steps": 0}, {"rate": 0.0}, {"epochs": 0.0}, {"minutes": 0.0}, {"warmup": 1.0}, {"language": -1.0}):
        with pytest.raises(ConfigError):
            FitSettings(**{**SETTINGS.__dict__, **wrong})
    one = prepare(load_model(tiny_llama, device=torch.device("cpu"))[0], Tuning(rank=2), seed=0)
    with pytest.raises(DataError, match="at least one of each"):
        fit(one, [], [], SETTINGS, pad_id=0)
