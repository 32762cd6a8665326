"""``assay harden``: attack, train against the attacks, attack again, with before and after side by side."""

from __future__ import annotations

import click

from evals.commands.harden_filter import filter_
from evals.commands.harden_generator import generator
from evals.commands.harden_guard import guard

__all__ = ["harden"]


@click.group()
def harden() -> None:
    """Harden a filter or a generator, and show what that changed."""


harden.add_command(filter_)
harden.add_command(generator)
harden.add_command(guard)
