"""The weights of the encoder filter: the adapter merged into the frozen BERT, placed, and hashed for its name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from guard.errors import FilterError
from guard.filters.bert import WORD_EMBEDDINGS

__all__ = ["merged", "placed", "weights_digest"]


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
