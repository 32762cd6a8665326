from __future__ import annotations

import json
import struct
import warnings
import zlib
from pathlib import Path

import pytest

from evals.imports import archive
from evals.imports.archive import Archive
from guard.errors import DataError
from tests.evals.imports.logs import DEFLATED, STORED, ZSTANDARD, repack, zip_of


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("method", [STORED, DEFLATED, ZSTANDARD])
def test_a_member_is_read_whatever_compressed_it(tmp_path: Path, method: int) -> None:
    value = {"text": "wörd " * 1000}
    packed = zip_of([("a.json", b"{}"), ("b.json", json.dumps(value).encode())], method=method)
    with Archive(written(tmp_path / "log.eval", packed)) as opened:
        assert opened.names == ("a.json", "b.json")
        assert opened.read("b.json") == value


def test_of_two_members_with_one_name_the_last_is_read(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile names the repetition
        path = repack(tmp_path / "log.eval", [("samples/1.json", b"1"), ("samples/1.json", b"2")])
    with Archive(path) as opened:
        assert (opened.read("samples/1.json"), opened.names, opened.n_superseded) == (2, ("samples/1.json",), 1)


@pytest.mark.parametrize("method", [DEFLATED, ZSTANDARD])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBER", 3_000_000)
    packed = zip_of([("a.json", b" " * 30_000_000)], method=method)
    assert len(packed) < 100_000
    with Archive(written(tmp_path / "log.eval", packed)) as opened, pytest.raises(DataError, match="3,000,000 bytes"):
        opened.read("a.json")


def test_many_members_together_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_IN_ALL", 250)
    packed = zip_of([(f"{i}.json", b"1" + b" " * 99) for i in range(3)])
    with Archive(written(tmp_path / "log.eval", packed)) as opened:
        assert [opened.read("0.json"), opened.read("1.json")] == [1, 1]
        with pytest.raises(DataError, match="more than 50 bytes"):
            opened.read("2.json")


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


WHOLE = zip_of([("a.json", json.dumps(list(range(500))).encode())])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 and nothing else", "no whole ZIP archive"),
        (WHOLE[:-30], "no whole ZIP archive"),
        (flipped(WHOLE, 60), "member a.json"),
        (b"XX" + WHOLE[2:], "damaged or encrypted"),
        (zip_of([("a.json", b"[1]")], flags=1), "encrypted"),
        (zip_of([("a.json", b"[1]")], method=99), "method 99"),
        (zip_of([("a.json", b"[1")]), "not valid JSON"),
        (zip_of([("b.json", b"[1]")]), "no member a.json"),
    ],
)
def test_damage_is_one_line_about_the_data(tmp_path: Path, data: bytes, message: str) -> None:
    path = written(tmp_path / "log.eval", data)
    with pytest.raises(DataError, match=message) as caught, Archive(path) as opened:
        opened.read("a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", [STORED, DEFLATED, ZSTANDARD])
def test_a_wrong_checksum_is_damage(tmp_path: Path, method: int) -> None:
    data = b"[1, 2]"
    right, wrong = (struct.pack("<I", zlib.crc32(data) ^ flip) for flip in (0, 1))
    path = written(tmp_path / "log.eval", zip_of([("a.json", data)], method=method).replace(right, wrong))
    with Archive(path) as opened, pytest.raises(DataError, match=r"damaged|checksum"):
        opened.read("a.json")
