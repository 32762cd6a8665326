from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.generators.seeding import SeededSampler, _draw_ordered, draw_tokens, uniforms
from guard.schema import Decoding


def test_uniforms_of_a_row_do_not_depend_on_its_neighbours() -> None:
    together = uniforms([3, 1, 2], 5)
    assert torch.equal(together[1], uniforms([1], 5)[0])
    assert torch.equal(uniforms([1], 9)[0, :5], uniforms([1], 5)[0])
    assert not torch.equal(together[0], together[1])
    assert uniforms([], 5).shape == (0, 5)


def test_sampler_draws_by_the_distribution() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(4000, 1)
    drawn = SeededSampler(range(4000), Decoding(max_new_tokens=1)).draw(logits)
    shares = torch.bincount(drawn, minlength=3) / 4000
    for share, expected in zip(shares.tolist(), (0.5, 0.3, 0.2), strict=True):
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)


def test_nucleus_keeps_the_smallest_set_that_reaches_the_mass() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]])).repeat(2000, 1)
    drawn = SeededSampler(range(2000), Decoding(max_new_tokens=1, top_p=0.75)).draw(logits)
    assert set(drawn.tolist()) == {1, 2}
    drawn = SeededSampler(range(2000), Decoding(max_new_tokens=1, top_p=0.4)).draw(logits)
    assert set(drawn.tolist()) == {1}


def test_low_temperature_is_greedy() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]]).repeat(50, 1)
    drawn = SeededSampler(range(50), Decoding(max_new_tokens=1, temperature=1e-3)).draw(logits)
    assert set(drawn.tolist()) == {1}


@given(st.integers(1, 6), st.integers(2, 40), st.integers(0, 2**40))
def test_processor_leaves_exactly_the_drawn_token(rows: int, vocabulary: int, seed: int) -> None:
    logits = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))
    decoding, seeds = Decoding(max_new_tokens=2), [seed + i for i in range(rows)]
    token = SeededSampler(seeds, decoding).draw(logits)
    processed = SeededSampler(seeds, decoding)(torch.zeros(rows, 1), logits)
    assert torch.equal(processed.argmax(-1), token)
    assert int(torch.isfinite(processed).sum()) == rows


@pytest.mark.parametrize("scale", [0.0, 0.3, 3.0, 12.0])
@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
def test_a_draw_from_the_head_is_one_from_the_whole_vocabulary(scale: float, top_p: float) -> None:
    # Logits in bfloat16 tie often; in every batch some rows are so flat that the head does not hold the nucleus.
    generator = torch.Generator().manual_seed(1)
    logits = (torch.randn(32, 12000, generator=generator) * scale * torch.linspace(0, 2, 32)[:, None]).bfloat16()
    uniform = torch.rand(32, generator=generator, dtype=torch.float64)
    uniform[:4] = torch.tensor([0.0, 1e-12, 0.5, 1 - 1e-12])
    probabilities = torch.softmax(logits.float(), -1)
    whole, order = probabilities.sort(dim=-1, descending=True, stable=True)
    expected = _draw_ordered(whole, order, uniform, top_p)
    found = draw_tokens(logits, uniform, Decoding(max_new_tokens=1, top_p=top_p))
    assert torch.equal(found, expected)


def test_a_draw_from_logits_that_are_not_finite_is_refused() -> None:
    logits = torch.zeros(2, 12000)
    logits[1, 7] = float("nan")
    with pytest.raises(FloatingPointError):
        draw_tokens(logits, torch.tensor([0.5, 0.5]).double(), Decoding(max_new_tokens=1, top_p=0.9))
