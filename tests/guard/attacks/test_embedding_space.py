"""FGSM and PGD: the ball, the projection, known answers on linear losses, rows alone and together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from guard.attacks.embedding_space import Norm, fgsm, pgd, project, radii
from guard.errors import ConfigError, FilterError
from guard.filters.differentiable import padded_rows
from guard.filters.encoder import EncoderFilter
from tests.guard.filters.tiny_bert import write_tiny_adapter, write_tiny_bert

WORDS = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]]])
MASK = torch.tensor([[True, True, False]])


def linear(words: Tensor) -> Tensor:
    """The gradient is (3, -4) at every word."""
    return (words * torch.tensor([3.0, -4.0])).sum(dim=(1, 2))


def test_fgsm_of_a_linear_loss_is_known() -> None:
    """Lengths 5 and 2; 10 per cent of them over the root of 2, along the signs (1, -1)."""
    found = fgsm(linear, WORDS, MASK, epsilon=0.1)
    step = 0.1 / 2**0.5
    expected = WORDS + torch.tensor([[[5.0, -5.0], [2.0, -2.0], [0.0, 0.0]]]) * step
    assert torch.allclose(found.words, expected)
    assert found.loss_before.item() == pytest.approx(3 * 4 - 4 * 7)
    assert found.loss.item() == pytest.approx(found.loss_before.item() + 7 * 7 * step)


def test_pgd_of_a_linear_loss_ends_on_the_edge_of_the_l2_ball() -> None:
    found = pgd(linear, WORDS, MASK, epsilon=0.2, n_steps=4, step=0.5)
    direction = torch.tensor([0.6, -0.8])
    assert torch.allclose(
        found.words - WORDS, torch.stack([direction, direction * 0.4, direction * 0])[None], atol=1e-6
    )
    assert found.loss.item() == pytest.approx(found.loss_before.item() + 5 * 1.4, rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 10), st.sampled_from(["l2", "linf"]))
def test_projection_lies_in_the_ball_leaves_its_inside_and_is_the_nearest(seed: int, scale: float, norm: Norm) -> None:
    generator = torch.Generator().manual_seed(seed)
    shift, other = torch.randn((2, 2, 3, 5), generator=generator, dtype=torch.float64) * scale
    radius = torch.rand((2, 3, 1), generator=generator, dtype=torch.float64)
    order = 2 if norm == "l2" else float("inf")
    near = project(shift, radius, norm=norm)
    assert bool((torch.linalg.vector_norm(near, order, dim=-1) <= radius[..., 0] * (1 + 1e-12)).all())
    assert torch.allclose(project(near, radius, norm=norm), near)
    inside = project(other, radius, norm=norm)  # any other point of the ball is no nearer
    assert bool(((shift - near).norm(dim=-1) <= (shift - inside).norm(dim=-1) + 1e-12).all())


def test_radii_are_a_share_of_each_words_length() -> None:
    assert radii(WORDS, MASK, epsilon=0.1, norm="l2")[0, :, 0].tolist() == pytest.approx([0.5, 0.2, 0.0])
    assert radii(WORDS, MASK, epsilon=0.1, norm="linf")[0, 0, 0].item() == pytest.approx(0.5 / 2**0.5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderFilter:
    base = write_tiny_bert(tmp_path_factory.mktemp("bert"))
    weights = write_tiny_adapter(tmp_path_factory.mktemp("adapter"))
    return EncoderFilter.load(base=base, weights=weights, device="cpu", dtype="float32")


def _batch(encoder: EncoderFilter, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    windows = encoder.token_windows(texts)
    ((rows, words, mask),) = padded_rows(encoder.word_embeddings, windows)
    assert rows == list(range(len(texts)))
    movable = torch.tensor([[p >= 0 for p in w.places] + [False] * (mask.shape[1] - len(w.places)) for w in windows])
    return words, mask, movable


TEXTS = ["you are a stupid person", "i love the weather", "you hate"]


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("seeds", [None, [1, 2, 3]])
def test_pgd_raises_the_encoders_loss_inside_the_ball(
    encoder: EncoderFilter, norm: Norm, seeds: list[int] | None
) -> None:
    words, mask, movable = _batch(encoder, TEXTS)

    def losses(moved: Tensor) -> Tensor:
        return torch.nn.functional.softplus(encoder.logits_of(moved, mask)[:, 0])

    found = pgd(losses, words, movable, epsilon=0.3, norm=norm, seeds=seeds)
    shift, radius = found.words - words, radii(words, movable, epsilon=0.3, norm=norm)
    order = 2 if norm == "l2" else float("inf")
    assert bool((torch.linalg.vector_norm(shift, order, dim=-1) <= radius[..., 0] + 1e-5).all())
    assert not shift[~movable].any()
    assert bool((found.loss > found.loss_before).all())
    assert torch.allclose(losses(found.words).detach(), found.loss, atol=1e-6)


def test_a_row_does_not_depend_on_its_batch(encoder: EncoderFilter) -> None:
    words, mask, movable = _batch(encoder, TEXTS)
    whole = pgd(lambda x: encoder.logits_of(x, mask)[:, 0], words, movable, epsilon=0.3, seeds=[5, 6, 7])
    for row in range(3):
        part = slice(row, row + 1)
        alone = pgd(
            lambda x, part=part: encoder.logits_of(x, mask[part])[:, 0],  # type: ignore[misc]
            words[part], movable[part], epsilon=0.3, seeds=[5 + row],
        )  # fmt: skip
        assert torch.allclose(alone.words, whole.words[part], atol=1e-5)


def test_a_row_does_not_depend_on_its_padding(encoder: EncoderFilter) -> None:
    words, mask, movable = _batch(encoder, TEXTS)
    pad = torch.nn.functional.pad
    wide, wide_mask, wide_movable = pad(words, (0, 0, 0, 3)), pad(mask, (0, 3)), pad(movable, (0, 3))
    found = pgd(lambda x: encoder.logits_of(x, mask)[:, 0], words, movable, epsilon=0.3, seeds=[5, 6, 7])
    padded = pgd(lambda x: encoder.logits_of(x, wide_mask)[:, 0], wide, wide_movable, epsilon=0.3, seeds=[5, 6, 7])
    assert torch.allclose(padded.words[:, : words.shape[1]], found.words, atol=1e-5)


def test_what_no_ball_could_mean_is_refused() -> None:
    with pytest.raises(ConfigError, match="epsilon >= 0"):
        fgsm(linear, WORDS, MASK, epsilon=-1.0)
    with pytest.raises(ConfigError, match="l2 or linf"):
        pgd(linear, WORDS, MASK, epsilon=1.0, norm="l1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one a row"):
        pgd(linear, WORDS, MASK, epsilon=1.0, seeds=[1, 2])
    with pytest.raises(ConfigError, match="one a row"):
        fgsm(lambda words: words.sum(), WORDS, MASK, epsilon=1.0)
    with pytest.raises(FilterError, match="not finite"):
        fgsm(lambda words: linear(words) * np.nan, WORDS, MASK, epsilon=1.0)


def test_parameters_get_no_gradient(encoder: EncoderFilter, tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    fgsm(lambda words: (words * weight).sum(dim=(1, 2)), WORDS, MASK, epsilon=0.1)
    assert weight.grad is None
