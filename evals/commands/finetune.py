"""``assay finetune``: train a generator on your data (the default), a filter, or find the rows to label next."""

from __future__ import annotations

import click

from evals.commands.finetune_ethics import search
from evals.commands.finetune_filter import filter_
from evals.commands.finetune_generator import generator
from evals.commands.finetune_next import next_

__all__ = ["DefaultGroup", "finetune"]


class DefaultGroup(click.Group):
    """A group that takes one of its commands where none is named.

    Parameters
    ----------
    default : str
        Name of that command.

    Examples
    --------
    >>> group = DefaultGroup("greet", default="hello")
    >>> group.with_default(["--name", "Ada"])
    ['hello', '--name', 'Ada']
    >>> group.with_default(["--help"])
    ['--help']
    """

    def __init__(self, *arguments: object, default: str, **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]
        self.default = default

    def with_default(self, args: list[str]) -> list[str]:
        """Put the default command in front of arguments that name none."""
        named = bool(args) and (args[0] in self.commands or args[0] in ("-h", "--help"))
        # A first word that is no option is a command that was mistyped: it is left for the message that says so.
        return args if named or (args and not args[0].startswith("-")) else [self.default, *args]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, the default command filled in."""
        return super().parse_args(ctx, self.with_default(args))


@click.group(cls=DefaultGroup, default="generator")
def finetune() -> None:
    """Train on your data. Without a command: `generator` (see `assay finetune generator --help`)."""


finetune.add_command(generator)
finetune.add_command(filter_)
finetune.add_command(next_)
finetune.add_command(search)
