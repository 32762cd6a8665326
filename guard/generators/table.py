"""The one table from the names of models, as people write them, to generators that an audit can run."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from guard.errors import ConfigError
from guard.generators.endpoint_costs import Price
from guard.generators.endpoint_link import OPENAI_URL, is_openai_url
from guard.generators.endpoint_requests import Endpoint
from guard.generators.endpoint_retries import Limits
from guard.generators.failures import one_line
from guard.schema import Decoding, Generator

if TYPE_CHECKING:
    from guard.generators.source import ModelSource

__all__ = ["FoundGenerator", "GeneratorOptions", "RunnableModel", "find_generator"]

_GROUP = "assay.generators"


class RunnableModel(Protocol):
    """A model in memory that can decode in several ways."""

    batch_size: int

    @property
    def name(self) -> str:
        """``<kind>@<digest>``."""

    def with_decoding(self, decoding: Decoding) -> Generator[str]:
        """Return a generator on the same model."""


@dataclass(frozen=True)
class GeneratorOptions:
    """How models are loaded and endpoints are asked.

    Parameters
    ----------
    device, dtype : str
    batch_size : int or None
    base_url : str or None
        Of ``openai:MODEL``; None takes ``OPENAI_BASE_URL``, or else OpenAI's own.
    key_env : str or None
        The environment variable with the key. None takes ``OPENAI_API_KEY`` for ``openai:MODEL`` and for the URL that
        stands in ``OPENAI_BASE_URL``, and ``ASSAY_ENDPOINT_KEY`` for any other: a key goes only where it belongs.
    endpoint : mapping
        Further settings of :class:`Endpoint`: ``api``, ``system``, ``length_field``, ``omit``, ``extra``.
    limits : Limits
    price : Price or None
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    base_url: str | None = None
    key_env: str | None = None
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    price: Price | None = None


@dataclass(frozen=True)
class FoundGenerator:
    """A generator that was found, not yet in memory.

    Parameters
    ----------
    name : str
        As the user named it.
    digest : str
        What its ``name`` will be: ``<kind>@<digest>``.
    load : callable
        Brings it into memory.
    notes : tuple of str
        What a reader of its figures must know.
    source : ModelSource or None
        The folder, where it has one.
    price : Price or None
        What its tokens cost, where it is behind an endpoint and the user said so.
    """

    name: str
    digest: str
    load: Callable[[], RunnableModel]
    notes: tuple[str, ...] = ()
    source: ModelSource | None = None
    price: Price | None = None


def find_generator(spec: str, options: GeneratorOptions | None = None) -> FoundGenerator:
    """Find a generator by the name that a user gives it; nothing large is loaded yet.

    Parameters
    ----------
    spec : str
        ``endpoint:URL#MODEL``, ``openai:MODEL``, ``vllm:MODEL``, ``python:package.module:function``, the name of an
        entry point of the group ``assay.generators``, with or without ``:ARGUMENT``; else a model for Transformers: an
        asset, a folder, a GGUF file or a hub id.
    options : GeneratorOptions, optional

    Raises
    ------
    ConfigError
        There is no such thing.
    DataError, AssetError
        A folder or an asset that is broken.
    """
    options = options or GeneratorOptions()
    kind, colon, argument = spec.partition(":")
    if colon and kind in _FINDERS:
        return _FINDERS[kind](spec, argument, options)
    entries = {entry.name: entry for entry in importlib.metadata.entry_points(group=_GROUP)}
    if kind in entries:
        return _of_entry_point(spec, entries[kind], argument, options)
    near = difflib.get_close_matches(kind, [*_FINDERS, *entries], n=1, cutoff=0.7)
    if colon and near and not Path(spec).exists():
        raise ConfigError(f"unknown kind of model {kind[:40]!r}; did you mean {near[0]}:...?")
    return _of_weights(spec, spec, options, kind="transformers")


def _of_endpoint(spec: str, argument: str, options: GeneratorOptions) -> FoundGenerator:
    url, mark, model = argument.partition("#")
    if not mark:
        raise ConfigError(
            "an endpoint is named endpoint:URL#MODEL, for example endpoint:http://localhost:8000/v1#llama"
        )
    return _of_url(spec, url, model, options, own_key="OPENAI_API_KEY" if is_openai_url(url) else "ASSAY_ENDPOINT_KEY")


def _of_openai(spec: str, argument: str, options: GeneratorOptions) -> FoundGenerator:
    url = options.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return _of_url(spec, url, argument, options, own_key="OPENAI_API_KEY")


def _of_url(spec: str, url: str, model: str, options: GeneratorOptions, *, own_key: str) -> FoundGenerator:
    from guard.generators.endpoint import EndpointGenerator

    try:
        endpoint = Endpoint(url, model, **options.endpoint)
    except TypeError as error:
        raise ConfigError(f"unknown setting of an endpoint ({one_line(error)})") from error
    load = partial(
        EndpointGenerator,
        endpoint,
        key=_key(options.key_env, own_key),
        limits=options.limits,
        price=options.price,
        batch_size=options.batch_size,
    )
    notes = _endpoint_notes(spec, endpoint)
    return FoundGenerator(spec, load().name, load, notes, price=options.price)  # opens no connection yet


def _key(asked: str | None, own: str) -> str | None:
    """Read the key; an endpoint of one's own may have none."""
    key = os.environ.get(asked or own) or None
    if asked is not None and key is None:
        raise ConfigError(f"the environment has no {asked}, which was named for the key of the endpoint: set it")
    return key


def _endpoint_notes(name: str, endpoint: Endpoint) -> tuple[str, ...]:
    """Say what the figures of an endpoint are figures of."""
    notes = [
        f"Model {name}: the figures are of whatever {endpoint.base_url} served as {endpoint.model} during the run; its"
        " weights cannot be named. It does not promise the same answer to the same prompt and seed, so the journal"
        " repeats this report, and another run may not."
    ]
    if endpoint.api == "chat":
        notes.append(
            f"Model {name}: it was asked through its chat interface only, so where a task continues a raw text the text"
            " was sent as a user's message, and figures of that task do not compare with those of raw continuation."
        )
    return tuple(notes)


def _of_function(spec: str, argument: str, options: GeneratorOptions) -> FoundGenerator:
    from guard.generators.function import FunctionGenerator

    load = partial(FunctionGenerator.find, argument, batch_size=options.batch_size)
    note = (
        f"Model {spec}: a function. Its digest covers the file that it stands in, not what that file imports or calls;"
        " the journal repeats this report, and another run may not."
    )
    return FoundGenerator(spec, load().name, load, (note,))


def _of_vllm(spec: str, argument: str, options: GeneratorOptions) -> FoundGenerator:
    return _of_weights(spec, argument, options, kind="vllm")


def _of_weights(spec: str, model: str, options: GeneratorOptions, *, kind: str) -> FoundGenerator:
    from guard.generators.source import resolve

    source = resolve(model)
    return FoundGenerator(spec, f"{kind}@{source.digest[:12]}", partial(_LOADERS[kind], source, options), source=source)


def _load_transformers(source: ModelSource, options: GeneratorOptions) -> RunnableModel:
    from guard.generators.transformers import TransformersGenerator

    return TransformersGenerator.load(
        source.folder,
        device=options.device,
        dtype=options.dtype,
        batch_size=options.batch_size,
        digest=source.digest,
    )


def _load_vllm(source: ModelSource, options: GeneratorOptions) -> RunnableModel:
    from guard.generators.vllm import VllmGenerator

    return VllmGenerator.load(source.folder, digest=source.digest, dtype=options.dtype, batch_size=options.batch_size)


def _of_entry_point(
    spec: str, entry: importlib.metadata.EntryPoint, argument: str, options: GeneratorOptions
) -> FoundGenerator:
    try:
        made = entry.load()(*([argument] if argument else []))
    except Exception as error:  # other people's code
        raise ConfigError(f"generator {spec} of {entry.value} cannot be made: {one_line(repr(error))}") from error
    if not isinstance(made, Generator):
        raise ConfigError(f"the entry point {entry.name!r} gave {type(made).__name__}, which is no generator")
    model: Any = made if hasattr(made, "with_decoding") and hasattr(made, "batch_size") else _AsItIs(made, options)
    return FoundGenerator(spec, made.name, lambda: model)


class _AsItIs:
    """A generator that decodes in its own one way."""

    def __init__(self, generator: Generator[str], options: GeneratorOptions) -> None:
        self.batch_size = options.batch_size or 32
        self._generator = generator

    @property
    def name(self) -> str:
        """The name of the generator inside."""
        return self._generator.name

    def with_decoding(self, _decoding: Decoding) -> Generator[str]:
        """Return the generator: it cannot decode otherwise."""
        return self._generator

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> Sequence[str]:
        """Ask the generator inside."""
        return self._generator.generate(prompts, seed=seed)


_LOADERS: Mapping[str, Callable[[ModelSource, GeneratorOptions], RunnableModel]] = MappingProxyType(
    {"transformers": _load_transformers, "vllm": _load_vllm}
)
_FINDERS: Mapping[str, Callable[[str, str, GeneratorOptions], FoundGenerator]] = MappingProxyType(
    {"endpoint": _of_endpoint, "openai": _of_openai, "python": _of_function, "vllm": _of_vllm}
)
