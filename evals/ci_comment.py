"""One comment on a pull or merge request, updated by every run: GitHub and GitLab."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from guard.errors import ToolError

__all__ = ["Comment", "Forge", "GitHub", "GitLab", "forge_of", "upsert"]

_PAGE = 100
_MOST_PAGES = 30
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Comment:
    """A comment that is there.

    Parameters
    ----------
    id : int
    author : str
        Login of who wrote it.
    body : str
    """

    id: int
    author: str
    body: str


class Forge(Protocol):
    """Where the comments of one pull or merge request are."""

    def author(self) -> str:
        """Return the login under which this process writes."""

    def comments(self) -> Iterator[Comment]:
        """Yield the comments that are there, oldest first."""

    def create(self, body: str) -> None:
        """Write a new comment."""

    def update(self, number: int, body: str) -> None:
        """Replace the text of a comment."""


def upsert(forge: Forge, body: str) -> None:
    """Write `body` as a comment, or in place of the one that this process wrote before.

    It is found by the first line of `body`, which is its marker, at the start of a comment by the same author: a
    marker alone can be copied into anybody's comment.

    Raises
    ------
    ToolError
        The service cannot be reached, or refuses.
    """
    marker = body.partition("\n")[0]
    own = forge.author()
    found = next((one.id for one in forge.comments() if one.author == own and one.body.startswith(marker)), None)
    if found is None:
        forge.create(body)
    else:
        forge.update(found, body)


def forge_of(environ: Mapping[str, str]) -> Forge | None:
    """Return the pull or merge request that this job is for; None where it is for none."""
    if environ.get("GITLAB_CI"):
        number = environ.get("CI_MERGE_REQUEST_IID", "")
        return GitLab.of(environ, number) if number.isdecimal() else None
    pull = _pull_request(environ)
    return None if pull is None else GitHub.of(environ, pull)


def _pull_request(environ: Mapping[str, str]) -> int | None:
    path = environ.get("GITHUB_EVENT_PATH")
    if not path or not Path(path).exists():
        return None
    event = json.loads(Path(path).read_text(encoding="utf-8"))
    pull = event.get("pull_request") if isinstance(event, dict) else None
    number = pull.get("number") if isinstance(pull, dict) else None
    return number if isinstance(number, int) else None


@dataclass(frozen=True)
class _Service:
    """A web service that speaks JSON."""

    url: str
    headers: Mapping[str, str]

    def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Send one request and return the JSON of its answer.

        Raises
        ------
        ToolError
            No such address, no connection, a status other than 2xx, or an answer that is not JSON.
        """
        parts = urlsplit(self.url)
        kind = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}.get(parts.scheme)
        if kind is None or not parts.hostname:
            raise ToolError(f"{self.url!r} is no address of a web service; give one that begins with https://")
        what = f"{method} {path.partition('?')[0]}"
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, parts.path.rstrip("/") + path, text, dict(self.headers))
            answer = connection.getresponse()
            received = answer.read()
            if not 200 <= answer.status < 300:
                raise ToolError(f"{what} was answered with {answer.status} {answer.reason}")
            return json.loads(received)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ToolError(f"{what} at {parts.hostname} failed: {error}") from error
        finally:
            connection.close()

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the items of a list that comes in pages."""
        for page in range(1, _MOST_PAGES + 1):
            items = self.send("GET", f"{path}?per_page={_PAGE}&page={page}")
            yield from items
            if len(items) < _PAGE:
                return


@dataclass(frozen=True)
class GitHub:
    """The comments of one pull request on GitHub.

    Parameters
    ----------
    service : _Service
    repository : str
        ``owner/name``.
    number : int
    login : str
        Of the token: GitHub does not tell a workflow's token who it is.
    """

    service: _Service
    repository: str
    number: int
    login: str

    @classmethod
    def of(cls, environ: Mapping[str, str], number: int) -> GitHub:
        """Read the variables of a workflow; ``ASSAY_COMMENT_AUTHOR`` names the owner of another token."""
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {environ.get('GITHUB_TOKEN', '')}",
            "Content-Type": "application/json",
            "User-Agent": "assay",
        }
        service = _Service(environ.get("GITHUB_API_URL") or "https://api.github.com", headers)
        login = environ.get("ASSAY_COMMENT_AUTHOR", "").strip() or "github-actions[bot]"
        return cls(service, environ.get("GITHUB_REPOSITORY", ""), number, login)

    def author(self) -> str:
        """Return the login under which this process writes."""
        return self.login

    def comments(self) -> Iterator[Comment]:
        """Yield the comments that are there, oldest first."""
        for one in self.service.pages(f"/repos/{self.repository}/issues/{self.number}/comments"):
            user = one.get("user") or {}  # of a deleted account there is none
            yield Comment(int(one["id"]), str(user.get("login")), str(one.get("body")))

    def create(self, body: str) -> None:
        """Write a new comment."""
        self.service.send("POST", f"/repos/{self.repository}/issues/{self.number}/comments", {"body": body})

    def update(self, number: int, body: str) -> None:
        """Replace the text of a comment."""
        self.service.send("PATCH", f"/repos/{self.repository}/issues/comments/{number}", {"body": body})


@dataclass(frozen=True)
class GitLab:
    """The notes of one merge request on GitLab.

    Parameters
    ----------
    service : _Service
    notes : str
        Path of the notes.
    """

    service: _Service
    notes: str

    @classmethod
    def of(cls, environ: Mapping[str, str], number: str) -> GitLab:
        """Read the variables of a job; ``ASSAY_GITLAB_TOKEN`` may write notes, which a job's own token may not."""
        headers = {
            "PRIVATE-TOKEN": environ.get("ASSAY_GITLAB_TOKEN", ""),
            "Content-Type": "application/json",
            "User-Agent": "assay",
        }
        project = quote(environ.get("CI_PROJECT_ID", ""), safe="")
        service = _Service(environ.get("CI_API_V4_URL") or "https://gitlab.com/api/v4", headers)
        return cls(service, f"/projects/{project}/merge_requests/{number}/notes")

    def author(self) -> str:
        """Return the login under which this process writes."""
        return str(self.service.send("GET", "/user")["username"])

    def comments(self) -> Iterator[Comment]:
        """Yield the notes that are there."""
        for one in self.service.pages(self.notes):
            yield Comment(int(one["id"]), str((one.get("author") or {}).get("username")), str(one.get("body")))

    def create(self, body: str) -> None:
        """Write a new note."""
        self.service.send("POST", self.notes, {"body": body})

    def update(self, number: int, body: str) -> None:
        """Replace the text of a note."""
        self.service.send("PUT", f"{self.notes}/{number}", {"body": body})
