"""Small wheels, and a catalogue of what is in them, for the tests of assets."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from guard.catalogue import Asset, AssetFile
from guard.wheels import Wheel


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, package: str, members: Mapping[str, bytes]) -> Wheel:
    """Write a wheel that pip accepts."""
    stem = f"{package.replace('-', '_')}-1.0"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    extra = {f"{stem}.dist-info/METADATA": metadata, f"{stem}.dist-info/WHEEL": tags, f"{stem}.dist-info/RECORD": ""}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **{name: text.encode() for name, text in extra.items()}}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return Wheel(package, "1.0", sha256(file.read_bytes()))


def make_asset(
    name: str, wheels: tuple[Wheel, ...], files: Mapping[str, tuple[bytes, ...]], *, entry: str = ""
) -> Asset:
    """Describe an asset whose file ``p`` is joined from the members ``data/p.0``, ``data/p.1`` and so on."""
    rows = tuple(
        AssetFile(path, sha256(b"".join(parts)), tuple(f"data/{path}.{number}" for number in range(len(parts))))
        for path, parts in files.items()
    )
    return Asset(name, "prompts", "For tests.", "CC0-1.0", "made here", wheels, rows, entry)
