"""What a run was made of: digests of code and packages, and the machine it ran on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from guard.numerics import has_tiles

__all__ = ["code_digest", "machine", "numerics", "package_versions"]

_PACKAGES = (
    *("confusable-homoglyphs", "detoxify", "numpy", "pyahocorasick", "scikit-learn", "scipy", "tokenizers", "torch"),
    "transformers",
)
_SHIPPED = (".py", ".toml", ".csv", ".json", ".safetensors", ".npz")


def code_digest() -> str:
    """Return the first 12 hex digits of the SHA-256 over the package's own code, tables and weights."""
    digest = hashlib.sha256()
    for name, file in sorted(_own_files()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _own_files() -> Iterable[tuple[str, Path]]:
    for package in ("guard", "evals"):
        root = Path(str(importlib.resources.files(package)))
        for file in root.rglob("*"):
            if file.suffix in _SHIPPED and "__pycache__" not in file.parts:
                yield f"{package}/{file.relative_to(root).as_posix()}", file


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures can depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def numerics() -> dict[str, str]:
    """Return what decides how sums on this processor are rounded."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "cpu": f"{capability} AMX" if has_tiles() else capability,
        "MKL_CBWR": os.environ.get("MKL_CBWR", "unset"),
        "ONEDNN_MAX_CPU_ISA": os.environ.get("ONEDNN_MAX_CPU_ISA", "unset"),
    }


def machine() -> dict[str, str]:
    """Return what a reader needs to know about the machine; no names of hosts or users."""
    return {"system": platform.system(), "processor": platform.machine()}
