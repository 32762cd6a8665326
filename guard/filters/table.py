"""The one table from the names of filters, as people write them, to the filters."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from guard import assets
from guard.errors import ConfigError
from guard.schema import Filter, Stage

__all__ = ["DEFAULT_FILTERS", "filter_names", "load_filter", "load_stages"]

DEFAULT_FILTERS = ("lexical", "ngram", "encoder", "pii", "secrets")
"""What the standard policy is written for."""

_GROUP = "assay.filters"


@dataclass(frozen=True)
class _Order:
    """What is asked for: the part of the name after the colon, a device and a stage."""

    name: str
    argument: str | None
    device: str
    stage: Stage


def _lexical(order: _Order) -> Filter[str]:
    from guard.filters.lexical import LexicalFilter

    if order.argument is not None:
        return LexicalFilter.from_toml(order.argument)
    return LexicalFilter.from_asset(assets.path("profanity"))


def _regex(order: _Order) -> Filter[str]:
    from guard.filters.callable import RegexFilter

    return RegexFilter.from_toml(_required(order, "a TOML file of patterns"))


def _encoder(order: _Order) -> Filter[str]:
    from guard.filters.encoder import EncoderFilter

    return EncoderFilter.load(weights=_there(order), device=order.device)


def _ngram(order: _Order) -> Filter[str]:
    from guard.filters.ngram import NgramFilter

    languages = (order.argument or "zh").split(",")
    return NgramFilter.load(languages=cast(Any, languages))


def _detoxify(order: _Order) -> Filter[str]:
    from guard.filters.detoxify import DetoxifyFilter

    return DetoxifyFilter.load(_there(order), device="cpu" if order.device == "auto" else order.device)


def _pii(order: _Order) -> Filter[str]:
    from guard.filters.pii import PiiFilter

    made = PiiFilter(names=order.argument or False)
    made.prepare()
    return made


def _secrets(order: _Order) -> Filter[str]:
    from guard.filters.secrets import SecretsFilter

    if order.argument is not None:
        raise ConfigError(f"filter secrets:{order.argument}: secrets takes no argument")
    return SecretsFilter()


def _domain(order: _Order) -> Filter[str]:
    from guard.filters.domain import DomainFilter

    return DomainFilter(_there(order))


def _transformer(order: _Order) -> Filter[str]:
    from guard.filters.transformer import TransformerFilter

    return TransformerFilter.load(_required(order, "a folder or hub id"), device=order.device)


def _generative(order: _Order) -> Filter[str]:
    from guard.filters.generative import GenerativeGuardFilter

    source = _required(order, "a folder or hub id")
    return GenerativeGuardFilter.load(order.name, source, stage=order.stage, device=order.device)


def _required(order: _Order, what: str) -> str:
    if order.argument is None:
        raise ConfigError(f"filter {order.name} needs {what}: give {order.name}:ARGUMENT")
    return order.argument


def _there(order: _Order) -> Path | None:
    if order.argument is None:
        return None
    if not Path(order.argument).exists():
        what = f"filter {order.name}:{order.argument}"
        raise ConfigError(f"{what}: there is no {order.argument}; give the path of its weights")
    return Path(order.argument)


_GENERATIVE = ("granite-guardian", "llama-guard", "qwen3guard", "shieldgemma")
"""Kinds that judge prompts and outputs in different words, and so are loaded for one of them."""

_LOADERS: Mapping[str, Callable[[_Order], Filter[str]]] = MappingProxyType(
    {
        "detoxify": _detoxify,
        "domain": _domain,
        "encoder": _encoder,
        "lexical": _lexical,
        "ngram": _ngram,
        "pii": _pii,
        "regex": _regex,
        "secrets": _secrets,
        "transformer": _transformer,
        **dict.fromkeys(_GENERATIVE, _generative),
    }
)


def filter_names() -> tuple[str, ...]:
    """Return the names that :func:`load_filter` knows, those of other distributions included."""
    others = {entry.name for entry in importlib.metadata.entry_points(group=_GROUP)}
    return tuple(sorted({*_LOADERS, *others}))


def load_filter(spec: str, *, device: str = "auto", stage: Stage = "input") -> Filter[str]:
    """Load a filter by name.

    Parameters
    ----------
    spec : str
        ``name`` or ``name:argument``: a folder of weights for ``encoder`` and ``detoxify``, a TOML file for
        ``lexical``, ``regex`` and ``domain``, languages for ``ngram`` (``ngram:en,zh``; Chinese alone by default), a
        spaCy model of names and places for ``pii``, a folder or hub id for ``transformer`` and the generative guards
        (``llama-guard``, ``shieldgemma``, ``granite-guardian``, ``qwen3guard``). Other distributions add names by the
        entry point group ``assay.filters``: a callable without arguments that returns a filter.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    stage : {"input", "output"}
        What a generative guard is asked about; the others judge both alike.

    Raises
    ------
    ConfigError
        No filter of this name; the nearest is named.
    """
    name, _, argument = spec.partition(":")
    if name in _LOADERS:
        return _LOADERS[name](_Order(name, argument or None, device, stage))
    for entry in importlib.metadata.entry_points(group=_GROUP):
        if entry.name == name:
            return _checked(_made(entry), name)
    near = difflib.get_close_matches(name, filter_names(), n=1, cutoff=0.0)
    raise ConfigError(f"unknown filter {name!r}; did you mean {near[0]!r}? (known: {', '.join(filter_names())})")


def load_stages(specs: Sequence[str], *, device: str = "auto") -> tuple[list[Filter[str]], list[Filter[str]]]:
    """Load filters for prompts and for outputs: the same objects, except for those that judge the two in other words.

    Parameters
    ----------
    specs : sequence of str
    device : str

    Returns
    -------
    inputs, outputs : list of Filter

    Raises
    ------
    ConfigError
        As :func:`load_filter`.
    """
    inputs = [load_filter(spec, device=device) for spec in specs]
    outputs = [
        load_filter(spec, device=device, stage="output") if spec.partition(":")[0] in _GENERATIVE else loaded
        for spec, loaded in zip(specs, inputs, strict=True)
    ]
    return inputs, outputs


def _made(entry: importlib.metadata.EntryPoint) -> object:
    try:
        return entry.load()()
    except Exception as error:
        raise ConfigError(f"filter {entry.name} of {entry.value} cannot be made: {error!r}") from error


def _checked(made: object, name: str) -> Filter[str]:
    if not isinstance(made, Filter):
        raise ConfigError(f"the entry point {name!r} gave {type(made).__name__}, which is no filter")
    return made
