"""What a user may name as a model, turned into a folder: an asset, a local folder, a GGUF file or a hub id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from guard import assets
from guard.errors import ConfigError, DataError
from guard.generators.gguf import convert
from guard.generators.transformers import folder_digest, hub_snapshot

__all__ = ["ModelSource", "resolve"]

_PARTS = {
    "configuration": ("config.json",),
    "weights": ("*.safetensors", "*.bin"),
    "tokenizer": ("tokenizer.json", "tokenizer.model", "*.model", "vocab.json", "vocab.txt", "tokenizer_config.json"),
}


@dataclass(frozen=True)
class ModelSource:
    """A model that is here.

    Parameters
    ----------
    name : str
        As the user named it.
    folder : pathlib.Path
        With weights and tokenizer.
    digest : str
        SHA-256, in hex, over weights, tokenizer and configuration.
    """

    name: str
    folder: Path
    digest: str


def resolve(model: str) -> ModelSource:
    """Find a model, fetching or converting it first where it has to be.

    Parameters
    ----------
    model : str
        In this order: the name of an asset, a local folder, a GGUF file, a hub id.

    Raises
    ------
    ConfigError
        There is no such model.
    DataError
        A folder that lacks a part of a model, or a weight file that is broken.
    AssetError
        An asset that cannot be had.
    """
    folder = _folder(model)
    return ModelSource(model, folder, folder_digest(folder))


def _folder(model: str) -> Path:
    if not model.strip():
        raise ConfigError("the name of the model is empty; give an asset, a folder, a GGUF file or a hub id")
    if model in {asset.name for asset in assets.catalogue()}:
        found = assets.path(model)
        files = sorted(found.glob("*.gguf")) if found.is_dir() else [found]
        if not files:
            raise ConfigError(f"the asset {model!r} is no language model; see `assay assets list`")
        return convert(files[0])
    path = Path(model)
    try:
        is_dir, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{model[:80]!r} cannot be the path of a model ({error.__class__.__name__})") from error
    if is_dir:
        _check_whole(path)
        return path
    return convert(path) if is_file or path.suffix.lower() == ".gguf" else hub_snapshot(model)


def _check_whole(folder: Path) -> None:
    """Refuse what cannot be a model now, before another model has run for an hour."""
    for what, patterns in _PARTS.items():
        if not any(file for pattern in patterns for file in folder.glob(pattern)):
            raise DataError(f"{folder} is no model folder: it holds no {what} ({', '.join(patterns)})")
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="numpy"):  # reads the header and compares it with the size
                pass
        except (SafetensorError, OSError) as error:
            raise DataError(f"{file} is broken ({error}); get it again") from error
