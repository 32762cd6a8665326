"""Training a head and upper layers on a tiny encoder: what it learns, what it leaves alone, and what breaks it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, DataError, FilterError
from guard.filters.encoder import EncoderFilter
from guard.train.classifier.parted_encoder import PartedEncoder
from guard.train.classifier.probe import fit_probe
from guard.train.classifier.pseudo_labels import PseudoRule
from guard.train.classifier.rounds import step_rows
from guard.train.classifier.settings import FilterTraining, Part
from guard.train.classifier.temperature import probabilities
from guard.train.classifier.training import Trained, train_filter
from guard.train.classifier.views import strong_view
from guard.train.encoder import write_weights
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

BAD, GOOD = ("you are stupid", "i hate you", "stupid person"), ("you are kind", "i love you", "kind person")
FILL = ("and the weather", "do not", "a person", "i do", "the weather", "are you")
SETTINGS = FilterTraining(epochs=3, batch=8, rate=0.01, upper=1, patience=3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a tiny encoder, and a filter of two categories on it."""
    folder = tmp_path_factory.mktemp("filter")
    return write_tiny_bert(folder / "base"), write_tiny_adapter(folder / "weights")


def _part(n: int, *, start: int = 0) -> Part:
    texts = [
        f"{(BAD if at % 2 else GOOD)[at // 2 % 3]} {FILL[at % 5]} {chr(97 + at % 23)}" for at in range(start, start + n)
    ]
    return Part(texts, [at % 2 for at in range(start, start + n)])


def _load(folders: tuple[Path, Path], *, fresh: bool = False, upper: int = 1, category: str = "rude") -> PartedEncoder:
    return PartedEncoder.load(folders[0], None if fresh else folders[1], category=category, upper=upper, max_tokens=24)


def _train(encoder: PartedEncoder, settings: FilterTraining = SETTINGS, **options: Any) -> Trained:
    return train_filter(encoder, _part(48), _part(40, start=100), settings, **options)


def _write(encoder: PartedEncoder, trained: Trained, folder: Path) -> Path:
    scale = trained.calibration
    tensors = encoder.tensors(slope=scale.slope, shift=scale.shift)
    write_weights({name: value.half().contiguous() for name, value in tensors.items()}, encoder.config, folder)
    return folder


@pytest.mark.parametrize("upper", [0, 1, 2])
def test_parts_together_say_what_the_filter_says(folders: tuple[Path, Path], upper: int) -> None:
    encoder = _load(folders, upper=upper, category="toxicity")
    texts = ["you are stupid", "", "i h\u0430te y\u200bou"]
    logits, _ = encoder.read_all(encoder.states(texts))
    shipped = EncoderFilter.load(base=folders[0], weights=folders[1], device="cpu", dtype="float32")
    assert np.allclose(probabilities(logits.double().numpy()), shipped.score_batch(texts), atol=2e-3)
    assert not encoder.is_new


@pytest.mark.parametrize("fresh", [False, True])
def test_a_new_category_is_learnt_and_its_folder_scores_so(
    folders: tuple[Path, Path], tmp_path: Path, fresh: bool
) -> None:
    encoder = _load(folders, fresh=fresh, upper=2)
    trained = _train(encoder, replace(SETTINGS, upper=2, epochs=12, rate=0.02))
    filter_ = EncoderFilter.load(base=folders[0], weights=_write(encoder, trained, tmp_path), dtype="float32")
    assert filter_.categories == (("rude",) if fresh else ("toxicity", "refusal", "rude"))
    test = _part(40, start=300)
    scores = filter_.score_batch(test.texts)[:, -1]
    assert ((scores >= 0.5) == np.array(test.labels, bool)).mean() >= 0.9
    assert trained.history[0]["step"] == 0
    assert trained.history[-1]["loss"] >= min(look["loss"] for look in trained.history)


def test_the_head_alone_leaves_other_categories_as_they_were_to_the_last_bit(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    encoder = _load(folders, upper=0)
    folder = _write(encoder, _train(encoder, replace(SETTINGS, upper=0)), tmp_path)
    before = EncoderFilter.load(base=folders[0], weights=folders[1], dtype="float32")
    after = EncoderFilter.load(base=folders[0], weights=folder, dtype="float32")
    texts = list(_part(30).texts)
    assert np.array_equal(before.score_batch(texts), after.score_batch(texts)[:, :2])


def test_the_leash_holds_other_categories(folders: tuple[Path, Path]) -> None:
    moved = []
    for leash in (0.0, 10.0):
        encoder = _load(folders)
        texts = list(_part(30).texts)
        before = encoder.read_all(encoder.states(texts))[0][:, :2]
        settings = replace(SETTINGS, leash=leash, rate=0.03, patience=9)
        trained = _train(encoder, replace(settings, epochs=2))
        assert trained.n_steps == 12
        moved.append(float((encoder.read_all(encoder.states(texts))[0][:, :2] - before).abs().mean()))
    assert moved[1] <= moved[0]


@pytest.mark.parametrize(
    "extra",
    [{}, {"contrastive": 0.3}, {"pseudo": PseudoRule(0.8, 0.6, least=4)}],
    ids=["plain", "contrastive", "pseudo"],
)
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    folders: tuple[Path, Path], tmp_path: Path, extra: dict[str, Any]
) -> None:
    settings, unlabelled = replace(SETTINGS, **extra), list(_part(60, start=500).texts)

    def kill(what: str, done: int, whole: int) -> None:
        if what == "training" and done == 9:
            raise KeyboardInterrupt

    whole, broken, resumed = _load(folders), _load(folders), _load(folders)
    _train(whole, settings, unlabelled=unlabelled)
    with pytest.raises(KeyboardInterrupt):
        _train(broken, settings, unlabelled=unlabelled, folder=tmp_path, tell=kill)
    _train(resumed, settings, unlabelled=unlabelled, folder=tmp_path)
    assert all(torch.equal(one, resumed.tensors()[name]) for name, one in whole.tensors().items())


def test_a_state_of_other_rows_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _train(_load(folders), folder=tmp_path)
    with pytest.raises(DataError, match="of another model, other data or other settings"):
        train_filter(_load(folders), _part(50), _part(40, start=100), SETTINGS, folder=tmp_path)


def test_pseudo_labels_are_told_by_round(folders: tuple[Path, Path]) -> None:
    settings = replace(SETTINGS, pseudo=PseudoRule(0.8, 0.6, least=4), epochs=2, judged=50)
    trained = _train(_load(folders), settings, unlabelled=list(_part(60, start=500).texts))
    assert "pseudo.trials" not in trained.history[0]
    round_ = trained.history[1]
    assert round_["pseudo.n_judged"] == 50
    assert 0 < round_["pseudo.n_accepted"] <= 50
    assert round_["pseudo.used"] == 1
    assert round_["pseudo.hits"] / round_["pseudo.trials"] >= 0.6


def test_pseudo_labels_that_are_refused_change_nothing(folders: tuple[Path, Path]) -> None:
    alone, refused = _load(folders), _load(folders)
    _train(alone)
    settings = replace(SETTINGS, pseudo=PseudoRule(least=1000))
    trained = _train(refused, settings, unlabelled=list(_part(60, start=500).texts))
    assert {look["pseudo.used"] for look in trained.history[1:]} == {0}
    assert all(torch.equal(one, refused.tensors()[name]) for name, one in alone.tensors().items())


def test_a_loss_that_is_not_finite_is_set_back(folders: tuple[Path, Path]) -> None:
    encoder = _load(folders)
    read, calls = encoder.read, [0]

    def once_broken(states: Any) -> Any:
        calls[0] += torch.is_grad_enabled()
        logits, pooled = read(states)
        return (logits * float("nan"), pooled) if calls[0] == 9 and torch.is_grad_enabled() else (logits, pooled)

    encoder.read = once_broken  # type: ignore[method-assign]
    trained = _train(encoder)
    assert trained.n_setbacks == 1
    assert trained.n_steps == 18
    assert all(bool(torch.isfinite(one).all()) for one in encoder.tensors().values())


def test_a_loss_that_is_never_finite_ends_in_one_line(folders: tuple[Path, Path]) -> None:
    encoder = _load(folders)
    with torch.no_grad():
        encoder.parameters()["lora.encoder.layer.1.output.dense.b"].fill_(float("inf"))
    encoder.set_head(torch.ones(24), 0.0)
    encoder.is_new = False
    with pytest.raises(FilterError, match="not finite before training"):
        _train(encoder, replace(SETTINGS, leash=0))


def test_rows_of_one_class_are_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="rows of both labels"):
        train_filter(_load(folders), Part(["a", "b"], [1, 1]), _part(20), SETTINGS)


def test_settings_that_mean_nothing_are_refused(folders: tuple[Path, Path]) -> None:
    for wrong in ({"upper": -1}, {"contrastive": 1.0}, {"contrastive": 0.1, "upper": 0}, {"epochs": 0}, {"minutes": 0}):
        with pytest.raises(ConfigError):
            replace(SETTINGS, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the encoder has 2"):
        _load(folders, upper=3)
    with pytest.raises(FilterError, match="give a filter's folder"):
        PartedEncoder.load(folders[0], folders[0], category="rude", upper=0)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=60).filter(lambda one: len(set(one)) == 2), st.integers(1, 9))
def test_every_row_comes_once_an_epoch_and_classes_are_spread(labels: list[int], batch: int) -> None:
    per_epoch = -(-len(labels) // batch)
    rows = [step_rows(labels, step, batch=batch, seed=3) for step in range(per_epoch)]
    assert sorted(at for one in rows for at in one) == list(range(len(labels)))
    share = Counter(labels)[1] / len(labels)
    assert all(abs(sum(labels[at] for at in one) - share * len(one)) <= 1.5 for one in rows)


def test_the_probe_is_the_same_in_rows_and_in_dimensions() -> None:
    rng = np.random.default_rng(0)
    states, labels = rng.normal(size=(30, 31)), np.array([0.0, 1.0] * 15)
    wide = fit_probe(states, labels, ridge=1.0)
    tall = fit_probe(np.concatenate((states, states)), np.concatenate((labels, labels)), ridge=2.0)
    assert np.allclose(wide[0], tall[0], atol=1e-5)
    assert wide[1] == pytest.approx(tall[1], abs=1e-5)


@given(st.text(max_size=40), st.integers(0, 99))
def test_the_strong_view_is_the_seeds_and_leaves_a_word(text: str, seed: int) -> None:
    found = [strong_view(text, random.Random(seed)) for _ in range(2)]
    assert found[0] == found[1]
    assert bool(found[0].split()) or not text.split() or len(text.split()) == 1
