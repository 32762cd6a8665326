"""Which files are wanted beside the report: the options that name them, and refusing what could not be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from guard.errors import ConfigError, DataError

if TYPE_CHECKING:  # a command line that only parses must not load what writes
    from evals.report.summary import NewlyFailing
    from evals.schema import Report

__all__ = ["Formats", "Inputs", "format_options", "own_file", "sample_format"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Formats:
    """Where each format goes; None where it is not wanted.

    Parameters
    ----------
    junit, sarif, summary, samples, model_card : Path or None
        `samples` ends in ``.csv`` or ``.parquet``.
    """

    junit: Path | None = None
    sarif: Path | None = None
    summary: Path | None = None
    samples: Path | None = None
    model_card: Path | None = None

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> Formats:
        """Take the options of :func:`format_options` out of all the options of a command."""
        return cls(**{field.name: options.pop(field.name) for field in fields(cls)})

    def require_usable(self) -> None:
        """Refuse targets that could not be written, before a run has cost anything.

        Raises
        ------
        ConfigError
            A folder, a folder's name that is a file's, or one path for two formats.
        DataError
            A table of samples that ends in neither ``.csv`` nor ``.parquet``.
        """
        seen: dict[Path, str] = {}
        for name, path in self.wanted().items():
            option = f"--{name.replace('_', '-')}"
            if os.path.isdir(path):
                raise ConfigError(f"{option} {path} is a folder; name a file in it")
            if any(os.path.isfile(parent) for parent in path.absolute().parents):
                raise ConfigError(f"{option} {path} lies under a file; name another folder")
            if (other := seen.setdefault(path.absolute(), option)) != option:
                raise ConfigError(f"{other} and {option} both name {path}; give each a file of its own")
        if self.samples is not None:
            sample_format(self.samples)

    def wanted(self) -> dict[str, Path]:
        """Return the targets that were named, by format."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in named.items() if path is not None}


def own_file(name: str | Path) -> Path | None:
    """Return the file of the user's that a gate or policy was named by; None for the name of one that ships."""
    path = Path(name)
    return path if path.suffix == ".toml" and path.is_file() else None


@dataclass(frozen=True)
class Inputs:
    """What some formats need beside the report.

    Parameters
    ----------
    run : Path or None
        Folder of the run, whose journal has the samples.
    gate, policy : Path or None
        Files of the user's, for the line numbers of SARIF; None for those that ship.
    baseline : Report or None
        An earlier run, for the summary.
    newly : sequence of NewlyFailing
        Samples for the summary.
    key : str or None
        Tells the summaries of several audits of one repository apart; the name of the suite by default.
    """

    run: Path | None = None
    gate: Path | None = None
    policy: Path | None = None
    baseline: Report | None = None
    newly: Sequence[NewlyFailing] = ()
    key: str | None = None


def format_options(command: _Command) -> _Command:
    """Add ``--junit``, ``--sarif``, ``--summary``, ``--samples`` and ``--model-card`` to a command."""
    told = {
        "junit": "Write JUnit XML: a test case a limit, metric and slice.",
        "sarif": "Write SARIF 2.1.0: a result a limit that did not pass.",
        "summary": "Write Markdown for a pull request.",
        "samples": "Write the samples as a table, .csv or .parquet.",
        "model-card": "Write a section of a Hugging Face model card.",
    }
    for name, text in reversed(told.items()):
        command = click.option(f"--{name}", type=click.Path(path_type=Path), metavar="FILE", help=text)(command)
    return command


def sample_format(path: Path) -> Literal["csv", "parquet"]:
    """Return the format that the end of the name stands for.

    Raises
    ------
    DataError
        Another end, or a compressed file.
    """
    kinds: dict[str, Literal["csv", "parquet"]] = {".csv": "csv", ".parquet": "parquet"}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"the table of samples {path} ends in neither .csv nor .parquet; give it one of them")
    return kind
