"""Hardening runs end to end on a tiny model: what it learns, what it may not lose, and what happens when it breaks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from guard.errors import ConfigError, DataError, FilterError
from guard.filters.encoder import EncoderFilter
from guard.harden.batch import Batch, Hook, Trainable
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.filter_training import HardenSettings, LabelledText, harden, leash_loss
from guard.harden.freelb import FreeLBHook
from guard.harden.random_hook import RandomHook
from guard.harden.searched_hook import SearchedHook
from guard.harden.smart import SmartHook
from guard.harden.validation import Validation, all_logits, rank_area
from guard.harden.virtual import VirtualHook
from guard.train.encoder import TrainSettings, train, write_weights
from guard.train.lora import LoraSettings
from guard.train.rows import Row
from tests.guard.filters.tiny_bert import write_tiny_bert

BAD, GOOD = ("you are stupid", "i hate you", "stupid person"), ("you are kind", "i love you", "kind person")
SETTINGS = HardenSettings(
    epochs=4, learning_rate=0.02, batch_tokens=128, task=1.0, leash=0.05, pull=0.05, allowed_drop=0.02
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a tiny encoder and a filter on it that tells kind from stupid."""
    folder = tmp_path_factory.mktemp("filter")
    base = write_tiny_bert(folder / "base")
    rows = [Row(text, {"toxicity": float(at % 2)}, "toy", "train") for at, text in enumerate(_texts(160))]
    settings = TrainSettings(
        epochs=4, learning_rate=0.02, max_tokens=24, batch_tokens=256, noise=0, bfloat16=False, lora=LoraSettings(2)
    )
    tensors, config, _ = train(rows, base=base, settings=settings)
    write_weights(tensors, config, folder / "weights")
    return base, folder / "weights"


def _texts(n: int) -> list[str]:
    """Harmless and harmful in turns."""
    return [(BAD if at % 2 else GOOD)[at // 2 % 3] + (" and the weather" if at % 5 == 0 else "") for at in range(n)]


def _rows(n: int) -> list[LabelledText]:
    return [LabelledText(f"r{at}", text, (float(at % 2), -1, -1, -1, -1)) for at, text in enumerate(_texts(n))]


def _validation() -> Validation:
    return Validation(_texts(60), [bool(at % 2) for at in range(60)], column=0, threshold=0.6)


def _model(folders: tuple[Path, Path]) -> HardenableEncoder:
    return HardenableEncoder.load(base=folders[0], weights=folders[1], max_tokens=24, bfloat16=False)


def test_model_in_training_scores_as_the_filter_does(folders: tuple[Path, Path]) -> None:
    encoder = EncoderFilter.load(base=folders[0], weights=folders[1], device="cpu", dtype="float32")
    texts = ["you are stupid", "kind", "", "i h\u0430te y\u200bou \U0001f62d"]
    scores = 1 / (1 + np.exp(-all_logits(_model(folders), texts)))
    assert np.allclose(scores, encoder.score_batch(texts), atol=1e-4)
    assert _model(folders).categories == encoder.categories


def test_tokens_know_where_they_stand_in_the_text_as_given(folders: tuple[Path, Path]) -> None:
    tokens = _model(folders).tokens(["you  st\u200bupid", "a"])
    text = "you  st\u200bupid"
    assert [text[start:end] for start, end in tokens.offsets[0]] == ["", "you", "st\u200bupid", ""]
    assert tokens.mask.tolist() == [[True] * 4, [True, True, True, False]]


def test_a_copy_stays_when_the_model_moves(folders: tuple[Path, Path]) -> None:
    model = _model(folders)
    twin, before = model.copy(), all_logits(model, ["stupid"])
    with torch.no_grad():
        next(iter(model.parameters())).add_(1.0)
    assert np.array_equal(all_logits(twin, ["stupid"]), before)
    assert not np.array_equal(all_logits(model, ["stupid"]), before)


def test_hardening_withstands_slips_and_keeps_clean_text(folders: tuple[Path, Path]) -> None:
    model = _model(folders)
    done = harden(model, _rows(160), validation=_validation(), hooks=[RandomHook(seed=1)], settings=SETTINGS)
    assert done.after.noisy > done.before.noisy + 0.02
    assert done.after.clean >= done.before.clean - SETTINGS.allowed_drop
    assert done.after.false_alarms <= done.before.false_alarms
    assert done.kept_at > 0
    assert done.stopped in ("done", "patience")
    assert json.loads(json.dumps(done.record()))["n_bad"] == 0


def test_hardening_is_reproducible(folders: tuple[Path, Path]) -> None:
    found = []
    for seed in (0, 0, 1):
        model = _model(folders)
        hooks: list[Hook] = [RandomHook(seed=seed), SearchedHook(seed=seed, rows=2), FreeLBHook(seed), SmartHook(seed)]
        settings = replace(SETTINGS, seed=seed, epochs=1)
        harden(model, _rows(40), validation=_validation(), hooks=[*hooks, VirtualHook(seed=seed)], settings=settings)
        found.append(model.tensors())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert any(not torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_run_that_makes_nothing_better_leaves_the_model_as_it_was(folders: tuple[Path, Path]) -> None:
    model = _model(folders)
    before = model.tensors()
    wrong = [replace(row, labels=(1 - row.labels[0], -1, -1, -1, -1)) for row in _rows(80)]
    settings = replace(SETTINGS, leash=0, pull=0, epochs=2, looks=8, patience=3)
    done = harden(model, wrong, validation=_validation(), hooks=[], settings=settings)
    assert (done.kept_at, done.stopped) == (0, "patience")
    assert done.after == done.before
    assert all(torch.equal(before[name], value) for name, value in model.tensors().items())


class _Poison:
    """Breaks the gradients of chosen steps."""

    def __init__(self, *steps: int) -> None:
        self._steps, self._step = steps, 0

    def on_batch(self, batch: Batch, model: Trainable) -> Batch:
        self._step += 1
        if self._step in self._steps:
            (next(model.parameters()) * math.nan).sum().backward()  # type: ignore[no-untyped-call]
        return batch


def test_a_step_that_is_not_finite_is_left_out(folders: tuple[Path, Path]) -> None:
    model = _model(folders)
    done = harden(model, _rows(80), validation=_validation(), hooks=[_Poison(2, 3), RandomHook()], settings=SETTINGS)
    assert done.n_bad == 2
    assert all(bool(value.isfinite().all()) for value in model.tensors().values())


def test_a_run_that_diverges_keeps_the_last_good_state(folders: tuple[Path, Path]) -> None:
    model, kept = _model(folders), list[Mapping[str, Tensor]]()
    settings = replace(SETTINGS, looks=8, patience=99)
    hooks: list[Hook] = [RandomHook(seed=1), _Poison(*range(25, 99))]
    done = harden(model, _rows(160), validation=_validation(), hooks=hooks, settings=settings, checkpoint=kept.append)
    assert done.stopped == "diverged"
    assert done.kept_at > 0
    assert torch.equal(kept[-1]["heads.value"], model.tensors()["heads.value"])
    with pytest.raises(FilterError, match="lower the learning rate"):
        harden(_model(folders), _rows(9), validation=_validation(), hooks=[_Poison(*range(99))], settings=settings)


def test_other_heads_stay_on_the_leash(folders: tuple[Path, Path]) -> None:
    moved = []
    for leash in (0.0, 5.0):
        model = _model(folders)
        before = all_logits(model, _texts(6))[:, 1:]
        harden(model, _rows(80), validation=_validation(), hooks=[], settings=replace(SETTINGS, leash=leash))
        moved.append(float(np.abs(all_logits(model, _texts(6))[:, 1:] - before).max()))
    assert moved[1] <= moved[0]
    assert float(leash_loss(torch.tensor([[1.0, 20.0]]), torch.tensor([[3.0, 9.0]]))) == 2.0


def test_what_is_written_loads_as_a_filter(folders: tuple[Path, Path], tmp_path: Path) -> None:
    model = _model(folders)
    harden(model, _rows(40), validation=_validation(), hooks=[RandomHook()], settings=SETTINGS)
    write_weights({name: value.half() for name, value in model.tensors().items()}, model.config, tmp_path)
    encoder = EncoderFilter.load(base=folders[0], weights=tmp_path, device="cpu", dtype="float32")
    scores = 1 / (1 + np.exp(-all_logits(model, _texts(4))))
    assert np.allclose(encoder.score_batch(_texts(4)), scores, atol=5e-3)


def test_validation_by_hand_and_what_is_refused(folders: tuple[Path, Path]) -> None:
    assert rank_area(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == 0.875
    with pytest.raises(DataError, match="at least 10 of each"):
        Validation(["a"] * 20, [True] * 11 + [False] * 9, column=0, threshold=0.5)
    with pytest.raises(ConfigError, match="more than 0"):
        HardenSettings(minutes=0)
    with pytest.raises(ConfigError, match="no rows"):
        harden(_model(folders), [], validation=_validation(), hooks=[], settings=SETTINGS)
    with pytest.raises(FilterError, match="give a filter's folder"):
        HardenableEncoder.load(base=folders[0], weights=folders[0])
