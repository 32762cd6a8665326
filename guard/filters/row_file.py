"""Rows of a matrix in a safetensors file, read when they are asked for, so that the others take no memory."""

from __future__ import annotations

import json
import os
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["RowFile"]

_PREFIX = 8  # bytes of the length of the header, little-endian


class RowFile:
    """A float32 matrix that stays in its file.

    A mapping of the file would do the same but for what Linux adds: a page that is touched brings the fifteen beside it
    where they are cached, which makes of every forty words of a text the whole table of a vocabulary.

    Parameters
    ----------
    path : Path
        A safetensors file.
    name : str
        Of the matrix in it.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file has no float32 matrix of this name.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        header = json.loads(os.pread(self._file, self._header_bytes(), _PREFIX))
        entry = header.get(name, {})
        if entry.get("dtype") != "F32" or len(entry["shape"]) != 2:
            raise ValueError(f"{path} has no float32 matrix {name!r}: it has {entry or 'none of this name'}")
        self.shape: tuple[int, int] = (int(entry["shape"][0]), int(entry["shape"][1]))
        self._start = _PREFIX + self._header_bytes() + int(entry["data_offsets"][0])

    def _header_bytes(self) -> int:
        return int.from_bytes(os.pread(self._file, _PREFIX, 0), "little")

    def __getitem__(self, ids: Tensor) -> Tensor:
        """Read rows.

        Parameters
        ----------
        ids : Tensor
            int64, of any shape, in [0, n_rows).

        Returns
        -------
        Tensor
            float32, shape (*ids.shape, n_columns).

        Raises
        ------
        IndexError
            There is no such row.
        OSError
            The file has become shorter.
        """
        wanted, places = torch.unique(ids, return_inverse=True)
        rows = np.empty((len(wanted), self.shape[1]), dtype="<f4")
        size = rows.itemsize * self.shape[1]
        for place, row in enumerate(wanted.tolist()):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"row {row} of {self.shape[0]}")
            if os.preadv(self._file, [rows[place].data], self._start + row * size) != size:
                raise OSError(f"row {row} is cut off: the file has changed")
        return torch.from_numpy(rows)[places]
