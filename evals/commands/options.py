"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from guard.errors import ConfigError

if TYPE_CHECKING:
    from evals.tasks.own import OwnSettings
    from guard.generators.table import GeneratorOptions

__all__ = [
    "DEVICE",
    "DTYPE",
    "POSITIVE",
    "batch_size",
    "endpoint_options",
    "filters",
    "generator_options",
    "own_options",
    "own_settings",
]

POSITIVE = click.IntRange(min=1)

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Decorator(Protocol):
    """What adds an option to a command."""

    def __call__(self, command: _Command, /) -> _Command:
        """Return the command with the option."""


DEVICE: Decorator = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
DTYPE: Decorator = click.option(
    "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="auto", show_default=True
)


def filters(*default: str, help: str = "Filter, as NAME or NAME:ARGUMENT. Repeat for several.") -> Decorator:  # noqa: A002
    """Return the option ``--filter``, which may be repeated."""
    return click.option("--filter", "filters", multiple=True, default=default, show_default=True, help=help)


def batch_size(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """Read ``auto`` as None, and a number of at least 1."""
    if value == "auto":
        return None
    if not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a number of at least 1")
    return int(value)


_ENDPOINT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--base-url", {"metavar": "URL", "help": "Of openai:MODEL; default: OPENAI_BASE_URL, or OpenAI's own."}),
    ("--key-env", {"metavar": "NAME", "help": "Environment variable with the endpoint's key."}),
    (
        "--api",
        {
            "type": click.Choice(["chat", "completions", "auto"]),
            "default": "chat",
            "show_default": True,
            "help": "Interface of the endpoint; auto continues raw text where a task does.",
        },
    ),
    ("--concurrency", {"type": POSITIVE, "default": 8, "show_default": True, "help": "Requests at once."}),
    ("--tries", {"type": POSITIVE, "default": 6, "show_default": True, "help": "Requests for one output."}),
    ("--timeout", {"type": float, "default": 120.0, "show_default": True, "help": "Seconds for one request."}),
    ("--deadline", {"type": float, "default": 600.0, "show_default": True, "help": "Seconds for one output."}),
    ("--rpm", {"type": float, "help": "Most requests a minute."}),
    ("--tpm", {"type": float, "help": "Most tokens a minute."}),
    ("--price-in", {"type": float, "help": "Price of a million tokens read, for the cost in the report."}),
    ("--price-out", {"type": float, "help": "Price of a million tokens written."}),
    ("--currency", {"default": "USD", "show_default": True, "help": "Of both prices."}),
)


def endpoint_options(command: _Command) -> _Command:
    """Add the options of models behind an endpoint to a command."""
    for name, settings in reversed(_ENDPOINT):
        command = click.option(name, **settings)(command)
    return command


def generator_options(options: dict[str, Any]) -> GeneratorOptions:
    """Take the options of :func:`endpoint_options` out of all the options of a command.

    Raises
    ------
    ConfigError
        A number that means nothing, or one price without the other.
    """
    from guard.generators.endpoint_costs import Price
    from guard.generators.endpoint_retries import Limits
    from guard.generators.table import GeneratorOptions

    took = {name[2:].replace("-", "_"): options.pop(name[2:].replace("-", "_")) for name, _ in _ENDPOINT}
    prices = (took["price_in"], took["price_out"])
    if prices.count(None) == 1:
        raise ConfigError("give both --price-in and --price-out, or neither")
    return GeneratorOptions(
        device=options["device"],
        dtype=options["dtype"],
        batch_size=options["batch_size"],
        base_url=took["base_url"],
        key_env=took["key_env"],
        endpoint={"api": took["api"]},
        limits=Limits(
            concurrency=took["concurrency"],
            tries=took["tries"],
            timeout_s=took["timeout"],
            deadline_s=took["deadline"],
            requests_per_minute=took["rpm"],
            tokens_per_minute=took["tpm"],
        ),
        price=None if None in prices else Price(*prices, took["currency"]),
    )


_COLUMNS = ("prompt", "reference", "group", "harmful", "system")


def own_options(command: _Command) -> _Command:
    """Add the columns of a data set of the user's own to a command."""
    for role in reversed(_COLUMNS):
        default = "prompt" if role == "prompt" else None
        option = click.option(f"--{role}-column", metavar="NAME", default=default, help=f"Column of --data: {role}.")
        command = option(command)
    return command


def own_settings(data: str | None, options: dict[str, Any]) -> OwnSettings | None:
    """Take the options of :func:`own_options` out of all the options of a command.

    Raises
    ------
    ConfigError
        A column without a data set.
    """
    columns: dict[str, Any] = {f"{role}_column": options.pop(f"{role}_column") or "" for role in _COLUMNS}
    if data is None:
        named = [key for key, value in columns.items() if value and key != "prompt_column"]
        if named:
            raise ConfigError(f"--{named[0].replace('_', '-')} names a column of --data, which is not given")
        return None
    from evals.tasks.own import OwnSettings

    return OwnSettings(file=data, **columns)
