"""Folders of runs: a new one for a new run, the right one for a resumed run."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path

from guard.errors import DataError, OutputError

__all__ = ["discard_unbegun", "new_run", "resumable_run"]

_JOURNAL = "journal.jsonl"


def new_run(out: Path, *, suite: str, models: list[str]) -> Path:
    """Make the folder of a new run: ``<suite>-<models>-<UTC time>``, with a number where that is taken.

    Raises
    ------
    OutputError
        When it cannot be made.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    stem = "-".join([_slug(suite), *(_slug(Path(model).name) for model in models), now])
    for number in range(1000):
        folder = out / (stem if number == 0 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if out.exists() and not out.is_dir():
                raise OutputError(f"{out} is a file; name a folder with --out") from None
            continue
        except OSError as error:
            raise OutputError(f"cannot make {folder}: {error.strerror}; name another folder with --out") from error
        return folder
    raise OutputError(f"{out} has a thousand runs of this second; name another folder with --out")


def resumable_run(out: Path, identity: Mapping[str, str], *, named: str | None) -> Path | None:
    """Return the folder of the run to go on with.

    Parameters
    ----------
    out : pathlib.Path
        The folder of runs.
    identity : mapping of str to str
        Of the plan.
    named : str or None
        A run's folder or its name in `out`; None takes the newest run of the same plan.

    Returns
    -------
    pathlib.Path or None
        None when no run was named and none is of this plan: one that was killed before its journal began is a new run.

    Raises
    ------
    DataError
        When the run that was named is not there.
    """
    return _newest(out, identity) if named is None else _named(out, named)


def _newest(out: Path, identity: Mapping[str, str]) -> Path | None:
    journals = sorted(out.glob(f"*/{_JOURNAL}"), key=lambda file: file.stat().st_mtime, reverse=True)
    return next((journal.parent for journal in journals if _identity(journal) == dict(identity)), None)


def _named(out: Path, named: str) -> Path:
    folder = Path(named) if (Path(named) / _JOURNAL).exists() else out / named
    if not (folder / _JOURNAL).exists():
        raise DataError(f"no run to resume in {named}: it has no {_JOURNAL}; leave --resume out for a new run")
    return folder


def discard_unbegun(folder: Path) -> None:
    """Remove the folder of a run that failed before its first sample was made; any other is left as it is."""
    journal = folder / _JOURNAL
    with contextlib.suppress(OSError):  # the failure itself is what the user must read
        if journal.exists() and journal.read_bytes().count(b"\n") <= 1:
            journal.unlink()
        folder.rmdir()


def _identity(journal: Path) -> object:
    try:
        with journal.open("rb") as stream:
            return json.loads(stream.readline())["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not a journal: not a candidate


def _slug(text: str) -> str:
    """Keep what is safe in a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:40] or "model"
