"""Windows cover every token, and batches hold every item within their budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.filters.windows import length_batches, window_token_ids


@pytest.mark.parametrize(
    ("n", "size", "stride", "expected"),
    [
        (0, 3, 2, [[]]),
        (3, 3, 2, [[0, 1, 2]]),
        (4, 3, 2, [[0, 1, 2], [1, 2, 3]]),
        (5, 3, 2, [[0, 1, 2], [2, 3, 4]]),
        (6, 3, 2, [[0, 1, 2], [2, 3, 4], [3, 4, 5]]),
        (4, 2, 2, [[0, 1], [2, 3]]),
        (2, 1, 1, [[0], [1]]),
    ],
)
def test_window_token_ids_table(n: int, size: int, stride: int, expected: list[list[int]]) -> None:
    assert window_token_ids(range(n), size=size, stride=stride) == expected


@given(n=st.integers(0, 300), size=st.integers(1, 40), data=st.data())
def test_window_token_ids_covers_every_token_in_full_windows(n: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    windows = window_token_ids(range(n), size=size, stride=stride)
    assert sorted({token for window in windows for token in window}) == list(range(n))
    assert {len(window) for window in windows} == {min(n, size)}


@pytest.mark.parametrize(("size", "stride"), [(0, 1), (3, 0), (3, 4), (-1, -1)])
def test_window_token_ids_bad_stride_is_refused(size: int, stride: int) -> None:
    with pytest.raises(ValueError, match="1 <= stride <= size"):
        window_token_ids([1, 2], size=size, stride=stride)


@given(lengths=st.lists(st.integers(0, 60), max_size=60), budget=st.integers(1, 200))
def test_length_batches_hold_every_item_once_within_budget(lengths: list[int], budget: int) -> None:
    batches = length_batches(lengths, token_budget=budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_length_batches_put_like_lengths_together() -> None:
    assert length_batches([5, 1, 2, 5], token_budget=6) == [[1, 2], [0], [3]]
    assert length_batches([2, 2, 2], token_budget=4) == [[0, 1], [2]]
    assert length_batches([], token_budget=4) == []


def test_length_batches_without_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="token_budget >= 1"):
        length_batches([1], token_budget=0)
