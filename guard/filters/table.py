"""The one table from the names of filters, as people write them, to the filters."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from guard import assets
from guard.errors import ConfigError
from guard.schema import Filter

__all__ = ["DEFAULT_FILTERS", "filter_names", "load_filter"]

DEFAULT_FILTERS = ("lexical", "encoder")
"""What the standard policy is written for."""

_GROUP = "assay.filters"


def _lexical(argument: str | None, _device: str) -> Filter[str]:
    from guard.filters.lexical import LexicalFilter

    if argument is not None:
        return LexicalFilter.from_toml(argument)
    return LexicalFilter.from_asset(assets.path("profanity"))


def _encoder(argument: str | None, device: str) -> Filter[str]:
    from guard.filters.encoder import EncoderFilter

    return EncoderFilter.load(weights=_there(argument, "encoder"), device=device)


def _detoxify(argument: str | None, device: str) -> Filter[str]:
    from guard.filters.detoxify import DetoxifyFilter

    return DetoxifyFilter.load(_there(argument, "detoxify"), device="cpu" if device == "auto" else device)


def _there(argument: str | None, name: str) -> Path | None:
    if argument is None:
        return None
    if not Path(argument).exists():
        raise ConfigError(f"filter {name}:{argument}: there is no {argument}; give the path of its weights")
    return Path(argument)


_LOADERS: Mapping[str, Callable[[str | None, str], Filter[str]]] = MappingProxyType(
    {"detoxify": _detoxify, "encoder": _encoder, "lexical": _lexical}
)


def filter_names() -> tuple[str, ...]:
    """Return the names that :func:`load_filter` knows, those of other distributions included."""
    others = {entry.name for entry in importlib.metadata.entry_points(group=_GROUP)}
    return tuple(sorted({*_LOADERS, *others}))


def load_filter(spec: str, *, device: str = "auto") -> Filter[str]:
    """Load a filter by name.

    Parameters
    ----------
    spec : str
        ``encoder``, ``lexical`` or ``detoxify``, or ``name:argument``: a folder of weights for the encoder, a TOML
        word list for lexical, a checkpoint for Detoxify. Other distributions add names by the entry point group
        ``assay.filters``: a callable without arguments that returns a filter.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        No filter of this name; the nearest is named.
    """
    name, _, argument = spec.partition(":")
    if name in _LOADERS:
        return _LOADERS[name](argument or None, device)
    for entry in importlib.metadata.entry_points(group=_GROUP):
        if entry.name == name:
            return _checked(_made(entry), name)
    near = difflib.get_close_matches(name, filter_names(), n=1, cutoff=0.0)
    raise ConfigError(f"unknown filter {name!r}; did you mean {near[0]!r}? (known: {', '.join(filter_names())})")


def _made(entry: importlib.metadata.EntryPoint) -> object:
    try:
        return entry.load()()
    except Exception as error:
        raise ConfigError(f"filter {entry.name} of {entry.value} cannot be made: {error!r}") from error


def _checked(made: object, name: str) -> Filter[str]:
    if not isinstance(made, Filter):
        raise ConfigError(f"the entry point {name!r} gave {type(made).__name__}, which is no filter")
    return made
