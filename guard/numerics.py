"""What this processor does to sums: whether a row of a bfloat16 product depends on the rows beside it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["has_tiles"]


def has_tiles(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether bfloat16 products run on AMX tiles, whose sums depend on the number of rows.

    Parameters
    ----------
    cpu_info : pathlib.Path
        What the kernel says of the processor; a system without it has none, as far as we can tell.

    Notes
    -----
    ``ONEDNN_MAX_CPU_ISA`` in the environment, set before PyTorch is loaded, can leave them out: see
    ``docs/design/determinism.md``.
    """
    named = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if named and named not in ("ALL", "DEFAULT") and "AMX" not in named:
        return False
    try:
        flags = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return " amx_bf16" in flags
