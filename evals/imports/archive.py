"""An Inspect archive, read member by member within bounds: stored, deflated or compressed by Zstandard."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO

from evals.imports.reading import parse
from guard.errors import DataError

__all__ = ["MOST_IN_ALL", "MOST_MEMBER", "Archive"]

MOST_MEMBER = 1 << 29
"""Bytes of one member once it is unpacked, whatever its header claims."""

MOST_IN_ALL = 1 << 33
"""Bytes unpacked from one archive."""

_ZSTANDARD = 93
"""Method of the ZIP specification (APPNOTE 4.4.5), which Inspect writes and Python reads from 3.14 on."""

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CHUNK = 1 << 20


class Archive:
    """A ZIP archive of JSON members.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    names : tuple of str
        Of the members, each once.
    n_superseded : int
        Samples of which a later member has the name.

    Raises
    ------
    DataError
        It cannot be read, or is no whole ZIP archive.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MOST_IN_ALL
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DataError(f"{path} is no whole ZIP archive ({error}); an .eval file that was cut short") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
        self.names = tuple(dict.fromkeys(self._zip.namelist()))
        samples = [name for name in self._zip.namelist() if name.startswith("samples/")]
        self.n_superseded = len(samples) - len(set(samples))

    def __enter__(self) -> Archive:
        """Return the archive."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._zip.close()

    def read(self, name: str) -> object:
        """Return the JSON value of a member; of several with one name the last, which supersedes the others.

        Raises
        ------
        DataError
            No such member, a method of compression that is not read, damaged data, more bytes than :data:`MOST_MEMBER`
            or than :data:`MOST_IN_ALL` in all, or no JSON.
        """
        return parse(self._bytes(name), f"{self._path}, member {name}")

    def _bytes(self, name: str) -> bytes:
        try:
            info = self._zip.getinfo(name)
            with self._stream(info) as stream:
                data = self._bounded(stream, name)
        except KeyError as error:
            raise DataError(f"{self._path} has no member {name}: it is no log of Inspect") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, struct.error) as error:
            raise DataError(f"{self._path}, member {name}: damaged or encrypted ({error})") from error
        if zlib.crc32(data) != info.CRC:
            raise DataError(f"{self._path}, member {name}: the checksum is wrong, so the file is damaged")
        return data

    def _stream(self, info: zipfile.ZipInfo) -> IO[bytes]:
        if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return self._zip.open(info)
        if info.compress_type != _ZSTANDARD:
            raise ValueError(f"method {info.compress_type} of compression is not read")
        import pyarrow

        # The stream unpacks as it is read, frame after frame, so that a bomb costs no more than the bound.
        opened: IO[bytes] = pyarrow.CompressedInputStream(pyarrow.BufferReader(self._packed(info)), "zstd")
        return opened

    def _packed(self, info: zipfile.ZipInfo) -> bytes:
        """Return the packed bytes of a member: what stands behind its local header."""
        if info.flag_bits & 0x1:
            raise ValueError("it is encrypted")
        with self._path.open("rb") as stream:
            stream.seek(info.header_offset)
            signature, *_, n_name, n_extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            if signature != b"PK\x03\x04":
                raise ValueError("no member starts where the directory says")
            stream.seek(n_name + n_extra, 1)
            return stream.read(info.compress_size)

    def _bounded(self, stream: IO[bytes], name: str) -> bytes:
        most = min(MOST_MEMBER, self._left)
        parts: list[bytes] = []
        size = 0
        while part := stream.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > most:
                raise DataError(f"{self._path}, member {name}: more than {most:,} bytes once unpacked, which is no log")
        self._left -= size
        return b"".join(parts)
