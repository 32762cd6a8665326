from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.generators.batching import batches, may_join, padded_width, refill_pays, spare_slots


@pytest.mark.parametrize(
    ("n_tokens", "new", "width"),
    [
        *((0, 20, 32), (31, 20, 32), (32, 20, 64), (33, 20, 64)),
        *((470, 20, 480), (480, 16, 512), (490, 100, 512), (512, 1, 1024)),
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


@pytest.mark.parametrize(
    ("n_slots", "new", "may"),
    [(31, 48, True), (63, 48, True), (15, 48, False), (30, 48, False), (447, 48, True), (479, 48, False)],
)
def test_prompts_join_at_their_own_lanes_and_within_a_block(n_slots: int, new: int, may: bool) -> None:
    assert may_join(n_slots, new) == may


@pytest.mark.parametrize(("first", "spare"), [(0, 0), (1, 0), (32, 0), (33, 32), (64, 32), (65, 64), (80, 64)])
def test_slots_are_cut_off_in_lanes_and_a_column_of_padding_is_left(first: int, spare: int) -> None:
    assert spare_slots(first) == spare


@pytest.mark.parametrize(
    ("new", "pays"),
    [(16, False), (20, False), (32, True), (40, False), (48, False), (60, True), (64, True), (100, False)],
)
def test_refill_pays_where_the_wait_for_the_next_lane_is_short(new: int, pays: bool) -> None:
    assert refill_pays(new) == pays
