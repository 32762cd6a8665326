"""The folder of an attack: made or taken up again, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from guard.errors import ConfigError, DataError, OutputError

__all__ = ["discard_unbegun", "open_folder", "write_texts"]


def open_folder(folder: Path, *, resume: bool) -> Path:
    """Return the folder of a run, made if need be.

    Parameters
    ----------
    folder : pathlib.Path
    resume : bool
        Whether to go on with what is in it.

    Raises
    ------
    ConfigError
        It holds something and the run is a new one.
    DataError
        There is nothing to go on with.
    OutputError
        It cannot be made.
    """
    try:
        filled = folder.exists() and any(folder.iterdir())
        if filled and not resume:
            raise ConfigError(f"--out {folder} is not empty: give --resume to go on with it, or another folder")
        if resume and not filled:
            raise DataError(f"there is no run to resume in {folder}: leave --resume out to begin one")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}; name another folder with --out") from error
    return folder


def discard_unbegun(folder: Path) -> None:
    """Remove the folder of a run that failed before its first attempt; any other is left as it is."""
    with contextlib.suppress(OSError):  # the failure itself is what the user must read
        files = [*folder.iterdir()]
        if all(file.suffix == ".jsonl" and file.read_bytes().count(b"\n") <= 1 for file in files):
            for file in files:
                file.unlink()
            folder.rmdir()


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write files under other names first and then move them into place.

    Raises
    ------
    OutputError
        No permission or no space; what was there before is as it was.
    """
    drafts = {folder / name: folder / f".{name}.{secrets.token_hex(4)}.part" for name in texts}
    try:
        for draft, text in zip(drafts.values(), texts.values(), strict=True):
            draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        for path, draft in drafts.items():
            os.replace(draft, path)
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder} ({error.strerror or error}): free some space and go on with --resume"
        ) from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return list(drafts)
