from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.generators.seeding import SeededSampler, uniforms
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
