from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evals.blocks import prompt_blocks
from evals.schema import Sample


def _samples(sizes: list[int]) -> list[Sample]:
    return [
        Sample(f"t/{prompt}#{k}", "t", f"p{prompt}", "text", "g", k)
        for prompt, size in enumerate(sizes)
        for k in range(size)
    ]


@given(sizes=st.lists(st.integers(1, 5), max_size=30), seed=st.integers(0, 99), least=st.integers(1, 12))
def test_every_sample_is_in_one_block_and_prompts_stay_whole(sizes: list[int], seed: int, least: int) -> None:
    samples = _samples(sizes)
    blocks = prompt_blocks(samples, seed=seed, least=least)
    assert sorted(s.id for block in blocks for s in block) == sorted(s.id for s in samples)
    homes = {(s.prompt_id, number) for number, block in enumerate(blocks) for s in block}
    assert len(homes) == len(sizes)
    assert all(len(block) >= least for block in blocks[:-1])


def test_order_is_random_and_a_function_of_the_seed() -> None:
    samples = _samples([1] * 40)
    orders = [[s.prompt_id for block in prompt_blocks(samples, seed=seed) for s in block] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != [s.prompt_id for s in samples]


def test_no_sample_gives_no_block() -> None:
    assert prompt_blocks([], seed=0) == []
