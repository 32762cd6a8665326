"""Curves of a run: always as CSV, and where they are installed for TensorBoard and Weights & Biases."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from guard.errors import ConfigError, OutputError

__all__ = ["TRACKERS", "Curves", "Tracker", "read_curves", "trackers"]

TRACKERS = ("tensorboard", "wandb")

_COLUMNS = ("step", "kind", "name", "value")


class Tracker(Protocol):
    """Takes down numbers of a run as it goes."""

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Take down the numbers of a step; `kind` is ``train`` or ``validation``."""

    def close(self) -> None:
        """Write what is still held."""


class Curves:
    """Numbers as CSV: step, kind, name and value; what a run that goes on will make again is taken out.

    Parameters
    ----------
    file : pathlib.Path
    start : int
        Step that the run goes on from; 0 for a new one.

    Raises
    ------
    OutputError
        It cannot be written.
    """

    def __init__(self, file: Path, *, start: int) -> None:
        kept = [row for row in read_curves(file) if int(row["step"]) <= start] if file.exists() else []
        self._file, self._lines = file, 0
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        scratch = file.with_suffix(".tmp")
        with _told(file):
            scratch.write_text(text.getvalue(), encoding="utf-8", newline="")
            os.replace(scratch, file)
            self._handle = file.open("a", encoding="utf-8", newline="")
        self._known = {(int(row["step"]), row["kind"], row["name"]) for row in kept}

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Append the numbers of a step; those of one that is there already are left out."""
        writer = csv.writer(self._handle)
        with _told(self._file):
            for name, value in values.items():
                if (step, kind, name) not in self._known:
                    writer.writerow((step, kind, name, repr(float(value))))
            self._handle.flush()

    def close(self) -> None:
        """Close the file."""
        with _told(self._file):
            self._handle.close()


class _told:  # noqa: N801 - reads as a statement
    """Turns an error of the system into one of ours."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise OutputError(
                f"cannot write {self._file} ({error.strerror}): make room, and go on with --resume"
            ) from error


def read_curves(file: Path) -> list[dict[str, str]]:
    """Return the whole rows of a file of curves; a kill may have torn the last."""
    content = file.read_text(encoding="utf-8")
    whole = content[: content.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if row.get("value")]


class _TensorBoard:
    """Event files in the run's folder."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """A run of Weights & Biases; offline where the user's own settings say so."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        self._run.log({f"{kind}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


def trackers(
    names: Sequence[str],
    folder: Path,
    *,
    start: int,
    settings: Mapping[str, object],
    tell: Callable[[str], None] = lambda line: None,
) -> list[Tracker]:
    """Return what takes the curves down.

    Parameters
    ----------
    names : sequence of str
        Of :data:`TRACKERS`, beside the CSV file that is always written.
    folder : pathlib.Path
        Of the run.
    start : int
        Step that the run goes on from.
    settings : mapping
        Of the run, for the trackers that show them.
    tell : callable
        Gets a line about each tracker that is not installed; the run goes on without it.

    Raises
    ------
    ConfigError
        A name that is not known.
    """
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise ConfigError(f"tracker {unknown[0]!r} is not known: give {' or '.join(TRACKERS)}")
    made: list[Tracker] = [Curves(folder / "curves.csv", start=start)]
    for name in names:
        found = _tensorboard(folder, start) if name == "tensorboard" else _wandb(folder, settings)
        if found is None:
            extra = "pip install 'assay[train]'" if name == "tensorboard" else "pip install wandb"
            tell(f"{name} is not installed ({extra}): the curves are in curves.csv and in report.html")
        else:
            made.append(found)
    return made


def _tensorboard(folder: Path, start: int) -> Tracker | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    # What was written after the state that the run goes on from is not shown.
    return _TensorBoard(SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1 if start else None))


def _wandb(folder: Path, settings: Mapping[str, object]) -> Tracker | None:
    try:
        import wandb
    except ImportError:
        return None
    return _WeightsAndBiases(
        wandb.init(
            project=os.environ.get("WANDB_PROJECT", "assay-finetune"),
            name=folder.name,
            dir=str(folder),
            config=dict(settings),
        )
    )
