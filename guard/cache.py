"""The user's cache folder: where it lies, one lock a folder, and placement of whole folders at once."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guard.errors import AssetError

__all__ = ["cache_dir", "clear_errors", "locked", "place", "staging", "sweep", "tells_no_room"]

_STAGED = ".assay-tmp-"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")


def cache_dir() -> Path:
    """Return the folder that everything downloaded or converted is kept under.

    Returns
    -------
    pathlib.Path
        ``$ASSAY_CACHE``, else ``$XDG_CACHE_HOME/assay``, else ``~/.cache/assay``. It need not exist yet.
    """
    own = os.environ.get("ASSAY_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache").absolute() / "assay"


@contextmanager
def clear_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about `folder` into one line for the user.

    Parameters
    ----------
    folder : pathlib.Path
        The folder that is being written to, as the message names it.

    Raises
    ------
    AssetError
        In place of any OSError: no room, not writable, or anything else.
    """
    try:
        yield
    except OSError as error:
        raise AssetError(_os_complaint(error, folder)) from error


def tells_no_room(text: str) -> bool:
    """Say whether another program's message means that the disk is full."""
    return any(known in text for known in _NO_ROOM_TEXTS)


def _os_complaint(error: OSError, folder: Path) -> str:
    if error.errno in _NO_ROOM or tells_no_room(str(error)):
        return f"no room left under {folder}: free some space, or set ASSAY_CACHE to a folder on another disk"
    reason = error.strerror or str(error)
    return f"cannot write under {folder} ({reason}): make it writable, or set ASSAY_CACHE to a folder that is"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one lock of `folder`, making the folder if need be; a second process waits.

    The operating system holds the lock for the open file, so it ends with the process, however that ends.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    AssetError
        When the folder cannot be made or written to.
    """
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with clear_errors(folder):
            _wait_for_lock(handle)
        yield
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt
    import time

    def _wait_for_lock(handle: int) -> None:
        """Poll, since the blocking call gives up after ten seconds."""
        while True:
            try:
                return msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except PermissionError:
                time.sleep(0.2)

else:
    import fcntl

    def _wait_for_lock(handle: int) -> None:
        """Block until the lock is ours."""
        fcntl.flock(handle, fcntl.LOCK_EX)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make an empty folder inside `folder` to build something in, and remove what is left of it.

    Parameters
    ----------
    folder : pathlib.Path
        Must exist; hold its lock, so that :func:`sweep` knows that every other staging folder is abandoned.
    """
    staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=folder))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove the staging folders that killed processes left in `folder`. Hold its lock."""
    for abandoned in folder.glob(f"{_STAGED}*"):
        shutil.rmtree(abandoned, ignore_errors=True)


def place(staged: Path, target: Path) -> None:
    """Put the folder `staged` at `target` in one step, in place of what was there.

    Parameters
    ----------
    staged : pathlib.Path
        A whole folder on the same file system. Its files are flushed to the disk first.
    target : pathlib.Path
    """
    for file in staged.rglob("*"):
        if file.is_file():
            _flush(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        # A folder cannot be renamed over a full one; the old one goes where sweep() finds it.
        os.replace(target, Path(tempfile.mkdtemp(prefix=_STAGED, dir=staged.parent)) / "replaced")
    os.replace(staged, target)


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
