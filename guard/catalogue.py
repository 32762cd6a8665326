"""The records of the asset catalogue, and the strict reading of it from TOML."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from guard.errors import ConfigError
from guard.wheels import Wheel

__all__ = ["Asset", "AssetFile", "read_catalogue"]


@dataclass(frozen=True)
class AssetFile:
    """One file of an asset.

    Parameters
    ----------
    path : str
        Where it is placed, relative to the asset's folder, with forward slashes.
    sha256 : str
        Of the placed file, in hexadecimal.
    members : tuple of str
        Names inside the asset's wheels; more than one are joined in this order.
    """

    path: str
    sha256: str
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a path that would leave the asset's folder."""
        parts = PurePosixPath(self.path).parts
        if not parts or self.path.startswith("/") or ".." in parts or "\\" in self.path or ":" in self.path:
            raise ConfigError(
                f"the catalogue places a file at {self.path!r}: it must be a relative path inside the asset"
            )


@dataclass(frozen=True)
class Asset:
    """What can be pulled by name.

    Parameters
    ----------
    name : str
    kind : str
        ``model``, ``encoder``, ``prompts``, ``labels``, ``words`` or ``corpus``.
    what : str
        One sentence for people.
    licence : str
        Of the data, as its publisher states it.
    source : str
        Where the data came from before it was put into a wheel.
    wheels : tuple of Wheel
    files : tuple of AssetFile
    entry : str
        The file that :func:`guard.assets.path` returns; empty returns the folder.
    """

    name: str
    kind: str
    what: str
    licence: str
    source: str
    wheels: tuple[Wheel, ...]
    files: tuple[AssetFile, ...]
    entry: str = ""

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over the paths and hashes of the files in order of their paths."""
        lines = sorted(f"{file.path}\0{file.sha256}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_catalogue(file: Path) -> tuple[Asset, ...]:
    """Read a catalogue.

    Parameters
    ----------
    file : pathlib.Path
        TOML: a table ``wheel.<package>`` of version and sha256, and an array ``asset`` of tables.

    Raises
    ------
    ConfigError
        Not TOML, a key that is missing or unknown, or a path that would leave the asset's folder.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        pins = {name: Wheel(name, **pin) for name, pin in table["wheel"].items()}
        return tuple(_asset(entry, pins) for entry in table["asset"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is not a catalogue of assets: {error}") from error


def _asset(entry: dict[str, Any], pins: Mapping[str, Wheel]) -> Asset:
    files = tuple(AssetFile(row["path"], row["sha256"], tuple(row["members"])) for row in entry["files"])
    wheels = tuple(pins[name] for name in entry["wheels"])
    return Asset(**{**entry, "files": files, "wheels": wheels})
