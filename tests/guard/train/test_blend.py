"""Averaging two adapters averages the merged weights."""

from __future__ import annotations

import torch

from guard.train.blend import blended


def test_blended_is_the_average_of_the_merged_updates_and_of_the_heads() -> None:
    generator = torch.Generator().manual_seed(0)

    def adapter(rank: int) -> dict[str, torch.Tensor]:
        shapes = {"lora.x.a": (rank, 5), "lora.x.b": (4, rank), "heads.bias": (3,)}
        return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}

    first, second = adapter(2), adapter(3)
    mixed = blended(first, second, share=0.25)
    assert {value.dtype for value in mixed.values()} == {torch.float16}
    assert mixed["lora.x.a"].shape == (5, 5)
    merged = [one["lora.x.b"].float() @ one["lora.x.a"].float() for one in (first, second, mixed)]
    torch.testing.assert_close(merged[2], 0.75 * merged[0] + 0.25 * merged[1], atol=0.02, rtol=0)
    torch.testing.assert_close(
        mixed["heads.bias"].float(), 0.75 * first["heads.bias"] + 0.25 * second["heads.bias"], atol=0.002, rtol=0
    )
