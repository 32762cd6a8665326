from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from detoxify import Detoxify

from guard.errors import AssetError, ConfigError, FilterError
from guard.filters.detoxify import DetoxifyFilter
from tests.guard.filters.tiny import write_tiny_detoxify

CATEGORIES = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny-detoxify")
    write_tiny_detoxify(path)
    write_tiny_detoxify(path, repository="no-such-organisation/no-such-model")
    return path


@pytest.fixture(scope="module")
def tiny(folder: Path) -> DetoxifyFilter:
    return DetoxifyFilter.load(folder / "tiny.ckpt")


def test_score_batch_equals_predict(folder: Path, tiny: DetoxifyFilter) -> None:
    texts = ["you are nice", "awful", "you are awful awful awful"]
    predicted = Detoxify(checkpoint=str(folder / "tiny.ckpt")).predict(texts)
    expected = np.array([predicted[category] for category in CATEGORIES]).T
    assert tiny.categories == CATEGORIES
    assert np.allclose(tiny.score_batch(texts), expected, atol=1e-5)
    assert np.ptp(tiny.score_batch(texts)) > 0.1  # the tiny model does tell texts apart


@pytest.mark.parametrize("n_texts", [0, 1, 2])
def test_score_batch_is_a_matrix_for_any_number_of_texts(tiny: DetoxifyFilter, n_texts: int) -> None:
    scores = tiny.score_batch(["you"] * n_texts)
    assert scores.shape == (n_texts, 6)
    assert scores.dtype == np.float32


def test_long_text_is_seen_whole(tiny: DetoxifyFilter) -> None:
    padding = "nice " * 200
    alone, hidden, without = tiny.score_batch(["awful " * 30, padding + "awful " * 30, padding])
    # The windows of the padded text include one that is nothing but the bad words.
    assert (hidden >= alone - 1e-5).all()
    assert not np.allclose(hidden, without, atol=1e-3)


def test_load_with_config_folder_needs_no_hub(folder: Path, tiny: DetoxifyFilter) -> None:
    offline = DetoxifyFilter.load(folder / "published.ckpt", huggingface_config_path=folder)
    texts = ["you are nice", "awful"]
    assert offline.categories == CATEGORIES
    assert np.allclose(offline.score_batch(texts), tiny.score_batch(texts), atol=1e-6)


def test_load_without_network_says_what_to_do(folder: Path) -> None:
    with pytest.raises(AssetError, match=r"published\.ckpt cannot be loaded .* huggingface_config_path"):
        DetoxifyFilter.load(folder / "published.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_load_of_a_broken_checkpoint_is_an_asset_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AssetError, match=r"broken\.ckpt cannot be loaded"):
        DetoxifyFilter.load(path)


def test_load_of_a_checkpoint_without_config_is_an_asset_error(tmp_path: Path, folder: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    for config_path in (None, folder):
        with pytest.raises(AssetError, match="config"):
            DetoxifyFilter.load(tmp_path / "bare.ckpt", huggingface_config_path=config_path)


def test_load_of_a_release_takes_it_from_the_cache(
    tmp_path: Path, folder: Path, tiny: DetoxifyFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "toxic_original-c1212f89.ckpt"
    cached.parent.mkdir(parents=True)
    shutil.copy(folder / "tiny.ckpt", cached)
    assert DetoxifyFilter.load().name == tiny.name


def test_load_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="Detoxify has no model 'orginal'; known: original, "):
        DetoxifyFilter.load(model_type="orginal")


def test_name_carries_the_digest_of_the_checkpoint(folder: Path, tiny: DetoxifyFilter) -> None:
    other = DetoxifyFilter.load(folder / "published.ckpt", huggingface_config_path=folder)
    assert tiny.name.startswith("detoxify@")
    assert tiny.name != other.name


def test_failing_model_is_a_filter_error(folder: Path) -> None:
    filter_ = DetoxifyFilter.load(folder / "tiny.ckpt")

    class Broken(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, **inputs: torch.Tensor) -> None:
            raise RuntimeError("out of memory")

    filter_._model = Broken()
    with pytest.raises(FilterError, match="RuntimeError: out of memory"):
        filter_.score_batch(["you"])
