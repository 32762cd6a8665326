"""Wheels as data carriers: found in a folder or downloaded by pip, checked, and never installed or imported."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from guard.cache import tells_no_room
from guard.errors import AssetError

__all__ = ["Wheel", "check", "download", "find", "open_member"]


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel of a package index.

    Parameters
    ----------
    package, version : str
    sha256 : str
        Of the wheel file, in hexadecimal.
    """

    package: str
    version: str
    sha256: str

    @property
    def stem(self) -> str:
        """How the file's name begins."""
        return f"{self.package.replace('-', '_')}-{self.version}"


def find(wheel: Wheel, folder: Path) -> Path | None:
    """Return the file of `wheel` in `folder`, by its name, or None where there is none."""
    prefix = f"{wheel.stem}-".lower()
    if not folder.is_dir():
        return None
    names = sorted(file for file in folder.iterdir() if file.suffix == ".whl")
    return next((file for file in names if file.name.lower().startswith(prefix)), None)


def download(wheel: Wheel, folder: Path, *, asset_name: str) -> Path:
    """Download `wheel`, without its dependencies, by the pip of this interpreter and the user's own pip settings.

    Parameters
    ----------
    wheel : Wheel
    folder : pathlib.Path
        Where the file is put.
    asset_name : str
        What the message tells the user to pull again.

    Raises
    ------
    AssetError
        pip failed: no network, no such version on the index, or no room.
    """
    # The Python that a wheel is meant for is ignored: nothing of it is installed.
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--ignore-requires-python",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        f"{wheel.package}=={wheel.version}",
        *options,
        "-d",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = find(wheel, folder)
    if done.returncode == 0 and found is not None:
        return found
    raise AssetError(_pip_complaint(wheel, asset_name, folder, done.stderr + done.stdout))


def _pip_complaint(wheel: Wheel, asset_name: str, folder: Path, output: str) -> str:
    if tells_no_room(output):
        return (
            f"no room left for {wheel.package} {wheel.version} under {folder.parent.parent}: free some space, or set "
            "ASSAY_CACHE (and TMPDIR, which pip uses) to a folder on another disk"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:") or "No module named pip" in line]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
    return (
        f"could not download {wheel.package} {wheel.version} for asset {asset_name} ({reason[:200]}): run "
        f"`assay assets pull {asset_name}` where a package index can be reached, or put {wheel.stem}-*.whl into a "
        "folder and set ASSAY_WHEELS to it"
    )


def check(wheel: Wheel, file: Path) -> None:
    """Raise unless `file` has the SHA-256 of `wheel`.

    Raises
    ------
    AssetError
        Another hash, or a file that cannot be read.
    """
    try:
        with file.open("rb") as handle:
            actual = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"cannot read the wheel {file} ({error.strerror}): make it readable or remove it") from error
    if actual != wheel.sha256:
        raise AssetError(
            f"{file.name} has SHA-256 {actual[:12]}..., not {wheel.sha256[:12]}... as pinned: it is damaged or not the "
            "published file; nothing was placed; remove it, or check the package index that pip uses"
        )


@contextmanager
def open_member(wheel_files: Sequence[Path], member: str) -> Iterator[IO[bytes]]:
    """Open `member` in the first of `wheel_files` that has it.

    Raises
    ------
    AssetError
        None has it, or the archive is damaged. A message about room or rights on the writing side passes through.
    """
    for file in wheel_files:
        try:
            with zipfile.ZipFile(file) as archive:
                if member in archive.namelist():
                    with archive.open(member) as source:
                        yield source
                    return
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise AssetError(f"{file.name} is not a whole wheel ({error}): remove it and pull again") from error
    searched = ", ".join(file.name for file in wheel_files)
    raise AssetError(f"{member} is not in {searched}: the catalogue entry is wrong, please report it")
