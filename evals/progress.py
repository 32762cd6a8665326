"""Progress on long work: one bar a task with rate and time left, on the error stream, where that is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["Bars", "show_progress"]


class _Rate(ProgressColumn):
    """Samples a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class Bars:
    """The bars of one command.

    Parameters
    ----------
    progress : rich.progress.Progress
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar called `name`; a total of 0 is one that is not known."""
        if name not in self._known:
            # A run that goes on starts its clock here, so that what was done before does not count as speed.
            self._known[name] = self._progress.add_task(name, total=total or None, completed=done)
        self._progress.update(self._known[name], completed=done)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars away while something else is printed."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something of unknown length is going on."""
        task = self._progress.add_task(what, total=None)
        try:
            yield
        finally:
            self._progress.remove_task(task)


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Bars]:
    """Give bars for the length of a command; they are not drawn when `quiet` or when nobody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        yield Bars(progress)
