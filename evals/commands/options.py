"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import click

__all__ = ["DEVICE", "DTYPE", "POSITIVE", "batch_size", "filters"]

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
