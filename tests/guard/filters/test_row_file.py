from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from guard.filters.row_file import RowFile

TABLE = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> RowFile:
    path = tmp_path_factory.mktemp("rows") / "model.safetensors"
    tensors = {"a": torch.ones(3, dtype=torch.int64), "table": TABLE, "z": torch.zeros(2, 2).half()}
    save_file(tensors, path, metadata={"format": "pt"})
    return RowFile(path, "table")


@given(ids=st.lists(st.lists(st.integers(0, 49), min_size=3, max_size=3), max_size=20))
def test_rows_are_those_of_the_matrix(rows: RowFile, ids: list[list[int]]) -> None:
    asked = torch.tensor(ids, dtype=torch.int64).reshape(-1, 3)
    assert torch.equal(rows[asked], TABLE[asked])


def test_shape_is_that_of_the_matrix(rows: RowFile) -> None:
    assert rows.shape == (50, 7)


@pytest.mark.parametrize("row", [-1, 50])
def test_a_row_that_is_not_there_is_refused(rows: RowFile, row: int) -> None:
    with pytest.raises(IndexError, match=f"row {row} of 50"):
        _ = rows[torch.tensor([3, row])]


@pytest.mark.parametrize("name", ["a", "z", "nothing"])
def test_other_tensors_are_refused(tmp_path: Path, name: str) -> None:
    save_file({"a": torch.ones(3), "z": torch.zeros(2, 2).half()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"no float32 matrix '{name}'"):
        RowFile(tmp_path / "model.safetensors", name)


def test_a_file_that_was_cut_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"table": TABLE}, path)
    rows = RowFile(path, "table")
    os.truncate(path, path.stat().st_size - 8)
    assert torch.equal(rows[torch.tensor([0])], TABLE[:1])
    with pytest.raises(OSError, match="row 49 is cut off"):
        _ = rows[torch.tensor([49])]


def test_a_file_that_was_replaced_or_deleted_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"table": TABLE}, path)
    rows = RowFile(path, "table")
    path.unlink()
    assert torch.equal(rows[torch.tensor([7])], TABLE[7:8])


def test_the_file_is_closed_with_the_last_user(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"table": TABLE}, path)
    rows = RowFile(path, "table")
    file = rows._file
    assert os.fstat(file).st_size == path.stat().st_size
    del rows
    gc.collect()
    with contextlib.suppress(OSError):
        assert os.fstat(file).st_ino != path.stat().st_ino  # the number may be in use again
