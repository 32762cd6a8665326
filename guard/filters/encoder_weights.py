"""The weights of the encoder filter: the adapter merged into the frozen BERT, placed, and hashed for its name."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from guard.errors import FilterError
from guard.filters.bert import WORD_EMBEDDINGS
from guard.filters.row_file import RowFile

__all__ = ["device_of", "dtype_of", "merged", "placed", "weights_digest", "word_rows"]

_DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")
}


def word_rows(base: Path, device: torch.device) -> RowFile | None:
    """Return the word embeddings of a checkpoint as rows of its file; None where they are used from memory.

    That is beside a GPU, for weights that are not float32, and on systems that cannot read at a place.
    """
    if device.type != "cpu" or not hasattr(os, "preadv"):
        return None
    try:
        return RowFile(base / "model.safetensors", WORD_EMBEDDINGS)
    except ValueError:
        return None


def placed(name: str, value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Move a weight to where it is used; on a CPU the word embeddings stay mapped: few of their rows are ever read."""
    mapped = name == WORD_EMBEDDINGS and device.type == "cpu"
    return value if mapped else value.to(device, dtype, copy=True)


def merged(
    frozen: Iterable[tuple[str, Tensor]], adapter: Mapping[str, Tensor], *, names: Sequence[str], scale: float
) -> Iterator[tuple[str, Tensor]]:
    """Add ``scale * b @ a`` to the weight of every linear layer (Hu et al. 2022, LoRA, section 4.1), one at a time.

    A sum lasts until the next of its shape: what is yielded must be copied or cast. Sums of their own would leave
    twice as much memory behind, in holes, as the weights take.
    """
    missing = {f"{name}.weight" for name in names}
    sums: dict[torch.Size, Tensor] = {}
    for name, value in frozen:
        if name in missing:
            missing.discard(name)
            layer = name.removesuffix(".weight")
            one, other = adapter[f"lora.{layer}.b"].float(), adapter[f"lora.{layer}.a"].float()
            if value.shape not in sums:
                sums[value.shape] = torch.empty_like(value)
            value = torch.addmm(value, one, other, alpha=scale, out=sums[value.shape])
        yield name, value
    if missing:
        raise FilterError(f"the checkpoint lacks {min(missing)}: give a whole one")


@functools.lru_cache(maxsize=8)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """Hash a file once in a process; size and time of change tell a new file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_digest(base: Path, folder: Path, dtype: torch.dtype) -> str:
    """Hash everything that a score depends on, in 12 hexadecimal digits."""
    files = (
        folder / "encoder.safetensors",
        folder / "config.json",
        base / "model.safetensors",
        base / "tokenizer.json",
    )
    parts = [] if dtype == torch.float32 else [str(dtype)]
    for path in files:
        stat = path.stat()
        parts.append(_file_digest(path.resolve(), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def device_of(name: str) -> torch.device:
    """Resolve a device name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise FilterError(f"device {name!r} is unknown; give auto, cpu or cuda") from error


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """Resolve a dtype name."""
    if name == "auto":
        native, tiles = (
            bool(getattr(torch.cpu, probe, bool)()) for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
        # Chips without the instructions compute bfloat16 too, but slower than float32. On tiles a row would depend on
        # its batch, and chips that have tiles are slower in bfloat16 without them than in float32.
        return torch.bfloat16 if device.type == "cpu" and native and not tiles else torch.float32
    if name not in _DTYPES:
        raise FilterError(f"dtype {name!r} is unknown; give auto or one of {', '.join(_DTYPES)}")
    return _DTYPES[name]
