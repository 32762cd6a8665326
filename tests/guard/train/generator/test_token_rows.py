from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError, DataError
from guard.train.generator.token_rows import TokenRow, as_batch, batched, epoch_steps, packed, rows_digest


def row(*ids: int) -> TokenRow:
    return TokenRow(ids, (False, *[True] * (len(ids) - 1)))


ROWS = st.lists(
    st.lists(st.integers(0, 9), min_size=2, max_size=12).map(lambda ids: row(*ids)), min_size=1, max_size=30
)


@settings(deadline=None)
@given(ROWS, st.integers(1, 40))
def test_every_row_is_in_one_batch_and_batches_keep_to_the_budget(rows: list[TokenRow], budget: int) -> None:
    found = batched(rows, budget=budget)
    assert sorted(one.ids for packs in found for pack in packs for one in pack) == sorted(one.ids for one in rows)
    for packs in found:
        assert len(packs) == 1 or len(packs) * max(len(pack[0].ids) for pack in packs) <= budget


@settings(deadline=None)
@given(ROWS, st.integers(1, 30), st.integers(1, 90))
def test_every_row_is_in_one_pack_and_packs_keep_to_the_width(rows: list[TokenRow], width: int, budget: int) -> None:
    found = packed(rows, width=width, budget=budget)
    assert sorted(one.ids for packs in found for pack in packs for one in pack) == sorted(one.ids for one in rows)
    for packs in found:
        assert all(len(pack) == 1 or sum(len(one.ids) for one in pack) <= width for pack in packs)
        assert len(packs) == 1 or len(packs) * max(sum(len(one.ids) for one in pack) for pack in packs) <= budget


@settings(deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(0, 3))
def test_an_epoch_deals_every_row_once(rows: list[TokenRow], step_tokens: int, epoch: int) -> None:
    steps = epoch_steps(rows, step_tokens=step_tokens, epoch=epoch, seed=1)
    assert sorted(index for step in steps for index in step) == list(range(len(rows)))
    for step in steps[:-1]:
        assert sum(len(rows[index].ids) for index in step) >= step_tokens
    assert steps == epoch_steps(rows, step_tokens=step_tokens, epoch=epoch, seed=1)


def test_epochs_have_their_own_order() -> None:
    rows = [row(1, number) for number in range(30)]
    first, second = (epoch_steps(rows, step_tokens=8, epoch=epoch, seed=0) for epoch in (0, 1))
    assert first != second
    with pytest.raises(ConfigError, match="at least 1"):
        epoch_steps(rows, step_tokens=0, epoch=0, seed=0)


def test_a_batch_says_where_each_text_begins_and_what_it_may_look_at() -> None:
    batch = as_batch([[row(5, 6), row(7, 8, 9)], [row(1, 2)]], pad_id=3)
    assert batch.ids.tolist() == [[5, 6, 7, 8, 9], [1, 2, 3, 3, 3]]
    assert batch.positions.tolist() == [[0, 1, 0, 1, 2], [0, 1, 0, 0, 0]]
    assert batch.segments.tolist() == [[1, 1, 2, 2, 2], [1, 1, 0, 0, 0]]
    assert batch.learnt.int().tolist() == [[0, 1, 0, 1, 1], [0, 1, 0, 0, 0]]
    assert batch.is_packed
    assert batch.allowed()[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 1],
    ]
    assert batch.allowed(2)[0, 0, :, :2].all()
    assert not as_batch([[row(5, 6)]], pad_id=0).is_packed


def test_packing_fills_the_gaps_that_are_left() -> None:
    rows = [row(*range(n)) for n in (6, 5, 4, 3, 2)]
    assert [[len(one.ids) for one in pack] for pack in packed(rows, width=10, budget=100)[0]] == [[6, 4], [5, 3, 2]]


@pytest.mark.parametrize(
    ("ids", "learnt"), [((1, 2), (False,)), ((1, 2), (False, False)), ((1, 2), (True, True)), ((), ())]
)
def test_rows_that_teach_nothing_are_refused(ids: tuple[int, ...], learnt: tuple[bool, ...]) -> None:
    with pytest.raises(DataError, match="give a mark for each id"):
        TokenRow(ids, learnt)


def test_a_digest_tells_marks_apart() -> None:
    one, other = TokenRow((1, 2, 3), (False, True, True)), TokenRow((1, 2, 3), (False, True, False))
    assert rows_digest([one]) != rows_digest([other])
    assert rows_digest([one]) == rows_digest([one])
    assert torch.is_tensor(as_batch([[one]], pad_id=0).ids)
