from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.generators.batching import batches, padded_width


@pytest.mark.parametrize(
    ("n_tokens", "new", "width"),
    [
        *((0, 20, 16), (15, 20, 16), (16, 20, 32), (17, 20, 32)),
        *((480, 16, 496), (496, 16, 512), (490, 100, 512), (512, 1, 1024)),
    ],
)
def test_padded_width_leaves_padding_and_keeps_lanes(n_tokens: int, new: int, width: int) -> None:
    assert padded_width(n_tokens, new) == width


@given(st.lists(st.integers(0, 2000), max_size=60), st.integers(1, 9), st.integers(1, 300))
def test_batches_hold_every_prompt_once_and_mix_only_what_may_be_mixed(lengths: list[int], rows: int, new: int) -> None:
    groups = batches(lengths, rows=rows, max_new_tokens=new)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(1 <= len(group) <= rows for group in groups)
    for group in groups:
        widths = {padded_width(lengths[i], new) for i in group}
        # Either all fit one attention block of 512 keys, or all have the same width.
        assert all(width + new <= 512 for width in widths) or len(widths) == 1


def test_batches_start_with_the_longest() -> None:
    assert batches([3, 9, 5], rows=2, max_new_tokens=4) == [[1, 2], [0]]
