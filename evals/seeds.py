"""Seeds of samples: a function of the run's seed and the sample's id, whatever else is in the run."""

from __future__ import annotations

import hashlib

__all__ = ["sample_seed"]


def sample_seed(seed: int, sample_id: str) -> int:
    """Return the seed of a sample, in [0, 2**31)."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest()[:4], "big") >> 1
