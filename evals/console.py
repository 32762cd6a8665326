"""How the command line speaks: errors in one line, tables, and text that a terminal cannot obey."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Collection
from typing import Any

import click

from guard.errors import AssayError

__all__ = ["Commands", "one_line", "shown", "table", "tell"]


class Commands(click.Group):
    """Turns errors that were raised on purpose into one line and their exit code; bugs keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AssayError as error:
            click.echo(f"assay: {one_line(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            hint = "; it goes on with --resume" if ctx.invoked_subcommand in ("attack", "audit", "finetune") else ""
            click.echo(f"assay: interrupted{hint}", err=True)
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            _lost(error)
            ctx.exit(4)
        except Exception:  # a bug of ours: with its traceback, but never with the exit code of a verdict
            traceback.print_exc()
            ctx.exit(4)


def _lost(error: OSError) -> None:
    """Say in one line what the system refused; a reader of the output that left needs no line."""
    if error.errno == errno.EPIPE:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    else:
        click.echo(f"assay: {one_line(str(error))}; check the path, the permissions and the space", err=True)


def one_line(text: str) -> str:
    """Join lines, and spell out what a terminal would obey."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in joined)


def table(head: list[str], rows: list[list[str]], *, whole: Collection[int] = (0, 1)) -> None:
    """Print a table as wide as the terminal; the cells of the columns in `whole` are never broken."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        drawn.add_column(name, no_wrap=number in whole, overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)


def shown(text: str) -> str:
    """Return `text` as it may be printed: on a terminal, what would steer it is spelt out."""
    from evals.report.visible import visible

    if sys.stdout.isatty():
        return visible(text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def tell(line: str) -> None:
    """Say something beside the output, on the error stream; nothing where the line is empty."""
    if line:
        click.echo(f"assay: {one_line(line)}", err=True)
