"""A data set on a hub: served here, fetched at one commit, and nothing of it ever run."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evals.hub_data import HubName, hub_table, split_files
from evals.own_data import Columns, read_own
from guard.errors import AssetError, ConfigError, DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONVERTED = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class Hub:
    """Data sets by name and revision, each a mapping of path to content."""

    sets: dict[tuple[str, str], tuple[str, Mapping[str, bytes]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """The three calls of the hub's protocol that fetching a data set takes."""

    def __init__(self, hub: Hub, *arguments: object) -> None:
        self._hub = hub
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0].replace("%2F", "/")
        self._hub.asked.append(path)
        if path.startswith("/api/datasets/"):
            name, _, revision = path.removeprefix("/api/datasets/").partition("/revision/")
            self._listing(name, revision or "main", body=body)
        else:
            name, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
            commit, _, file = rest.partition("/")
            files = next((found for key, (sha, found) in self._hub.sets.items() if (key[0], sha) == (name, commit)), {})
            self._send(200 if file in files else 404, files.get(file, b""), commit, body=body)

    def _listing(self, name: str, revision: str, *, body: bool) -> None:
        if (name, revision) in self._hub.sets:
            commit, files = self._hub.sets[name, revision]
            answer = {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}
            self._send(200, json.dumps(answer).encode(), commit, body=body)
        else:
            known = any(key[0] == name for key in self._hub.sets)
            code = "RevisionNotFound" if known else "RepoNotFound"
            self._send(404, b"{}", "", body=body, code=code)

    def _send(self, status: int, content: bytes, commit: str, *, body: bool, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    _forget_sessions()  # one that an earlier test opened stays offline
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, found))
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
    _forget_sessions()


def _forget_sessions() -> None:
    from huggingface_hub import utils

    for name in ("reset_sessions", "close_session"):  # of 0.x and of 1.x
        if hasattr(utils, name):
            getattr(utils, name)()


def _fetch(hub: Hub, name: str, cache: Path) -> list[Path]:
    return hub_table(name, endpoint=hub.url, cache=cache)


def test_split_is_fetched_at_one_commit_and_read(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "README.md": b"hello",
        "data/train.jsonl": b'{"q": "no"}\n',
        "data/test.jsonl": b'{"q": "one", "a": "1"}\n{"q": "two", "a": "2"}\n',
        "loader.py": b"raise SystemExit('this was run')",
    }
    hub.sets["org/set", "main"] = (COMMIT, files)
    monkeypatch.setattr("evals.hub_data.hub_table", partial(hub_table, endpoint=hub.url, cache=tmp_path / "cache"))
    rows = read_own("hub:org/set@main:test", Columns("q", reference="a"))
    assert [(row.text, row.reference) for row in rows] == [("one", "1"), ("two", "2")]
    assert f"/datasets/org/set/resolve/{COMMIT}/data/test.jsonl" in hub.asked
    assert not any(path.endswith((".py", "README.md", "train.jsonl")) for path in hub.asked)


def test_script_without_tables_is_not_run(hub: Hub, tmp_path: Path) -> None:
    hub.sets["org/script", "main"] = (COMMIT, {"script.py": b"raise SystemExit"})
    with pytest.raises(DataError, match="a script of its own is not run"):
        _fetch(hub, "org/script", tmp_path)


def test_table_that_the_hub_made_of_a_script_is_taken(hub: Hub, tmp_path: Path) -> None:
    hub.sets["org/script", "main"] = (COMMIT, {"script.py": b"raise SystemExit"})
    hub.sets["org/script", "refs/convert/parquet"] = (CONVERTED, {"default/test/0000.parquet": b"PAR1"})
    (found,) = _fetch(hub, "org/script:test", tmp_path)
    assert found.read_bytes() == b"PAR1"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("org/none", DataError, "is not there, or not open to you"),
        ("org/set@gone", DataError, "has no revision 'gone'"),
        ("org/set:gone", DataError, "has no split 'gone'; it has test, train"),
        ("org/set", DataError, "has the splits test, train: name one, as hub:org/set:test"),
        ("set", ConfigError, "is no data set"),
        ("org/../secret", ConfigError, "is no data set"),
    ],
)
def test_what_is_not_there_is_one_line(
    hub: Hub, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    hub.sets["org/set", "main"] = (COMMIT, {"train.csv": b"q\nx\n", "test.csv": b"q\nx\n"})
    with pytest.raises(error, match=message) as raised:
        _fetch(hub, name, tmp_path)
    assert "\n" not in str(raised.value)


def test_hub_that_is_not_there_is_a_failure_of_the_machine(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be had"):
        hub_table("org/set", endpoint="http://127.0.0.1:9", cache=tmp_path)


@pytest.mark.parametrize(
    ("files", "split", "chosen"),
    [
        (["a.csv"], None, ["a.csv"]),
        (["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"], None, None),
        (["data/train-0.parquet", "data/test-0.parquet"], "test", ["data/test-0.parquet"]),
        (["en/test.csv", "de/test.csv"], "de/test", ["de/test.csv"]),
        (["test.csv", "test.parquet", "test.txt"], "test", ["test.parquet"]),
        (["latest.csv", "test.csv"], "test", ["test.csv"]),
        (["easy.jsonl", "hard.jsonl"], "hard", ["hard.jsonl"]),
    ],
)
def test_files_of_a_split(files: list[str], split: str | None, chosen: list[str] | None) -> None:
    assert split_files(files, HubName("org/set", split=split)) == (files if chosen is None else chosen)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("org/set", HubName("org/set")),
        ("org/set:test", HubName("org/set", None, "test")),
        ("org/set@v1.0", HubName("org/set", "v1.0")),
        ("org/set@refs/pr/1:en/test", HubName("org/set", "refs/pr/1", "en/test")),
    ],
)
def test_name_is_read(text: str, name: HubName) -> None:
    assert HubName.parse(text) == name
